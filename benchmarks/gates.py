"""How a child proves, by itself, that it runs: it opens a FIFO that we wait at.

The child is `cat GATE`, a small C program that needs no shell: its open of the FIFO lets our own blocking open through
at that moment, then it stays in a read, quiet, until it is killed or the gate is closed. So nothing is polled, and a
bare spawn of the same program is measured in the same way.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

COMMAND = "cat"


class Late(Exception):
    """What was waited for did not come within the time it was given."""


class Gates:
    """A folder of numbered FIFOs and our own ends of those that somebody has come to."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._ends: dict[int, int] = {}
        for number in range(1, count + 1):
            os.mkfifo(self.path(number))

    def path(self, number: int | str) -> Path:
        """The FIFO of that number; with a placeholder in its place, the pattern that a tool fills in."""
        return self._folder / f"gate.{number}"

    def wait(self, number: int, within: float = 30.0) -> None:
        """Return when somebody has opened that gate; raises `Late`. It stays open until `close`."""
        with limited(within, f"nobody came to gate {number}"):
            end = os.open(self.path(number), os.O_WRONLY)
        self.close(number)
        self._ends[number] = end

    def close(self, number: int) -> None:
        """Let go of it: the child that waits there reads end of file."""
        end = self._ends.pop(number, None)
        if end is not None:
            os.close(end)

    def close_all(self) -> None:
        for number in list(self._ends):
            self.close(number)


@contextmanager
def gates(folder: Path, count: int) -> Iterator[Gates]:
    """`count` gates in `folder`, closed at the end."""
    made = Gates(folder, count)
    try:
        yield made
    finally:
        made.close_all()


@contextmanager
def limited(within: float, what: str) -> Iterator[None]:
    """Raise `Late` if the block, which may sit in a system call, takes longer. Main thread only; not to be nested."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Late(f"{what} within {within:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, within)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
