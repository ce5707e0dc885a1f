"""Amounts of memory, as people write them and as they are told; nothing here is needed before the first child."""

from __future__ import annotations

import re

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
SIZE = r"0*[1-9][0-9]{0,11}\s*[KMGkmg]?([Ii]?[Bb])?"


def read_size(text: str) -> int | None:
    """The bytes of `512K`, `10m`, `1 GiB`, in steps of 1024; None where it is no size, or none at all."""
    if re.fullmatch(SIZE, text) is None:
        return None
    short = text.upper().removesuffix("B").removesuffix("I")
    number = short.rstrip("KMG")
    return int(number) * _UNITS[short[len(number) :]]


def write_size(count: int) -> str:
    """As `read_size` reads it, in the largest unit that needs no fraction."""
    unit = next(each for each in reversed(_UNITS) if count % _UNITS[each] == 0)
    return f"{count // _UNITS[unit]}{unit}"


def in_words(count: float) -> str:
    """`256 MiB`, `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.1f}".removesuffix(".0") + f" {unit}"
        count /= 1024
    return f"{count:.1f}".removesuffix(".0") + " GiB"
