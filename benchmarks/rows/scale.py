"""From the exec of `procsup scale worker=+N` until the new ones run, each at a gate of its own.

Beside it, in the same turn: python with what any such client must import, a bare spawn of the same children, and what
circus takes for the same (`circusctl incr`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import tools
from benchmarks.bench import Bench
from benchmarks.gates import COMMAND, Gates, Late, gates
from benchmarks.rows.start import PAUSE, run_python
from benchmarks.samples import Row, Samples, interleave, seconds
from benchmarks.waiting import until

REACH = 1.3
FLOOR = "import click, json, socket"
STEPS = (1, 50)
LIMIT = 30.0


def rows(bench: Bench) -> list[Row]:
    return [_row(step, _measure(bench, step)) for step in STEPS]


def _measure(bench: Bench, step: int) -> dict[str, Samples]:
    with ExitStack() as stack:
        spares = stack.enter_context(gates(bench.project(), step))
        taken: dict[str, Samples] = {}
        contenders: dict[str, Callable[[], float]] = {}
        try:
            contenders["procsup"] = _procsup(bench, step, stack)
        except (tools.Missing, Late) as error:
            taken["procsup"] = Samples(failure=f"failed: {error}")
        contenders["python"] = lambda: run_python(bench, FLOOR)
        contenders["bare"] = lambda: _bare(spares, step)
        contenders["circus"] = lambda: _circus(bench, step)
        return taken | interleave(contenders, bench.options.rounds)


def _procsup(bench: Bench, step: int, stack: ExitStack) -> Callable[[], float]:
    """Start a supervisor with one instance; what is returned scales it up, timed, and down again."""
    project = bench.project()
    gate = stack.enter_context(gates(project, step + 1))
    command = {"worker": f"{COMMAND} {gate.path(tools.PROCSUP_NUMBER)}"}
    tool = stack.enter_context(bench.started(tools.procsup(bench, project, command, "-m", "worker=1"), project))
    gate.wait(1)
    # The first child runs before the supervisor listens; what is measured is not its start.
    until(lambda: any(project.rglob("*.sock")), "no control socket")

    def measure() -> float:
        try:
            taken = _timed(bench, project, tools.procsup_scale(bench, project, f"worker=+{step}"), gate, step)
        except Late as error:
            raise tool.explained(error) from None
        bench.client(tools.procsup_scale(bench, project, f"worker=-{step}", "--wait"), project)
        for number in range(2, step + 2):
            gate.close(number)
        return taken

    return measure


def _circus(bench: Bench, step: int) -> float:
    # A new circusd each turn, started and ended outside the clock: it cannot be told which of its instances to end.
    project = bench.project()
    with gates(project, step + 1) as gate:
        command = {"worker": f"{COMMAND} {gate.path(tools.CIRCUS_NUMBER)}"}
        with bench.started(tools.circus(bench, project, command), project):
            gate.wait(1)
            more = tools.circus_control(bench, project, "incr", "worker", str(step))
            taken = _timed(bench, project, more, gate, step)
            # It may never end if SIGTERM meets it in the middle of its own book-keeping.
            time.sleep(PAUSE)
            return taken


def _bare(gate: Gates, step: int) -> float:
    numbers = range(1, step + 1)
    began = time.monotonic()
    pids = [os.posix_spawn("/bin/cat", [COMMAND, str(gate.path(number))], os.environ) for number in numbers]
    try:
        for number in numbers:
            gate.wait(number)
        return time.monotonic() - began
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        gate.close_all()


def _timed(bench: Bench, project: Path, argv: tools.Argv, gate: Gates, step: int) -> float:
    """Seconds from the exec of the command until instances 2 to `step` + 1 have come to their gates."""
    with bench.started(argv, project) as client:
        for number in range(2, step + 2):
            gate.wait(number)
        taken = time.monotonic() - client.since
        if client.wait(LIMIT) != 0:
            raise RuntimeError(f"{client.name} ended with {client.process.returncode}: {client.last_words()}")
    return taken


def _row(step: int, taken: dict[str, Samples]) -> Row:
    ours, python, bare, circus = (taken[name] for name in ("procsup", "python", "bare", "circus"))
    result, met = "—", None
    if ours.values and python.values and bare.values:
        allowed = REACH * python.median + bare.median
        result = f"{(ours.median - bare.median) / python.median:.2f} × python + bare"
        met = ours.median <= allowed
        if circus.values:
            result += f", {ours.median / circus.median:.2f} × circus"
            met = met and ours.median < circus.median
    return Row(
        what=f"`procsup scale worker=+{step}` → {'the new one' if step == 1 else f'all {step}'} running",
        reach=f'≤ {REACH} × `python -c "{FLOOR}"` + bare spawns; ahead of circus',
        ours=ours.show(seconds),
        against=(
            (f"`{FLOOR}`", python.show(seconds)),
            (f"bare spawn × {step}", bare.show(seconds)),
            ("circusctl incr", circus.show(seconds)),
        ),
        result=result,
        met=met,
    )
