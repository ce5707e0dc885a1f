"""What the output path promises whatever is thrown at it: a quiet line is not late, and memory stays bounded.

Quiet beside loud: one process writes 100 MB/s, another one a line now and then with the time of its clock in it; stdout
is a pipe that is read at once, and the line's age then is what counts.

Memory: 1,000 instances each say 20 kB, four write as fast as they can while somebody follows who has been stopped
(SIGSTOP) and standard output is left unread for a while, and one writes 1 GB without a newline. What counts is the
highest the supervisor's memory ever was over what it was before any of them spoke. That all of it came is counted.
"""

from __future__ import annotations

import os
import re
import select
import signal
import time
from functools import partial
from pathlib import Path

from benchmarks import pace, procfs, tools
from benchmarks.bench import Bench
from benchmarks.gates import Late, gates
from benchmarks.samples import Row, Samples, interleave, mebibytes, seconds
from benchmarks.waiting import until

SPEED = 100e6
BETWEEN = 0.02
LISTENED = 8.0
LATE = 0.050
MORE = 32 * 2**20
LONG_LINE = 10**9
GREETING = "I am here"
GREETINGS = 2000
UNREAD = 2.0
STALL = 12.0  # longer than a follower that reads nothing is borne with
LIMIT = 120.0
READ = 2**18


def rows(bench: Bench) -> list[Row]:
    return [_quiet(bench), _memory(bench)]


def _quiet(bench: Bench) -> Row:
    drivers: dict[str, tools.Driver] = {"procsup": tools.procsup, "prefixer.c": tools.prefixer}
    speeds: dict[str, list[float]] = {name: [] for name in drivers}

    def measure(name: str) -> float:
        late, speed = _lateness(bench, drivers[name])
        speeds[name].append(speed)
        return late

    taken = interleave({name: partial(measure, name) for name in drivers}, max(3, bench.options.rounds // 5))
    shown = {name: each.show(seconds) for name, each in taken.items()}
    for name, each in taken.items():
        if each.values:
            shown[name] += f" beside {Samples(speeds[name]).median / 1e6:.0f} MB/s"
    ours = taken["procsup"]
    return Row(
        what="a line of a quiet process beside one of 100 MB/s, from its write until it is read (p99)",
        reach=f"≤ {LATE * 1e3:.0f} ms",
        ours=shown["procsup"],
        against=(("prefixer.c", shown["prefixer.c"]),),
        result=seconds(ours.median) if ours.values else "—",
        met=ours.median <= LATE if ours.values else None,
    )


def _lateness(bench: Bench, driver: tools.Driver) -> tuple[float, float]:
    """The 99th percentile of the ages, and how much the loud one brought through, bytes a second."""
    project = bench.project()
    read, write = os.pipe()
    try:
        with gates(project, 2) as gate:
            program = f"{bench.python} {pace.__file__}"
            commands = {
                "loud": f"{program} loud {SPEED:.0f} {gate.path(1)}",
                "quiet": f"{program} quiet {BETWEEN} {gate.path(2)}",
            }
            with bench.started(driver(bench, project, commands), project, stdout=write):
                gate.wait(1)
                gate.wait(2)
                gate.close_all()
                return _listen(read)
    finally:
        os.close(read)
        os.close(write)


def _listen(read: int) -> tuple[float, float]:
    stamp = re.compile(re.escape(pace.STAMP) + rb"(\d+)\n")
    ages: list[float] = []
    heard, rest = 0, b""
    began = time.monotonic()
    while (now := time.monotonic()) < began + LISTENED:
        if not select.select([read], [], [], 1.0)[0]:
            continue
        chunk = rest + os.read(read, READ)
        now = time.monotonic()
        ages += [now - int(found) / 1e9 for found in stamp.findall(chunk)]
        heard += len(chunk) - len(rest)
        rest = chunk[chunk.rfind(b"\n") + 1 :]
    if len(ages) < 100:
        raise Late(f"only {len(ages)} lines of the quiet one came within {LISTENED:g} s")
    return sorted(ages)[int(len(ages) * 0.99)], heard / LISTENED


def _memory(bench: Bench) -> Row:
    taken = interleave({"procsup": lambda: float(_growth(bench))}, 1, warm_up=0)["procsup"]
    return Row(
        what=f"memory of the supervisor at its highest, over what it was before: {bench.options.instances:,} instances "
        "that said 20 kB each, four fast writers, a stopped follower, an unread stdout, a line of 1 GB",
        reach=f"≤ +{mebibytes(MORE)}; nothing lost",
        ours=taken.show(mebibytes),
        against=(),
        result=f"+{mebibytes(taken.median)}; nothing lost" if taken.values else "—",
        met=taken.median <= MORE if taken.values else None,
    )


def _growth(bench: Bench) -> int:
    """Bytes; raises if something of the long line was lost."""
    project = bench.project()
    crowd, fast, long, hold = (project / name for name in ("crowd", "fast", "long", "hold"))
    for fifo in (crowd, fast, long, hold):
        os.mkfifo(fifo)
    commands = {
        "crowd": f"read word < {crowd}; yes '{GREETING}' | head -n {GREETINGS}; exec cat {hold}",
        "fast": f"read word < {fast}; yes {'f' * 99} | head -c 300000000; exec cat {hold}",
        "long": f"read word < {long}; head -c {LONG_LINE} /dev/zero | tr '\\0' '#'; echo; exec cat {hold}",
    }
    formation = f"crowd={bench.options.instances},fast=4,long=1"
    read, write = os.pipe()
    try:
        argv = tools.procsup(bench, project, commands, "-m", formation)
        with bench.started(argv, project, stdout=write) as tool:
            reader = _Reader(read)
            reader.until_quiet()
            before = procfs.status_bytes(tool.pid, "VmRSS")
            shown = project / "followed"
            with (
                shown.open("wb") as stream,
                bench.started(tools.procsup_follow(bench, project), project, stdout=stream.fileno()) as follower,
            ):
                until(lambda: shown.stat().st_size > 0, "the follower showed nothing")
                follower.process.send_signal(signal.SIGSTOP)
                for gate in (crowd, fast):
                    _open(gate)
                    time.sleep(UNREAD)
                reader.until_quiet(STALL)
                _open(long)
                reader.until_quiet()
                follower.process.send_signal(signal.SIGCONT)
            missing = LONG_LINE - reader.hashes, GREETINGS * bench.options.instances - reader.greetings
            if missing != (0, 0):
                raise RuntimeError(f"{missing[0]:,} bytes of the long line and {missing[1]:,} greetings are missing")
            if not reader.cut_off:
                raise RuntimeError("the stopped follower was not cut off")
            return procfs.status_bytes(tool.pid, "VmHWM") - before
    finally:
        os.close(read)
        os.close(write)


class _Reader:
    """Reads standard output away and counts what was said there."""

    def __init__(self, read: int) -> None:
        self._read = read
        self.hashes = 0  # what the long line consists of
        self.greetings = 0
        self.cut_off = False  # the follower
        self._rest = b""  # that may be the beginning of a greeting

    def until_quiet(self, silence: float = 3.0) -> None:
        over = time.monotonic() + LIMIT
        while select.select([self._read], [], [], silence)[0]:
            chunk = os.read(self._read, READ)
            self.hashes += chunk.count(b"#")
            chunk = self._rest + chunk
            self.greetings += chunk.count(GREETING.encode())
            self.cut_off = self.cut_off or b"cut off" in chunk
            self._rest = chunk[1 - len(GREETING) :]
            if time.monotonic() > over:
                raise Late(f"the output had no end within {LIMIT:g} s")


def _open(gate: Path) -> None:
    """Let go all who wait there."""
    os.close(os.open(gate, os.O_WRONLY))
