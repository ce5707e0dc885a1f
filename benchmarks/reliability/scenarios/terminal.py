"""A terminal: what reaches it, and what happens when its window is closed. Each tool runs on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from benchmarks.reliability.contenders import Argv, Tool
from benchmarks.reliability.stage import Finding, Running, Scenario, Stage, judged, until
from benchmarks.samples import seconds

SPEAKER = """\
import os, time
os.write(1, b"\\x1b[2Jcleared \\x1b]0;title\\x07titled [/red] \\x1b[31mred\\x1b[0m over\\rwritten\\nall said\\n")
time.sleep(100000)
"""


def control_sequences(stage: Stage, tool: Tool) -> Finding:
    argv = tool.prepare(stage, {"a": stage.program("a", SPEAKER)}, console=True)
    with _on_terminal(stage, argv) as (run, master):
        shown = _read(master, b"all said", 6)
        if tool.name == "supervisord" and b"all said" not in shown:
            return judged("nothing shown", False)
        passed = {
            "ESC[2J": b"\x1b[2J" in shown,
            "OSC": b"\x1b]0;" in shown,
            "CR": b"over\rwritten" in shown,
        }
        kept = b"[/red]" in shown and b"Traceback" not in shown and not run.ended
    through = [name for name, there in passed.items() if there]
    text = f"{', '.join(through)} pass through" if through else "only colours pass"
    colour = b"\x1b[31m" in shown
    return judged(text + ("" if kept else "; text spoiled"), not through and kept and colour, partly=not through)


def window_closed(stage: Stage, tool: Tool) -> Finding:
    argv = tool.prepare(stage, {"a": stage.sleeper("a"), "b": stage.sleeper("b")})
    with _on_terminal(stage, argv) as (run, _):
        stage.ready("a", "b")
        time.sleep(1)
    # Its only other end is closed now: the kernel sends SIGHUP to the session.
    took = until(lambda: run.ended and not stage.living("a", "b"), 4)
    left = len(stage.living("a", "b"))
    if took is not None:
        return judged(f"all gone after {seconds(took)}", True)
    if run.ended:
        return judged(f"it has ended, {left} children left", False)
    return judged(f"runs on with {left} children (SIGHUP: it starts over)", False, partly=tool.name == "supervisord")


@contextmanager
def _on_terminal(stage: Stage, argv: Argv) -> Iterator[tuple[Running, int]]:
    master, terminal = pty.openpty()

    def take() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    environment = {**stage.environment, "TERM": "xterm-256color"}
    try:
        run = stage.start(
            argv,
            stdin=terminal,
            stdout=terminal,
            env=environment,
            preexec_fn=take,
        )
    finally:
        os.close(terminal)
    try:
        yield run, master
    finally:
        os.close(master)


def _read(master: int, wanted: bytes, within: float) -> bytes:
    shown, end = b"", time.monotonic() + within
    while wanted not in shown and time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            with suppress(OSError):
                shown += os.read(master, 65536)
    return shown


SCENARIOS: dict[str, Scenario] = {"f14": control_sequences, "f33": window_closed}
