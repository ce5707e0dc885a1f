"""Those who ask: clients that behave badly, two supervisors, sockets and pid files that lie, hasty scaling."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from benchmarks.reliability.contenders import Tool
from benchmarks.reliability.stage import GRACE, Finding, Running, Scenario, Stage, alive, judged, kill, until, without
from benchmarks.samples import seconds

NO_SOCKET = "no socket"


def bad_clients(stage: Stage, tool: Tool) -> Finding:
    status = tool.status(stage)
    if status is None:
        return without(NO_SOCKET)
    stage.start(tool.prepare(stage, {"a": stage.sleeper("a")}))
    stage.ready("a")
    until(lambda: stage.ask(status).stdout.count("RUNNING") + stage.ask(status).stdout.count("running") > 0, 5)
    clients = []
    for number in range(21):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(1)
        client.connect(str(tool.sockets(stage)[0]))
        clients.append(client)
        if number == 20:
            with suppress(OSError):
                client.sendall(b"nonsense" * 2**17)
    begun = time.monotonic()
    said = stage.ask(status)
    took = time.monotonic() - begun
    for client in clients:
        client.close()
    good = "running" in said.stdout.lower()
    return judged(f"status {'answered' if good else 'failed'} after {seconds(took)}", good and took < 1, partly=good)


def started_twice(stage: Stage, tool: Tool) -> Finding:
    argv = tool.prepare(stage, {"a": stage.sleeper("a")})
    turns, doubled, named = 5, 0, 0
    for _ in range(turns):
        before = len(stage.pids("a"))
        both = [stage.start(argv), stage.start(argv)]
        stage.ready("a", each=before + 1)
        until(partial(_one_ended, both), 1.5)
        doubled += len(stage.living("a")) > 1
        losers = [run for run in both if run.ended]
        winners = [run for run in both if not run.ended]
        named += any(str(winner.pid).encode() in loser.said for loser in losers for winner in winners)
        for run in both:
            run.stop(GRACE + 2)
        stage.clear()
    text = f"two copies in {doubled} of {turns}" if doubled else "one wins each time"
    text += f"; the other names the first in {named} of {turns}"
    return judged(text, not doubled and named == turns, partly=not doubled)


def _one_ended(runs: Sequence[Running]) -> bool:
    return any(run.ended for run in runs)


def socket_removed(stage: Stage, tool: Tool) -> Finding:
    status = tool.status(stage)
    if status is None:
        return without(NO_SOCKET)
    stage.start(tool.prepare(stage, {"a": stage.sleeper("a")}))
    stage.ready("a")
    until(lambda: "running" in stage.ask(status).stdout.lower(), 5, 0.05)
    for path in tool.sockets(stage):
        path.unlink()
    took = until(lambda: "running" in stage.ask(status).stdout.lower(), 8, 0.1)
    return judged("control lost" if took is None else f"answers again after {seconds(took)}", took is not None)


def lying_pid_file(stage: Stage, tool: Tool) -> Finding:
    if tool.name == "honcho":
        return without("no pid file")
    argv = tool.prepare(stage, {"a": stage.sleeper("a")})
    first = stage.start(argv)
    stage.ready("a")
    time.sleep(0.3)
    kill(first.pid)
    until(lambda: first.ended, 5)
    stage.clear()
    stranger = os.posix_spawn("/bin/sleep", ["sleep", "100000"], stage.environment, setsid=True)
    try:
        changed = 0
        for path in [each for each in stage.folder.rglob("*") if each.is_file() and each.stat().st_size < 4096]:
            changed += _put(path, first.pid, stranger)
        stage.start(argv)
        started = until(lambda: len(stage.pids("a")) > 1, 6) is not None
        time.sleep(0.3)
        spared = alive(stranger)
    finally:
        kill(stranger)
        os.waitpid(stranger, 0)
    text = f"{'starts' if started else 'does not start'}; the stranger {'lives' if spared else 'was killed'}"
    return judged(text if changed else f"{text} (no file held a pid)", started and spared)


def _put(path: Path, old: int, new: int) -> bool:
    """Write another pid in the place of this one, if the file has it and is no log."""
    text = path.read_bytes()
    if path.suffix in (".log", ".pids", ".out") or str(old).encode() not in text:
        return False
    path.write_bytes(text.replace(str(old).encode(), str(new).encode()))
    return True


def scaled_hastily(stage: Stage, tool: Tool) -> Finding:
    if tool.name != "procsup":
        return without("no scale")
    scale = [*(tool.status(stage) or [])[:1], "scale"]
    stage.start(tool.prepare(stage, {"a": stage.sleeper("a")}, count=3))
    stage.ready("a", each=3)
    first = stage.pids("a")[0]
    begun = time.monotonic()
    for count in (10, 1):
        stage.ask([*scale, f"a={count}"])
    kept = alive(first)
    for count in (0, 3):
        stage.ask([*scale, f"a={count}"])
    until(lambda: len(stage.living("a")) == 3 and tool.running(stage) == 3, 8, 0.02)
    took = time.monotonic() - begun
    there = len(stage.living("a"))
    text = f"{there} of 3 after {seconds(took)}, the four commands included; survivor {'kept' if kept else 'replaced'}"
    return judged(text, there == 3 and kept)


SCENARIOS: dict[str, Scenario] = {
    "f34": bad_clients,
    "f35": started_twice,
    "f36": socket_removed,
    "f37": lying_pid_file,
    "f38": scaled_hastily,
}
