"""How long a person waits: from the exec of `procsup start` until the first child runs.

The child is the cheapest there is (`cat GATE`); python with the two imports no asyncio command-line tool can do without
is run from its exec to its end.
"""

from __future__ import annotations

import time

from benchmarks import tools
from benchmarks.bench import Bench
from benchmarks.gates import COMMAND, gates
from benchmarks.samples import Row, Samples, interleave, ratio, seconds

REACH = 1.3
FLOOR = "import asyncio, click"
LIMIT = 60.0
PAUSE = 0.3


def rows(bench: Bench) -> list[Row]:
    taken = interleave(
        {
            "procsup": lambda: _first_child(bench, tools.procsup),
            "python": lambda: run_python(bench, FLOOR),
            "honcho": lambda: _first_child(bench, tools.honcho),
        },
        bench.options.rounds,
    )
    return [_row(taken)]


def run_python(bench: Bench, code: str) -> float:
    """Seconds from the exec of `python -c CODE` to its end, with procsup's own python."""
    with bench.started([bench.python, "-c", code], bench.project()) as python:
        if python.wait(LIMIT) != 0:
            raise RuntimeError(f"python ended with {python.process.returncode}: {python.last_words()}")
        return time.monotonic() - python.since


def _first_child(bench: Bench, command: tools.Driver) -> float:
    project = bench.project()
    with gates(project, 1) as gate:
        argv = command(bench, project, {"web": f"{COMMAND} {gate.path(1)}"})
        with bench.started(argv, project) as tool:
            gate.wait(1)
            taken = time.monotonic() - tool.since
            # honcho never ends if SIGTERM meets it before it has heard from its own helper.
            time.sleep(PAUSE)
            return taken


def _row(taken: dict[str, Samples]) -> Row:
    to_python, to_honcho = ratio(taken["procsup"], taken["python"]), ratio(taken["procsup"], taken["honcho"])
    result = ", ".join(
        f"{value:.2f} × {name}" for value, name in ((to_python, "python"), (to_honcho, "honcho")) if value is not None
    )
    return Row(
        what="exec of `procsup start` → first child running",
        reach=f'≤ {REACH} × `python -c "{FLOOR}"`; ahead of honcho',
        ours=taken["procsup"].show(seconds),
        against=((f"`{FLOOR}`", taken["python"].show(seconds)), ("honcho", taken["honcho"].show(seconds))),
        result=result or "—",
        met=None if to_python is None else to_python <= REACH and (to_honcho is None or to_honcho < 1),
    )
