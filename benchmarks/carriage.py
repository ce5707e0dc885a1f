"""Lets a tool carry the numbered lines of some writers to a pipe or a terminal, and measures it: rate, CPU, verdict.

The clock runs from the opening of the writers' gates until the reader has the last byte. The reader copies into memory
that it has touched before and looks at nothing meanwhile; it is the same for all tools.
"""

from __future__ import annotations

import gc
import os
import pty
import select
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import lines, procfs, tools
from benchmarks.bench import Bench
from benchmarks.gates import COMMAND, Gates, gates
from benchmarks.samples import Samples

LINE_LIMIT = 200
SPARE = 2**20
READ = 2**18
QUIET = 0.5
SILENT = 5.0
LONGEST = 300.0
HOLD = 9
# A tool that is slower by far sends a part of the lines only (one in so many), or the run would be its run.
SHARE = {"honcho": 10, "foreman": 10}

# What goes on beside the tool from before the clock until after it; entered with the tool's project.
Beside = Callable[[Path], AbstractContextManager[object]]


@dataclass
class Tally:
    """What else is known of each tool, by turn: CPU seconds per million lines, and what came out."""

    cpu: list[float] = field(default_factory=list)
    verdicts: list[lines.Verdict] = field(default_factory=list)

    @property
    def verdict(self) -> lines.Verdict:
        """The worst, the warm-up's included: a lost line is lost."""
        return max(self.verdicts, key=lambda verdict: verdict.lost + verdict.torn, default=lines.Verdict())

    def show(self, samples: Samples) -> str:
        """All of it, with the rates; the CPU seconds without the warm-up's."""
        shown = samples.show(rate)
        if not samples.values:
            return shown
        return f"{shown}, {Samples(self.cpu[1:]).median:.2f} CPU s per million; {self.verdict}"


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


class Carrying:
    """Some drivers with the same load; `measure` is one turn of one of them."""

    def __init__(self, bench: Bench, drivers: dict[str, tools.Driver], writers: int, buffer: bytearray) -> None:
        self._bench = bench
        self._drivers = drivers
        self._buffer = buffer
        shares = {SHARE.get(name, 1) for name in drivers}
        self._loads = {share: Load.make(bench, writers, bench.options.lines // share) for share in shares}
        self.tallies = {name: Tally() for name in drivers}

    def measure(self, name: str, beside: Beside | None = None, *, terminal: bool = False) -> float:
        """Lines a second; the rest goes to the tally."""
        bench, load = self._bench, self._loads[SHARE.get(name, 1)]
        project = bench.project()
        with _output(terminal) as (read, write), gates(project, HOLD) as gate:
            argv = self._drivers[name](bench, project, load.commands(gate))
            with bench.started(argv, project, stdout=write) as tool:
                for writer in load.files:
                    gate.wait(writer)
                with beside(project) if beside is not None else _nothing():
                    own = tool.own_processes([COMMAND])
                    cpu = procfs.cpu_seconds(own)
                    began = time.monotonic()
                    gate.close_all()
                    used, ended = _receive(read, self._buffer, load.total)
                    cpu = procfs.cpu_seconds(own) - cpu
        said = memoryview(self._buffer)[:used]
        if terminal:
            said = memoryview(bytes(said).replace(b"\r\n", b"\n"))
        self.tallies[name].cpu.append(cpu / load.total * 1e6)
        self.tallies[name].verdicts.append(lines.judge(said, load.files, name != "circus"))  # it names nobody
        return load.total / (ended - began)


def make_buffer(bench: Bench) -> bytearray:
    """Memory for all that a tool makes of the lines."""
    return bytearray(b"\xff") * (bench.options.lines * LINE_LIMIT + SPARE)


def rate(value: float) -> str:
    return f"{value / 1e6:.2f} M lines/s" if value >= 1e5 else f"{value / 1e3:.1f} k lines/s"


def fastest(taken: dict[str, Samples], others: set[str]) -> float | None:
    """The best median of all but these."""
    return max((each.median for name, each in taken.items() if name not in others and each.values), default=None)


@contextmanager
def _output(terminal: bool) -> Iterator[tuple[int, int]]:
    read, write = pty.openpty() if terminal else os.pipe()
    os.set_blocking(read, False)
    try:
        yield read, write
    finally:
        os.close(read)
        os.close(write)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _receive(read: int, buffer: bytearray, total: int) -> tuple[int, float]:
    """Read until all lines are there and nothing more comes; bytes read, and when the last line came."""
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
            used, now = used + got, time.monotonic()
            if got >= lines.LENGTH:  # less is a line about how everybody is
                last = now
            if not got or now > until:
                return used, last
    finally:
        gc.enable()
