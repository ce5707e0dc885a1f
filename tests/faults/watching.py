"""What the kernel says of the processes in a test, and the children that several of the tests run.

The children say `ready` when they are; no test waits for a time to pass, but where that time is what it measures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.app import PATIENCE

READY = "sh -c 'echo ready $$; exec sleep 1000'"
DEAF = """sh -c 'trap "" TERM; echo ready $$; while :; do sleep 1000; done'"""
NOISE = 5.0  # what a busy machine may add to a bound


@contextmanager
def within(bound: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    assert took <= bound, f"took {took:.2f} s, and not {bound} s at most"


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


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def children(pid: int) -> dict[int, str]:
    """All children, the dead ones too, each with its state."""
    found = ((int(name), _stat(int(name))) for name in os.listdir("/proc") if name.isdigit())
    return {child: fields[0] for child, fields in found if fields and int(fields[1]) == pid}


def zombies(pid: int) -> list[int]:
    return [child for child, state in children(pid).items() if state == "Z"]
