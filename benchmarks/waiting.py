"""Waits for what no FIFO can tell: looks again and again, within a bound."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.gates import Late

PAUSE = 0.01


def until(true: Callable[[], bool], otherwise: str, within: float = 30.0) -> None:
    """Raises `Late` with what is otherwise so."""
    over = time.monotonic() + within
    while not true():
        if time.monotonic() > over:
            raise Late(f"{otherwise} within {within:g} s")
        time.sleep(PAUSE)
