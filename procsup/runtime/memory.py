"""Memory kept back for the end: a supervisor that has run out of it could not even stop its children, or say so."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

# Address space only: nothing of it is used until it is needed.
_SIZE = 4 * 1024 * 1024
_reserve: list[bytes] = []


def spend_reserve() -> None:
    """Something has failed for want of memory, so this is the end: it gets what was kept for it."""
    _reserve.clear()


def run_loop(main: Coroutine[None, None, int]) -> int:
    """`asyncio.run`, with enough memory kept back to end what `main` has begun. Raises MemoryError then."""
    _reserve.append(bytes(_SIZE))
    with asyncio.Runner() as runner:
        try:
            return runner.run(main)
        except MemoryError:
            spend_reserve()  # the runner cancels what still runs, on its way out
            raise
