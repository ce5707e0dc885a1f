"""What children say: bursts, endless lines, broken bytes, readers that stop reading, logs that vanish."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

from benchmarks.reliability.contenders import Tool
from benchmarks.reliability.stage import GRACE, Finding, Running, Scenario, Stage, judged, kill, until, without
from benchmarks.samples import mebibytes, seconds

LINES = 20_000
BURST = f"""\
import os, sys, time
if os.path.exists("burst.done"):
    time.sleep(100000)
open("burst.done", "w").close()
for number in range({LINES}):
    os.write(1, b"line %06d of a burst\\n" % number)
os.write(1, b"the last words")
os._exit(0)
"""
BROKEN = """\
import os, time
for piece in (b"bad \\xff\\xfe nul \\x00 cut \\xc3", b"\\xa9 end\\n"):
    os.write(1, piece)
    time.sleep(0.1)
time.sleep(100000)
"""
NOISY = """\
import os, time
block = (b"x" * 99 + b"\\n") * 10_000
begun, sent = time.monotonic(), 0
while True:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(1, rest):]
    sent += len(block)
    time.sleep(max(0, sent / 100e6 - (time.monotonic() - begun)))
"""
QUIET = """\
import os, time
while True:
    time.sleep(0.05)
    os.write(1, b"Q:%d:\\n" % time.monotonic_ns())
"""
ENDLESS = 256 * 2**20


def burst(stage: Stage, tool: Tool) -> Finding:
    run = stage.start(tool.prepare(stage, {"a": stage.program("a", BURST)}))
    wanted = [b"line %06d of a burst" % number for number in range(LINES)] + [b"the last words"]

    def heard() -> list[bytes]:
        return [line for line in tool.lines(stage, run, "a") if line]

    until(lambda: len(heard()) >= len(wanted), 8, 0.1)
    got = heard()
    missing = len(set(wanted) - set(got))
    text = "all there, in order" if got == wanted else f"{missing:,} lines missing" if missing else "not in order"
    return judged(text, got == wanted)


def endless_line(stage: Stage, tool: Tool) -> Finding:
    go = stage.folder / "go"
    command = stage.script(
        "a",
        f"while [ ! -e {go} ]; do sleep 0.05; done\n{stage.says('a')}\n"
        f"head -c {ENDLESS} /dev/zero | tr '\\0' x\nexec sleep 100000\n",
    )
    run = stage.start(tool.prepare(stage, {"a": command}))
    time.sleep(1)
    own = tool.own(run)
    before = sum(map(_peak, own))
    go.touch()
    stage.ready("a")
    took = until(lambda: _passed(stage) >= ENDLESS, 10, 0.1)
    grown = sum(map(_peak, own)) - before
    passed = min(1, _passed(stage) / ENDLESS)
    text = f"256 MiB: {passed:.0%} passed" + (f" in {seconds(took)}" if took else " in 10 s")
    return judged(f"{text}, memory + {mebibytes(grown)}", passed == 1 and grown <= 32 * 2**20, partly=passed == 1)


def _peak(pid: int) -> int:
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _passed(stage: Stage) -> int:
    return max(path.stat().st_size for path in (*stage.folder.glob("tool.*.log"), *stage.folder.glob("*.out")))


def broken_bytes(stage: Stage, tool: Tool) -> Finding:
    run = stage.start(tool.prepare(stage, {"a": stage.program("a", BROKEN)}))
    wanted = b"bad \xff\xfe nul \x00 cut \xc3\xa9 end"
    until(lambda: any(b"end" in line for line in tool.lines(stage, run, "a")), 5, 0.02)
    exact = wanted in tool.lines(stage, run, "a")
    text = "byte for byte" if exact else "bytes changed"
    if tool.name != "supervisord":
        return judged(text, exact)
    tail = stage.ask([*(tool.status(stage) or [])[:-1], "tail", "a"])
    shown = wanted in tail.stdout.encode(errors="surrogateescape")
    return judged(f"log file {text}; `tail` {'too' if shown else 'fails or changes them'}", exact and shown, exact)


def nobody_reads(stage: Stage, tool: Tool) -> Finding:
    reader, run = _onto_a_pipe(stage, tool)
    try:
        replaced: float | None = None
        if tool.restarts:
            kill(stage.pids("b")[0])
            replaced = until(lambda: len(stage.pids("b")) > 1, 3)
        ended = run.stop(GRACE + 2)
    finally:
        os.close(reader)
    left = len(stage.living("a", "b")) if ended is not None else 0
    text = "" if not tool.restarts else f"replaced after {seconds(replaced)}; " if replaced else "no restart in 3 s; "
    text += f"SIGTERM ignored for {GRACE + 2} s" if ended is None else f"ended after {seconds(ended)}, {left} left"
    good = ended is not None and not left and (replaced is not None or not tool.restarts)
    return judged(text, good)


def reader_gone(stage: Stage, tool: Tool) -> Finding:
    reader, run = _onto_a_pipe(stage, tool)
    os.close(reader)
    ended = until(lambda: run.ended, 5)
    left = len(stage.living("a", "b"))
    traceback = b"Traceback" in run.said
    text = "runs on" if ended is None else f"ended after {seconds(ended)} with {run.process.returncode}, {left} left"
    text += ", traceback" if traceback else ""
    return judged(text, ended is not None and not left and not traceback, partly=ended is None and not traceback)


def _onto_a_pipe(stage: Stage, tool: Tool) -> tuple[int, Running]:
    """The tool's stdout is a pipe: its end to read from, which nobody reads, and the tool, which runs two children."""
    talker = stage.script("a", f"{stage.says('a')}\nexec yes a-line-of-some-thirty-characters\n")
    reader, end = os.pipe()
    run = stage.start(tool.prepare(stage, {"a": talker, "b": stage.sleeper("b")}, console=True), stdout=end)
    os.close(end)
    stage.ready("a", "b")
    time.sleep(1.5)  # until the pipe is full, and supervisord takes them for started
    return reader, run


def log_removed(stage: Stage, tool: Tool) -> Finding:
    if tool.name == "honcho":
        return without("no log file")
    speaker = stage.script("a", f"{stage.says('a')}\nwhile :; do date +said-%N; sleep 0.1; done\n")
    argv = tool.prepare(stage, {"a": speaker})
    stage.start([*argv, "--detach"] if tool.name == "procsup" else argv)
    stage.ready("a")

    def logs() -> list[Path]:
        return [
            path for path in (*stage.folder.glob("a.out"), *stage.folder.rglob("output.log")) if path.stat().st_size
        ]

    if until(lambda: bool(logs()), 5) is None:
        return judged("no log was written", False)
    for path in logs():
        path.unlink()
    took = until(lambda: bool(logs()), 5)
    lost = "not made again in 5 s (SIGUSR2 would do it): lost"
    return judged(lost if took is None else f"made again after {seconds(took)}", took is not None)


def quiet_beside_noisy(stage: Stage, tool: Tool) -> Finding:
    commands = {"noisy": stage.program("noisy", NOISY), "quiet": stage.program("quiet", QUIET)}
    reader, end = os.pipe()
    waits: list[float] = []
    passed = 0

    def listen() -> None:
        nonlocal passed
        rest = b""
        while chunk := os.read(reader, 2**20):
            now = time.monotonic_ns()
            passed += len(chunk)
            rest += chunk
            waits.extend((now - int(stamp)) / 1e9 for stamp in re.findall(rb"Q:(\d+):\n", rest))
            rest = rest[rest.rfind(b"\n") + 1 :]

    run = stage.start(tool.prepare(stage, commands, console=True), stdout=end)
    os.close(end)
    thread = threading.Thread(target=listen)
    begun = time.monotonic()
    thread.start()
    time.sleep(6)
    rate = passed / (time.monotonic() - begun) / 1e6
    kill(run.pid)
    stage.clear()
    thread.join()
    os.close(reader)
    if not waits:
        return judged(f"not one of its lines in 6 s; {rate:.0f} MB/s pass", False)
    late = sorted(waits)[int(len(waits) * 0.99) - (len(waits) % 100 == 0)]
    return judged(f"p99 {seconds(late)} of {len(waits)} lines; {rate:.0f} MB/s pass", late <= 0.05 and len(waits) > 60)


SCENARIOS: dict[str, Scenario] = {
    "f11": burst,
    "f12": endless_line,
    "f13": broken_bytes,
    "f15": nobody_reads,
    "f16": reader_gone,
    "f18": log_removed,
    "f42": quiet_beside_noisy,
}
