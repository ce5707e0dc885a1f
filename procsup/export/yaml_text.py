"""Values as YAML, for the engines that want it: blocks, and every string in double quotes.

Between quotes every reader, old or new, takes a string for what it is: no `no` becomes a truth and no `1_0` a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

_PLAIN_KEY = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*\Z")
# What some reader takes for a truth or for nothing, also as a key.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def to_yaml(documents: Iterable[Mapping[str, object]]) -> str:
    """Each a document of its own. Raises UnicodeError for text that cannot be written as UTF-8."""
    text = "---\n".join("".join(f"{line}\n" for line in _mapping(each)) for each in documents)
    text.encode()
    return text


def _mapping(values: Mapping[str, object]) -> Iterator[str]:
    for key, value in values.items():
        shown = key if _PLAIN_KEY.match(key) and key.lower() not in _WORDS else _string(key)
        yield from _behind(f"{shown}:", value)


def _sequence(values: Sequence[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, Mapping) and value:
            first, *rest = _mapping(value)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
        else:
            yield from _behind("-", value)


def _behind(start: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield start
        yield from (f"  {line}" for line in _mapping(value))
    elif isinstance(value, (list, tuple)) and value:
        yield start
        yield from (f"  {line}" for line in _sequence(value))
    else:
        yield f"{start} {_scalar(value)}"


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return "{}" if isinstance(value, Mapping) else "[]"


def _string(text: str) -> str:
    return '"' + "".join(_letter(letter) for letter in text) + '"'


def _letter(letter: str) -> str:
    """Line breaks of other scripts and characters that no reader has to take are written by their numbers."""
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter.isprintable() or 0xD800 <= ord(letter) < 0xE000:  # a half of a character is for to_yaml to refuse
        return letter
    number = ord(letter)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
