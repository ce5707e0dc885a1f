"""Values as HashiCorp's configuration language, HCL: blocks with labels, and strings that nothing is filled in to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Block(NamedTuple):
    """`kind "label" { … }`; its body are attributes, whose names are ours and plain, and further blocks."""

    kind: str
    labels: tuple[str, ...]
    attributes: Mapping[str, object]
    blocks: Sequence[Block] = ()


def to_hcl(block: Block) -> str:
    """Raises UnicodeError for text that cannot be written as UTF-8."""
    text = "".join(f"{line}\n" for line in _lines(block))
    text.encode()
    return text


def _lines(block: Block) -> Iterator[str]:
    labels = "".join(f" {_string(each)}" for each in block.labels)
    yield f"{block.kind}{labels} {{"
    for name, value in block.attributes.items():
        yield from (f"  {line}" for line in _attribute(name, value))
    for inner in block.blocks:
        yield from (f"  {line}" for line in _lines(inner))
    yield "}"


def _attribute(name: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield f"{name} = {{"
        yield from (f"  {_string(key)} = {_scalar(each)}" for key, each in value.items())
        yield "}"
    elif isinstance(value, (list, tuple)):
        yield f"{name} = ["
        yield from (f"  {_scalar(each)}," for each in value)
        yield "]"
    else:
        yield f"{name} = {_scalar(value)}"


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else _string(str(value))


def _string(text: str) -> str:
    """`${` and `%{` would be filled in: their first letter is written by its number."""
    shown = "".join(_letter(letter) for letter in text)
    return f'"{re.sub(r"[$%](?=[{])", lambda found: _number(found[0]), shown)}"'


def _letter(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    return letter if letter.isprintable() or 0xD800 <= ord(letter) < 0xE000 else _number(letter)


def _number(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
