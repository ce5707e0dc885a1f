"""Where the keys of a TOML file stand: tomllib gives values without their places, and an error needs one.

Goes over the text from its first character to its last, by the grammar of TOML, but without looking at what values
mean: it is only asked about texts that tomllib has understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

Path = tuple[str, ...]

# processes.web.env.NAME has four; what stands deeper counts as what it stands in, or a long row of dots takes for ever.
_DEEPEST = 5

_BLANK = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_COMMA_OR_END = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*(?:,|(?=[\]}]))(?:[ \t\r\n]|#[^\n]*)*")
_PART = re.compile(r"[A-Za-z0-9_-]+|\"((?:[^\"\\]|\\.)*)\"|'([^']*)'")
# Up to two quotes may stand before the three that end a long text: they belong to it.
_TEXT = re.compile(
    r"\"\"\"(?:[^\"\\]|\\.|\"{1,2}(?!\"))*\"{3,5}|'''(?:[^']|'{1,2}(?!'))*'{3,5}|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}#\n]*")


def places(lines: list[str]) -> Mapping[Path, tuple[int, int]]:
    """The line and column, from 1, of each key and table; where a table is told in several places, of the first."""
    text = "\n".join(lines)
    found: dict[Path, tuple[int, int]] = {}
    number, begin = 1, 0
    for path, offset in _Walk(text).every_key():
        number += text.count("\n", begin, offset)
        begin = offset
        found.setdefault(path, (number, offset - text.rfind("\n", 0, offset)))
    return found


def nearest(found: Mapping[Path, tuple[int, int]], path: Path) -> tuple[int, int]:
    """The place of this key, or of what it stands in."""
    while path and path not in found:
        path = path[:-1]
    return found.get(path, (1, 1))


class _Walk:
    """`_at` is the offset that it has come to."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def every_key(self) -> Iterator[tuple[Path, int]]:
        """Each key with its offset, from first to last. Those inside of arrays count as their array's."""
        table: Path = ()
        self._skip(_BETWEEN)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                self._at += 2 if self._text.startswith("[[", self._at) else 1
                parts = list(self._dotted(()))
                yield from parts
                table = parts[-1][0]
                self._at = self._text.index("]", self._at) + 1
                self._at += self._text.startswith("]", self._at)
            else:
                yield from self._assignment(table)
            self._skip(_BETWEEN)

    def _assignment(self, table: Path) -> Iterator[tuple[Path, int]]:
        path = table
        for path, offset in self._dotted(table):
            yield path, offset
        self._at = self._text.index("=", self._at) + 1
        self._skip(_BLANK)
        yield from self._value(path)

    def _dotted(self, before: Path) -> Iterator[tuple[Path, int]]:
        while True:
            self._skip(_BLANK)
            begin = self._at
            part = self._skip(_PART)
            if len(before) < _DEEPEST:
                before = (*before, _unquoted(part))
            yield before, begin
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return
            self._at += 1

    def _value(self, path: Path) -> Iterator[tuple[Path, int]]:
        first = self._text[self._at]
        if first == "{":
            yield from self._items("}", path)
        elif first == "[":
            for _ in self._items("]", path):
                pass
        else:
            self._skip(_TEXT if first in "\"'" else _PLAIN)

    def _items(self, end: str, path: Path) -> Iterator[tuple[Path, int]]:
        self._at += 1
        self._skip(_BETWEEN)
        while self._text[self._at] != end:
            yield from self._assignment(path) if end == "}" else self._value(path)
            self._skip(_COMMA_OR_END)
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"no TOML at offset {self._at}")
        self._at = match.end()
        return match[0]


def _unquoted(part: str) -> str:
    if part[0] == "'":
        return part[1:-1]
    if part[0] == '"':
        import tomllib  # what escapes mean is its to know

        return next(iter(tomllib.loads(f"{part}=0")))
    return part
