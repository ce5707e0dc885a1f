"""What the output path carries: writers of numbered 100-byte lines, stdout a pipe, every line checked afterwards.

The clock runs from the opening of the writers' gates until the reader has the last byte. The reader copies into memory
that it has touched before and looks at nothing meanwhile; it is the same for all tools.
"""

from __future__ import annotations

import gc
import os
import select
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks import lines, procfs, tools
from benchmarks.bench import Bench
from benchmarks.gates import COMMAND, Gates, gates
from benchmarks.samples import Row, Samples, interleave

REACH = 2.0
LINE_LIMIT = 200
SPARE = 2**20
READ = 2**18
QUIET = 0.5
SILENT = 5.0
LONGEST = 300.0
HOLD = 9
# A tool that is slower by far sends a part of the lines only (one in so many), or the run would be its run.
SHARE = {"honcho": 10}
# Whether its lines carry the name of the writer; circus passes what it reads as it is.
NAMED = {"procsup": True, "honcho": True, "concurrently": True, "circus": False}


@dataclass
class Tally:
    """What else is known of each tool, by turn: CPU seconds per million lines, and what came out."""

    cpu: list[float] = field(default_factory=list)
    verdicts: list[lines.Verdict] = field(default_factory=list)

    @property
    def verdict(self) -> lines.Verdict:
        """The worst, the warm-up's included: a lost line is lost."""
        return max(self.verdicts, key=lambda verdict: verdict.lost + verdict.torn, default=lines.Verdict())


@dataclass(frozen=True)
class Load:
    """The files that the writers of one row send, by writer, and what is in them."""

    folder: Path
    files: dict[int, bytes]

    @classmethod
    def make(cls, bench: Bench, writers: int, total: int) -> Load:
        folder = bench.project()
        for writer in range(1, writers + 1):
            lines.make(folder / f"lines.{writer}", writer, total // writers)
        return cls(folder, {writer: (folder / f"lines.{writer}").read_bytes() for writer in range(1, writers + 1)})

    @property
    def total(self) -> int:
        return sum(len(data) for data in self.files.values()) // lines.LENGTH

    def commands(self, gate: Gates) -> dict[str, str]:
        return {
            f"w{writer}": f"{COMMAND} {gate.path(writer)} {self.folder / f'lines.{writer}'} {gate.path(HOLD)}"
            for writer in self.files
        }


def rows(bench: Bench) -> list[Row]:
    made = bytearray(b"\xff") * (bench.options.lines * LINE_LIMIT + SPARE)
    return [_row(bench, made, writers) for writers in (1, 4)]


def _row(bench: Bench, buffer: bytearray, writers: int) -> Row:
    drivers: dict[str, tools.Driver] = {
        "procsup": tools.procsup,
        "honcho": tools.honcho,
        "circus": tools.circus,
        "concurrently": tools.concurrently,
    }
    loads = {share: Load.make(bench, writers, bench.options.lines // share) for share in {1, *SHARE.values()}}
    tallies = {name: Tally() for name in drivers}

    def measure(name: str) -> float:
        load = loads[SHARE.get(name, 1)]
        rate, cpu, verdict = _carry(bench, drivers[name], load, buffer, NAMED[name])
        tallies[name].cpu.append(cpu)
        tallies[name].verdicts.append(verdict)
        return rate

    rounds = max(3, bench.options.rounds // 3)
    return _summary(writers, interleave({name: partial(measure, name) for name in drivers}, rounds), tallies)


def _carry(
    bench: Bench, driver: tools.Driver, load: Load, buffer: bytearray, named: bool
) -> tuple[float, float, lines.Verdict]:
    """Lines a second, CPU seconds per million of them, and whether all came."""
    project = bench.project()
    read, write = os.pipe()
    os.set_blocking(read, False)
    try:
        with gates(project, HOLD) as gate:
            argv = driver(bench, project, load.commands(gate))
            with bench.started(argv, project, stdout=write) as tool:
                for writer in load.files:
                    gate.wait(writer)
                own = tool.own_processes([COMMAND])
                cpu = procfs.cpu_seconds(own)
                began = time.monotonic()
                gate.close_all()
                used, ended = _receive(read, buffer, load.total)
                cpu = procfs.cpu_seconds(own) - cpu
    finally:
        os.close(read)
        os.close(write)
    verdict = lines.judge(memoryview(buffer)[:used], load.files, named)
    return load.total / (ended - began), cpu / load.total * 1e6, verdict


def _receive(read: int, buffer: bytearray, total: int) -> tuple[int, float]:
    """Read until all lines are there and nothing more comes; bytes read, and when the last of them came."""
    view = memoryview(buffer)
    used, last = 0, time.monotonic()
    until = last + LONGEST
    gc.disable()
    try:
        while True:
            try:
                got = os.readv(read, [view[used : used + READ]])
            except BlockingIOError:
                if select.select([read], [], [], QUIET)[0]:
                    continue
                if buffer.count(lines.SIGN, 0, used) >= total or time.monotonic() - last > SILENT:
                    return used, last
                continue
            used, last = used + got, time.monotonic()
            if not got or last > until:
                return used, last
    finally:
        gc.enable()


def _summary(writers: int, taken: dict[str, Samples], tallies: dict[str, Tally]) -> Row:
    shown = {}
    for name, samples in taken.items():
        shown[name] = samples.show(_lines)
        if samples.values:
            cpu = Samples(tallies[name].cpu[1:])
            shown[name] += f", {cpu.median:.2f} CPU s per million; {tallies[name].verdict}"
    ours = taken["procsup"]
    fastest = max((s.median for name, s in taken.items() if name != "procsup" and s.values), default=None)
    value = ours.median / fastest if ours.values and fastest else None
    clean = tallies["procsup"].verdict
    return Row(
        what=f"{writers} writer{'s' if writers > 1 else ''} of {lines.LENGTH}-byte lines, stdout a pipe",
        reach=f"≥ {REACH:g} × the fastest of honcho, circus and concurrently; none lost, torn or mixed",
        ours=shown["procsup"],
        against=tuple((name, shown[name]) for name in shown if name != "procsup"),
        result="—" if value is None else f"{value:.1f} × the fastest; {clean}",
        met=None if value is None else value >= REACH and clean.clean,
    )


def _lines(rate: float) -> str:
    return f"{rate / 1e6:.2f} M lines/s" if rate >= 1e5 else f"{rate / 1e3:.1f} k lines/s"
