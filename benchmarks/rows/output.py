"""What the output path carries with all that people put on it: history, one who follows, the line at the foot.

Four writers of numbered 100-byte lines; every line is checked. With stdout a pipe, procsup keeps its history and a
`procsup logs -f` hangs on it, and beside it stand the tools that prefix lines, which do nothing else, and a C program
that does as little as can be done (`prefixer.c`). The line at the foot is there on a terminal only: there procsup has
all three, and the C program shows what the kernel takes for each line that goes through one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import carriage, tools
from benchmarks.bench import Bench
from benchmarks.samples import Row, Samples, interleave
from benchmarks.waiting import until

WRITERS = 4
AHEAD = 2.5  # times the fastest peer
FLOOR = 0.6  # times the C program
CPU = 0.25  # seconds per million lines
OURS = {"procsup", "prefixer.c"}


def rows(bench: Bench) -> list[Row]:
    buffer = carriage.make_buffer(bench)
    return [_to_pipe(bench, buffer), _to_terminal(bench, buffer)]


def _to_pipe(bench: Bench, buffer: bytearray) -> Row:
    drivers: dict[str, tools.Driver] = {
        "procsup": tools.procsup,
        "prefixer.c": tools.prefixer,
        "concurrently": tools.concurrently,
        "hivemind": tools.hivemind,
        "circus": tools.circus,
        "foreman": tools.foreman,
        "honcho": tools.honcho,
    }
    carrying = carriage.Carrying(bench, drivers, WRITERS, buffer)
    turns = {name: partial(carrying.measure, name) for name in drivers}
    turns["procsup"] = partial(carrying.measure, "procsup", partial(_follower, bench))
    taken = interleave(turns, max(3, bench.options.rounds // 3))
    tally, ours = carrying.tallies["procsup"], taken["procsup"]
    shown = {name: carrying.tallies[name].show(samples) for name, samples in taken.items()}
    peer = carriage.fastest(taken, OURS)
    floor = taken["prefixer.c"].median if taken["prefixer.c"].values else None
    result, met = "—", None
    if ours.values:
        cpu = Samples(tally.cpu[1:]).median
        met = tally.verdict.clean and cpu <= CPU
        result = f"{cpu:.2f} CPU s per million; {tally.verdict}"
        if floor:
            met = met and ours.median >= FLOOR * floor
            result = f"{ours.median / floor:.2f} × the C program, {result}"
        if peer:
            met = met and ours.median >= AHEAD * peer
            result = f"{ours.median / peer:.1f} × the fastest peer, {result}"
    return Row(
        what=f"{WRITERS} writers of 100-byte lines with history and one `logs -f`, stdout a pipe",
        reach=f"≥ {AHEAD:g} × the fastest peer, ≥ {FLOOR:g} × the C program, ≤ {CPU} CPU s per million; "
        "none lost, torn or mixed",
        ours=shown["procsup"],
        against=tuple((name, shown[name]) for name in shown if name != "procsup"),
        result=result,
        met=met,
    )


def _to_terminal(bench: Bench, buffer: bytearray) -> Row:
    drivers: dict[str, tools.Driver] = {"procsup": tools.procsup, "prefixer.c": tools.prefixer}
    carrying = carriage.Carrying(bench, drivers, WRITERS, buffer)
    besides = {"procsup": partial(_follower, bench), "prefixer.c": None}
    turns = {name: partial(carrying.measure, name, besides[name], terminal=True) for name in drivers}
    taken = interleave(turns, max(3, bench.options.rounds // 3))
    tally, ours, bare = carrying.tallies["procsup"], taken["procsup"], taken["prefixer.c"]
    result, met = "—", None
    if ours.values and bare.values:
        more = Samples(tally.cpu[1:]).median - Samples(carrying.tallies["prefixer.c"].cpu[1:]).median
        result = f"{ours.median / bare.median:.2f} × the C program, {more:+.2f} CPU s per million; {tally.verdict}"
        met = more <= CPU and tally.verdict.clean
    return Row(
        what=f"{WRITERS} writers of 100-byte lines with history, one `logs -f` and the foot's line, stdout a terminal",
        reach=f"≤ {CPU} CPU s per million more than the C program; none lost, torn or mixed",
        ours=tally.show(ours),
        against=(("prefixer.c", carrying.tallies["prefixer.c"].show(bare)),),
        result=result,
        met=met,
    )


@contextmanager
def _follower(bench: Bench, project: Path) -> Iterator[None]:
    """From its first line, which procsup itself has said; what it shows goes to a file."""
    shown = project / "followed"
    until(lambda: any(project.glob("run/procsup/*.sock")), "no control socket")
    follow = tools.procsup_follow(bench, project)
    with shown.open("wb") as stream, bench.started(follow, project, stdout=stream.fileno()):
        until(lambda: shown.stat().st_size > 0, "the follower showed nothing")
        yield
