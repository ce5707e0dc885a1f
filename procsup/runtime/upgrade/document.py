"""How a supervisor's memory is written down for the version that takes over from it: JSON, by names, bytes apart.

Not pickle: what is read back (`document_reader`) are the classes that may be, with the fields that they have, and
nothing else. A newer version may add fields with defaults; what it does not know any more is an error, which the trial
finds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from procsup.output.source import Source
from procsup.value import Value

FORMAT = 1
PLAIN = frozenset((int, float, str, bool, type(None)))
KIND = "is"  # no field may be called so
LENGTH = 16  # digits of the length of the JSON, which stands in front of it

# By what names other versions know the classes whose own name is another.
Aliases = Mapping[type, str]


class Header(Value):
    """What even a version that understands nothing else has to know, to give way to the one before.

    `descriptors` are all that were handed over.
    """

    format: int
    version: str
    python: str
    arguments: tuple[str, ...]
    descriptors: tuple[int, ...]


def write(header: Header, content: object, aliases: Aliases) -> bytes:
    """Raises TypeError for what is no plain value."""
    writer = _Writer(aliases)
    told = {"header": vars(header), "content": writer.plain(content), "sources": writer.told_sources()}
    data = json.dumps(told).encode("ascii")
    return b"".join([b"%0*d" % (LENGTH, len(data)), data, *writer.bytes])


def make_file(data: bytes, folder: str | None = None) -> int:
    """An unnamed file with this in it, in memory where that can be, and its descriptor. Raises OSError."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("procsup-upgrade", os.MFD_CLOEXEC)
    else:
        import tempfile

        descriptor, path = tempfile.mkstemp(dir=folder)
        os.unlink(path)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _fields(value: object) -> Iterator[tuple[str, object]] | None:
    if isinstance(value, Value):
        return iter(value.__dict__.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return zip(value._fields, value, strict=True)
    return None


class _Writer:
    def __init__(self, aliases: Aliases) -> None:
        self.bytes: list[bytes] = []
        self._aliases = aliases
        self._at = 0
        self._sources: dict[Source, int] = {}

    def told_sources(self) -> list[list[object]]:
        return [[each.name, each.type, each.stream, each.pid, each.cut, each.coloured] for each in self._sources]

    def plain(self, value: Any) -> object:
        kind = type(value)
        if kind in PLAIN:
            return value
        if isinstance(value, Enum):
            return value.value if isinstance(value, int) else {KIND: self._name(value), "value": value.value}
        if (fields := _fields(value)) is not None:
            return {KIND: self._name(value)} | {name: self.plain(each) for name, each in fields}
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._apart(bytes(value))
        if isinstance(value, Source):
            return {KIND: "source", "number": self._sources.setdefault(value, len(self._sources))}
        if isinstance(value, Mapping):
            return {KIND: "map", "of": [[self.plain(key), self.plain(each)] for key, each in value.items()]}
        if kind is list:
            return value if PLAIN.issuperset(map(type, value)) else [self.plain(each) for each in value]
        if kind in (tuple, set, frozenset):
            return {KIND: kind.__name__, "of": [self.plain(each) for each in value]}
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be handed over")

    def _apart(self, data: bytes) -> object:
        place, self._at = self._at, self._at + len(data)
        self.bytes.append(data)
        return {KIND: "bytes", "at": place, "size": len(data)}

    def _name(self, value: object) -> str:
        return self._aliases.get(type(value), type(value).__name__)
