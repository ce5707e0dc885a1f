"""Says how much was lost, in the words that all use who can lose something."""

from __future__ import annotations


def lost_bytes(count: int | None, how: str = "lost", of: str = "output") -> str:
    """`3 bytes of output are lost`; None where nobody knows how many."""
    if count == 0:
        return f"nothing is {how}"
    if count is None:
        return f"some bytes of {of} are {how}"
    return f"1 byte of {of} is {how}" if count == 1 else f"{count} bytes of {of} are {how}"
