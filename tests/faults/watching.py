"""What the kernel says of the processes in a test, and the children that several of the tests run.

The children say `ready` when they are; no test waits for a time to pass, but where that time is what it measures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import leaks
from tests.e2e.app import PATIENCE

READY = "sh -c 'echo ready $$; exec sleep 1000'"
DEAF = """sh -c 'trap "" TERM; echo ready $$; while :; do sleep 1000; done'"""
NOISE = 5.0  # what a busy machine may add to a bound

Record = Callable[[str, object], None]  # pytest's record_property: what was measured, and how much it is, for people


class Took:
    """How long something took so far, or took in all once it is over."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._over: float | None = None

    def stop(self) -> None:
        self._over = time.monotonic()

    @property
    def seconds(self) -> float:
        return (time.monotonic() if self._over is None else self._over) - self._begun

    def __str__(self) -> str:
        return in_words(self.seconds)


def in_words(seconds: float) -> str:
    """`31 ms`, `1.24 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


@contextmanager
def within(bound: float) -> Iterator[Took]:
    took = Took()
    yield took
    took.stop()
    assert took.seconds <= bound, f"took {took.seconds:.2f} s, and not {bound} s at most"


def until(condition: Callable[[], bool], bound: float = PATIENCE) -> None:
    end = time.monotonic() + bound
    while not condition():
        assert time.monotonic() < end, f"not so within {bound} s"
        time.sleep(0.005)  # the pace of asking


def _stat(pid: int) -> list[str]:
    """The fields behind the name: state, parent, …; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def ticks(pid: int) -> int:
    """The processor time a process has had, in hundredths of a second."""
    return sum(map(int, _stat(pid)[11:13]))


def ticks_in(pid: int, seconds: float) -> int:
    before = ticks(pid)
    time.sleep(seconds)  # the length of the measurement
    return ticks(pid) - before


def memory(pid: int) -> int:
    """The resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def children(pid: int) -> dict[int, str]:
    """All children, the dead ones too, each with its state."""
    found = ((int(name), _stat(int(name))) for name in os.listdir("/proc") if name.isdigit())
    return {child: fields[0] for child, fields in found if fields and int(fields[1]) == pid}


def zombies(pid: int) -> list[int]:
    return [child for child, state in children(pid).items() if state == "Z"]


def everybody() -> dict[int, str]:
    """All living processes of this test on the whole machine, whoever their parent is, with their command lines."""
    return leaks.carriers(os.environ[leaks.COOKIE])


def guardian_of(pid: int) -> int:
    [guardian] = [each for each in children(pid) if b"procsup-guardian" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return guardian


def sockets() -> list[Path]:
    """The control sockets of the test's supervisors."""
    return list(Path(os.environ["PROCSUP_STATE_DIR"], "run").glob("*.sock"))
