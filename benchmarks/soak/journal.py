"""What was done to procsup, and what was found wrong."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter, deque
from typing import NamedTuple

_REMEMBERED = 150  # lines: some fifty things that were done, and what procsup said to them
_MOST_VIOLATIONS = 20


class Violation(NamedTuple):
    at: float
    what: str
    before: tuple[str, ...]


class Journal:
    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.kinds: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self.checks = 0
        self._events: deque[str] = deque(maxlen=_REMEMBERED)
        self._told: set[str] = set()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def happened(self, kind: str, what: str = "") -> None:
        self.kinds[kind] += 1
        self.remark(f"{kind} {what}".rstrip())

    def remark(self, what: str) -> None:
        self._events.append(f"{self.seconds:8.2f} s  {what}")

    def wrong(self, what: str) -> None:
        """A violation; told once for all that differ in numbers only."""
        self.remark(f"VIOLATION {what}")
        sort = re.sub(r"[\d.]+", "#", what)
        if sort in self._told or len(self.violations) >= _MOST_VIOLATIONS:
            return
        self._told.add(sort)
        self.violations.append(Violation(self.seconds, what, tuple(self._events)))
        print(f"violation after {self.seconds:.1f} s: {what}", file=sys.stderr, flush=True)
