"""How a supervisor's memory is written down for the version that takes over from it: JSON, by names, bytes apart.

Not pickle: what is read back are the classes of the table below with the fields that they have, and nothing else. A
newer version may add fields with defaults; what it does not know any more is an error, which the trial finds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, NamedTuple

from procsup.core.value import Value
from procsup.output.source import Source

FORMAT = 1
_PLAIN = frozenset((int, float, str, bool, type(None)))
_KIND = "is"  # no field may be called so
_LENGTH = 16  # digits of the length of the JSON, which stands in front of it

# The classes that may be handed over, by the names that other versions know them by.
Classes = Mapping[str, type]


class Unreadable(Exception):
    """A document that this version cannot take over from."""


class Header(NamedTuple):
    """What even a version that understands nothing else has to know, to give way to the one before.

    `descriptors` are all that were handed over.
    """

    format: int
    version: str
    python: str
    arguments: tuple[str, ...]
    descriptors: tuple[int, ...]


def write(header: Header, content: object, classes: Classes) -> bytes:
    """Raises TypeError for what is not in the table."""
    writer = _Writer(classes)
    told = {"header": header._asdict(), "content": writer.plain(content), "sources": writer.told_sources()}
    data = json.dumps(told).encode("ascii")
    return b"".join([b"%0*d" % (_LENGTH, len(data)), data, *writer.bytes])


def read_header(data: bytes) -> Header:
    """Raises Unreadable."""
    return _header(_body(data))


def read(data: bytes, classes: Classes) -> Any:
    """Raises Unreadable, with what it is that cannot be understood."""
    body = _body(data)
    header = _header(body)
    if header.format != FORMAT:
        raise Unreadable(
            f"the memory of procsup {header.version} is of format {header.format}; this one reads {FORMAT}"
        )
    try:
        apart = memoryview(data)[_LENGTH + int(data[:_LENGTH]) :]
        return _Reader(classes, apart, body["sources"]).value(body["content"])
    except (ValueError, LookupError, TypeError) as error:
        raise Unreadable(f"the memory of procsup {header.version} is not understood: {error}") from error


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


def load_file(descriptor: int) -> bytes:
    """All of it; others may read it, too."""
    parts, done = [], 0
    while part := os.pread(descriptor, 1 << 24, done):
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def _body(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data[_LENGTH : _LENGTH + int(data[:_LENGTH])])
    except ValueError as error:
        raise Unreadable(f"this is no memory of a supervisor: {error}") from error
    if not isinstance(body, dict):
        raise Unreadable("this is no memory of a supervisor")
    return body


def _header(body: Mapping[str, Any]) -> Header:
    """A field that is not known here does not matter: it is `format` that says whether all can be understood."""
    try:
        told = body["header"]
        return Header(
            int(told["format"]),
            str(told["version"]),
            str(told["python"]),
            tuple(map(str, told["arguments"])),
            tuple(map(int, told["descriptors"])),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise Unreadable(f"this is no memory of a supervisor: {error}") from error


def _fields(value: object) -> Iterator[tuple[str, object]] | None:
    if isinstance(value, Value):
        return iter(value.__dict__.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return zip(value._fields, value, strict=True)
    return None


class _Writer:
    def __init__(self, classes: Classes) -> None:
        self.bytes: list[bytes] = []
        self._names: dict[type, str] = {each: name for name, each in classes.items()}
        self._at = 0
        self._sources: dict[Source, int] = {}

    def told_sources(self) -> list[list[object]]:
        return [[each.name, each.type, each.stream, each.pid, each.cut, each.coloured] for each in self._sources]

    def plain(self, value: Any) -> object:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if isinstance(value, Enum):
            return value.value if isinstance(value, int) else {_KIND: self._name(value), "value": value.value}
        if (fields := _fields(value)) is not None:
            return {_KIND: self._name(value)} | {name: self.plain(each) for name, each in fields}
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._apart(bytes(value))
        if isinstance(value, Source):
            return {_KIND: "source", "number": self._sources.setdefault(value, len(self._sources))}
        if isinstance(value, Mapping):
            return {_KIND: "map", "of": [[self.plain(key), self.plain(each)] for key, each in value.items()]}
        if kind is list:
            return value if _PLAIN.issuperset(map(type, value)) else [self.plain(each) for each in value]
        if kind in (tuple, set, frozenset):
            return {_KIND: kind.__name__, "of": [self.plain(each) for each in value]}
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be handed over")

    def _apart(self, data: bytes) -> object:
        place, self._at = self._at, self._at + len(data)
        self.bytes.append(data)
        return {_KIND: "bytes", "at": place, "size": len(data)}

    def _name(self, value: object) -> str:
        name = self._names.get(type(value))
        if name is None:
            raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} cannot be handed over")
        return name


class _Reader:
    def __init__(self, classes: Classes, apart: memoryview, sources: list[list[Any]]) -> None:
        self._classes = classes
        self._apart = apart
        self._sources = []
        for name, type_, stream, pid, cut, coloured in sources:
            source = Source(name, type_, stream, pid)
            source.cut, source.coloured = cut, coloured
            self._sources.append(source)
        self._makers: dict[str, Callable[[dict[str, Any]], object]] = {
            "map": lambda told: {self.value(key): self.value(each) for key, each in told["of"]},
            "tuple": lambda told: tuple(map(self.value, told["of"])),
            "set": lambda told: set(map(self.value, told["of"])),
            "frozenset": lambda told: frozenset(map(self.value, told["of"])),
            "bytes": lambda told: bytes(self._apart[told["at"] : told["at"] + told["size"]]),
            "source": lambda told: self._sources[told["number"]],
        }

    def value(self, told: Any) -> Any:
        if isinstance(told, list):
            return [self.value(each) for each in told] if any(type(each) not in _PLAIN for each in told) else told
        if not isinstance(told, dict):
            return told
        kind = told[_KIND]
        make = self._makers.get(kind)
        return make(told) if make is not None else self._object(kind, told)

    def _object(self, kind: str, told: dict[str, Any]) -> object:
        class_ = self._classes.get(kind)
        if class_ is None:
            raise ValueError(f"there is nothing that is called {kind}")
        fields = {name: self.value(each) for name, each in told.items() if name != _KIND}
        if issubclass(class_, Enum):
            return class_(fields["value"])
        unknown = fields.keys() - set(class_._fields)  # type: ignore[attr-defined]
        if unknown:
            raise ValueError(f"{kind} has no {', '.join(sorted(unknown))}")
        return class_(**fields)
