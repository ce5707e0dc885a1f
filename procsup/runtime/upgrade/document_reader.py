"""Understands the file in which another version has written down its memory; see `document`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from procsup.output.source import Source
from procsup.runtime.upgrade.document import FORMAT, KIND, LENGTH, PLAIN, Header

# The classes that may be handed over, by the names that other versions know them by.
Classes = Mapping[str, type]


class Unreadable(Exception):
    """A document that this version cannot take over from."""


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
        apart = memoryview(data)[LENGTH + int(data[:LENGTH]) :]
        return _Reader(classes, apart, body["sources"]).value(body["content"])
    except (ValueError, LookupError, TypeError) as error:
        raise Unreadable(f"the memory of procsup {header.version} is not understood: {error}") from error


def load_file(descriptor: int) -> bytes:
    """All of it; others may read it, too."""
    parts, done = [], 0
    while part := os.pread(descriptor, 1 << 24, done):
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def _body(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data[LENGTH : LENGTH + int(data[:LENGTH])])
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
            return [self.value(each) for each in told] if any(type(each) not in PLAIN for each in told) else told
        if not isinstance(told, dict):
            return told
        kind = told[KIND]
        make = self._makers.get(kind)
        return make(told) if make is not None else self._object(kind, told)

    def _object(self, kind: str, told: dict[str, Any]) -> object:
        class_ = self._classes.get(kind)
        if class_ is None:
            raise ValueError(f"there is nothing that is called {kind}")
        fields = {name: self.value(each) for name, each in told.items() if name != KIND}
        if issubclass(class_, Enum):
            return class_(fields["value"])
        unknown = fields.keys() - set(class_._fields)  # type: ignore[attr-defined]
        if unknown:
            raise ValueError(f"{kind} has no {', '.join(sorted(unknown))}")
        return class_(**fields)
