"""A child is killed: how long until its replacement runs.

Every instance waits at its own gate and is killed once, so that each is the first failure of that instance, which is
restarted at once. The killed one is known to be dead (by its pidfd) before its gate is tried again, so it cannot be
taken for its replacement.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from itertools import count

from benchmarks import procfs, tools
from benchmarks.bench import Bench, Started
from benchmarks.gates import COMMAND, Gates, Late, gates
from benchmarks.samples import Row, Samples, interleave, seconds

REACH = 0.005


def rows(bench: Bench) -> list[Row]:
    rounds = bench.options.rounds * 2
    project = bench.project()
    with gates(project, rounds + 2) as ours, gates(bench.project(), rounds + 2) as bare:
        numbers, spares = count(1), count(1)
        try:
            command = f"{COMMAND} {ours.path(tools.PROCSUP_NUMBER)}"
            argv = tools.procsup(bench, project, {"worker": command}, "-m", f"worker={rounds + 1}")
        except tools.Missing as error:
            taken = interleave({"bare": lambda: bare_spawn(bare, spares)}, rounds)
            return [_row({**taken, "procsup": Samples(failure=str(error))})]
        with bench.started(argv, project) as tool:
            for number in range(1, rounds + 2):
                ours.wait(number)
            pids = _waiting_at(ours, tool, rounds + 1)
            measured = {
                "procsup": lambda: _replaced(ours, tool, pids, next(numbers)),
                "bare": lambda: bare_spawn(bare, spares),
            }
            return [_row(interleave(measured, rounds))]


def bare_spawn(gate: Gates, numbers: Iterator[int]) -> float:
    """Seconds from posix_spawn of the same program until it runs."""
    number = next(numbers)
    before = time.monotonic()
    pid = os.posix_spawn("/bin/cat", [COMMAND, str(gate.path(number))], os.environ)
    try:
        gate.wait(number)
        return time.monotonic() - before
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        gate.close(number)


def _waiting_at(gate: Gates, tool: Started, highest: int) -> dict[int, int]:
    """Which pid waits at which gate."""
    numbers = {str(gate.path(number)): number for number in range(1, highest + 1)}
    waiting = {}
    for pid in procfs.marked(tool.mark):
        argv = procfs.arguments(pid)
        if len(argv) == 2 and argv[0].endswith(COMMAND) and argv[1] in numbers:
            waiting[numbers[argv[1]]] = pid
    return waiting


def _replaced(gate: Gates, tool: Started, pids: dict[int, int], number: int) -> float:
    held = os.pidfd_open(pids[number])
    try:
        before = time.monotonic()
        signal.pidfd_send_signal(held, signal.SIGKILL)
        if not select.select([held], [], [], 10.0)[0]:
            raise Late("the killed child has not died")
        gate.wait(number)
        return time.monotonic() - before
    except Late as error:
        raise tool.explained(error) from None
    finally:
        os.close(held)


def _row(taken: dict[str, Samples]) -> Row:
    ours, bare = taken["procsup"], taken["bare"]
    over = ours.median - bare.median if ours.values and bare.values else None
    return Row(
        what="child killed → its replacement running",
        reach=f"≤ {REACH * 1e3:.0f} ms + one bare spawn",
        ours=ours.show(seconds),
        against=(("bare spawn", bare.show(seconds)),),
        result="—" if over is None else f"one bare spawn + {over * 1e3:.2f} ms",
        met=None if over is None else over <= REACH,
    )
