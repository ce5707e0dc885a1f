"""What the output path carries by itself: writers of numbered 100-byte lines, stdout a pipe, every line checked."""

from __future__ import annotations

from functools import partial

from benchmarks import carriage, lines, tools
from benchmarks.bench import Bench
from benchmarks.samples import Row, interleave

REACH = 2.0


def rows(bench: Bench) -> list[Row]:
    buffer = carriage.make_buffer(bench)
    return [_row(bench, buffer, writers) for writers in (1, 4)]


def _row(bench: Bench, buffer: bytearray, writers: int) -> Row:
    drivers: dict[str, tools.Driver] = {
        "procsup": tools.procsup,
        "honcho": tools.honcho,
        "circus": tools.circus,
        "concurrently": tools.concurrently,
    }
    carrying = carriage.Carrying(bench, drivers, writers, buffer)
    rounds = max(3, bench.options.rounds // 3)
    taken = interleave({name: partial(carrying.measure, name) for name in drivers}, rounds)
    shown = {name: carrying.tallies[name].show(samples) for name, samples in taken.items()}
    peer = carriage.fastest(taken, {"procsup"})
    ours, clean = taken["procsup"], carrying.tallies["procsup"].verdict
    value = ours.median / peer if ours.values and peer else None
    return Row(
        what=f"{writers} writer{'s' if writers > 1 else ''} of {lines.LENGTH}-byte lines, stdout a pipe",
        reach=f"≥ {REACH:g} × the fastest of honcho, circus and concurrently; none lost, torn or mixed",
        ours=shown["procsup"],
        against=tuple((name, shown[name]) for name in shown if name != "procsup"),
        result="—" if value is None else f"{value:.1f} × the fastest; {clean}",
        met=None if value is None else value >= REACH and clean.clean,
    )
