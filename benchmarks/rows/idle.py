"""What a supervisor costs while nothing happens: wake-ups, CPU and memory of its own processes, all in the same minute.

All stand side by side, each with its children asleep. Its own processes are all that carry its mark but the children
it was asked to run, so helpers count. Memory is compared with a Python that has imported the same two libraries.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import procfs, tools
from benchmarks.bench import Bench, Started
from benchmarks.gates import Late
from benchmarks.rows.start import FLOOR
from benchmarks.samples import Row, mebibytes

REACH = 1.3
START_LIMIT = 120.0
SETTLE = 5.0
CHILD = "sleep"


@dataclass(frozen=True)
class Cost:
    """Of all its own processes together, over the time watched."""

    processes: int
    wake_ups: int
    cpu: float
    ticks: float
    private: int
    proportional: int

    def show(self) -> str:
        return (
            f"{self.wake_ups} wake-ups, {self.ticks:.2f} s CPU, {mebibytes(self.private)} private "
            f"(PSS {mebibytes(self.proportional)}, processes: {self.processes})"
        )


def rows(bench: Bench) -> list[Row]:
    count = bench.options.idle_children
    command = {"worker": f"{CHILD} 100000"}
    several = f"worker={count}"
    starters: dict[str, Callable[[Path], tools.Argv]] = {
        "procsup": lambda project: tools.procsup(bench, project, command, "-m", several),
        "python": lambda _project: [bench.python, "-c", f"{FLOOR}, time; time.sleep(100000)"],
        "honcho": lambda project: tools.honcho(bench, project, command, "-c", several),
        "circus": lambda project: tools.circus(bench, project, command, count),
    }
    running: dict[str, Started] = {}
    failures: dict[str, str] = {}
    with ExitStack() as stack:
        for name, starter in starters.items():
            project = bench.project()
            try:
                running[name] = stack.enter_context(bench.started(starter(project), project))
                if name != "python":
                    _wait_for(running[name], count)
            except (tools.Missing, Late) as error:
                running.pop(name, None)
                failures[name] = f"failed: {error}"
        time.sleep(SETTLE)
        costs = _watch(running, bench.options.idle_seconds)
    return [_row(bench, costs, failures)]


def _wait_for(tool: Started, count: int) -> None:
    until = time.monotonic() + START_LIMIT
    while sum(procfs.command_name(pid) == CHILD for pid in procfs.marked(tool.mark)) < count:
        if time.monotonic() > until or tool.process.poll() is not None:
            raise Late(f"{tool.name} has not started {count} children: {tool.last_words()}")
        time.sleep(0.2)


def _watch(running: dict[str, Started], duration: float) -> dict[str, Cost]:
    own = {name: tool.own_processes([CHILD]) for name, tool in running.items()}
    before = {
        name: (procfs.switches(pids), procfs.cpu_seconds(pids), procfs.cpu_ticks(pids)) for name, pids in own.items()
    }
    time.sleep(duration)
    costs = {}
    for name, pids in own.items():
        switches, cpu, ticks = before[name]
        costs[name] = Cost(
            processes=len(pids),
            wake_ups=procfs.switches(pids) - switches,
            cpu=procfs.cpu_seconds(pids) - cpu,
            ticks=procfs.cpu_ticks(pids) - ticks,
            private=sum(procfs.private_memory(pid) for pid in pids),
            proportional=sum(procfs.proportional_memory(pid) for pid in pids),
        )
    return costs


def _row(bench: Bench, costs: dict[str, Cost], failures: dict[str, str]) -> Row:
    ours, python = costs.get("procsup"), costs.get("python")
    shown = {name: cost.show() for name, cost in costs.items()} | failures
    result, met = "—", None
    if ours is not None and python is not None:
        memory = ours.private / python.private
        result = f"{ours.wake_ups} wake-ups, {ours.ticks:.2f} s CPU ({ours.cpu * 1e3:.2f} ms), {memory:.2f} × memory"
        met = ours.wake_ups == 0 and ours.ticks == 0 and memory <= REACH
    return Row(
        what=f"idle, {bench.options.idle_children} children, {bench.options.idle_seconds:g} s",
        reach=f"0 wake-ups of its own, 0.00 s CPU; private memory ≤ {REACH} × `{FLOOR}`",
        ours=shown["procsup"],
        against=tuple((f"`{FLOOR}`" if name == "python" else name, shown[name]) for name in shown if name != "procsup"),
        result=result,
        met=met,
    )
