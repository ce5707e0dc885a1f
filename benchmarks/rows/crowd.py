"""A thousand instances of `sleep`: how fast all of them run, and how fast all of them are gone.

Seen from outside, by the supervisor's list of children in /proc. procsup is counted from its exec, start-up of the
interpreter included; the bare loop only by itself. `sleep` dies of SIGTERM at once, so what procsup takes to end
all of them is over the slowest child but for what the bare loop takes too.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks import procfs, tools
from benchmarks.bench import Bench, Started
from benchmarks.gates import Late, limited
from benchmarks.samples import Row, Samples, interleave, ratio, seconds

START_REACH = 1.5
STOP_REACH = 0.5
LIMIT = 120.0
LOOK_EVERY = 0.004
BARE = Path(__file__).parent.parent / "bare.py"


def rows(bench: Bench) -> list[Row]:
    # Each start is followed by the stop of what it started; the stops are kept aside meanwhile.
    stops: dict[str, list[float]] = {"procsup": [], "bare": []}
    starts = interleave(
        {"procsup": lambda: _procsup(bench, stops["procsup"]), "bare": lambda: _bare(bench, stops["bare"])},
        rounds=max(3, bench.options.rounds // 3),
    )
    ended = {name: Samples(values[1:], starts[name].failure) for name, values in stops.items()}
    return [_started(bench, starts), _stopped(bench, ended)]


def _procsup(bench: Bench, stops: list[float]) -> float:
    project = bench.project()
    count = bench.options.instances
    argv = tools.procsup(bench, project, {"worker": "sleep 100000"}, "-m", f"worker={count}")
    with bench.started(argv, project) as tool:
        taken = _all_run(tool, count) - tool.since
        stops.append(tool.end(LIMIT))
    if tool.process.returncode != 0:
        raise RuntimeError(f"procsup ended with {tool.process.returncode}: {tool.last_words()}")
    return taken


def _bare(bench: Bench, stops: list[float]) -> float:
    project = bench.project()
    count = bench.options.instances
    (read, write), (answers, answer) = os.pipe(), os.pipe()
    with (
        os.fdopen(read, "rb"),
        os.fdopen(write, "wb", 0) as orders,
        os.fdopen(answers) as said,
        os.fdopen(answer, "wb") as stdout,
        limited(LIMIT, "the bare loop has not ended"),
        bench.started([bench.python, "-S", BARE, str(count)], project, stdin=read, stdout=stdout.fileno()) as tool,
    ):
        _all_run(tool, count)
        taken = float(said.readline())
        orders.write(b"x")
        stops.append(float(said.readline()))
        tool.wait(LIMIT)
    return taken


def _all_run(tool: Started, count: int) -> float:
    """The moment at which `count` children were seen that run `sleep`; each is looked into once only."""
    running: set[int] = set()
    until = time.monotonic() + LIMIT
    while True:
        children = procfs.children(tool.pid)
        now = time.monotonic()
        running.update(pid for pid in children if pid not in running and procfs.command_name(pid) == "sleep")
        if len(running) >= count:
            return now
        if now > until or tool.process.poll() is not None:
            raise Late(f"{len(running)} of {count} run")
        time.sleep(LOOK_EVERY)


def _started(bench: Bench, taken: dict[str, Samples]) -> Row:
    value = ratio(taken["procsup"], taken["bare"])
    return Row(
        what=f"{bench.options.instances:,} instances of `sleep` started",
        reach=f"≤ {START_REACH} × a bare `posix_spawn` loop in Python",
        ours=taken["procsup"].show(seconds),
        against=(("bare loop", taken["bare"].show(seconds)),),
        result="—" if value is None else f"{value:.2f} × bare",
        met=None if value is None else value <= START_REACH,
    )


def _stopped(bench: Bench, taken: dict[str, Samples]) -> Row:
    ours, bare = taken["procsup"], taken["bare"]
    over = max(ours.values) if ours.values else None
    return Row(
        what=f"{bench.options.instances:,} instances stopped, from SIGTERM to procsup's own end",
        reach=f"≤ {STOP_REACH} s over the slowest child",
        ours=ours.show(seconds),
        against=(("bare loop: a signal and a wait each", bare.show(seconds)),),
        result="—" if over is None else f"at worst {seconds(over)} over a child that dies at once",
        met=None if over is None else over <= STOP_REACH,
    )
