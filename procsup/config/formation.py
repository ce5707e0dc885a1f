"""Reads how many instances somebody wants: `-m web=2,worker=3,all=1` and `scale worker=+1`.

The client reads its arguments with this before it knows the supervisor, so nothing heavy is imported here and names
are only checked for their form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from procsup.errors import UsageError, unknown_name
from procsup.value import Value

ALL = "all"
MAX_COUNT = 10_000
_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_MAX_NAME = 63


class CountWord(Value):
    """`worker=3` or `worker=+2`: the amount is signed where it is relative; the type may be "all"."""

    type: str
    amount: int
    relative: bool


def parse_formation(
    text_items: Sequence[str],
    types: Sequence[str],
    where: str = "Procfile",
    not_by_all: Sequence[str] = ("release",),
) -> dict[str, int]:
    """The count of every type that is named, or meant by `all`; a name counts for more than `all`.

    `not_by_all`: one-offs, that have to be asked for by their names.
    """
    counts: dict[str, int] = {}
    for item in _items(text_items, "web=2,worker=3"):
        name, equals, number = (part.strip() for part in item.partition("="))
        if not equals:
            raise UsageError(f'"{_shown(item)}" names no count; write {_shown(name)}=1')
        _check_name(name, item, "web=2")
        if name != ALL and name not in types:
            raise unknown_name(_shown(name), types, where)
        if number[:1] in ("+", "-"):
            raise UsageError(f'"{_shown(item)}" is a change, not a count; write {_shown(name)}=N, or use "scale"')
        _add(counts, name, _count(number, item))
    everyone = counts.pop(ALL, None)
    if everyone is None:
        return counts
    return {name: everyone for name in types if name not in not_by_all and name != ALL} | counts


def parse_scale(args: Sequence[str]) -> tuple[CountWord, ...]:
    """worker=3, worker=+2, worker=-1 and worker+2; several in one argument where commas stand between them."""
    changes: dict[str, CountWord] = {}
    for item in _items(args, "worker=3"):
        change = _change(item)
        if changes.setdefault(change.type, change) != change:
            raise UsageError(f'"{change.type}" is given twice; give it once')
    return tuple(changes.values())


def _change(item: str) -> CountWord:
    name, equals, number = (part.strip() for part in item.partition("="))
    if not equals:
        name, plus, number = (part.strip() for part in item.partition("+"))
        if not plus:
            raise UsageError(_no_count(item))
        number = plus + number
    _check_name(name, item, "worker=3")
    sign = number[:1] if number[:1] in ("+", "-") else ""
    count = _count(number[len(sign) :], item)
    return CountWord(name, -count if sign == "-" else count, bool(sign))


def _no_count(item: str) -> str:
    name, minus, number = item.rpartition("-")
    if minus and name and number.isascii() and number.isdigit():
        return f'"{_shown(item)}" could be a name, since names may contain "-"; write {_shown(name)}=-{_shown(number)}'
    return f'"{_shown(item)}" names no count; write {_shown(item)}=3, {_shown(item)}=+1 or {_shown(item)}=-1'


def _items(texts: Iterable[str], example: str) -> Iterator[str]:
    for text in texts:
        for item in text.split(","):
            if not item.strip():
                raise UsageError(f'"{_shown(text)}" has an empty part; write {example}')
            yield item.strip()


def _check_name(name: str, item: str, example: str) -> None:
    if not name:
        raise UsageError(f'"{_shown(item)}" names no process type; write {example}')
    if len(name) > _MAX_NAME or not _NAME_CHARACTERS.issuperset(name):
        raise UsageError(f'"{_shown(name)}" is no name of a process type; write {example}')


def _count(number: str, item: str) -> int:
    # isdigit() alone takes other scripts' digits; int() alone takes 1_000, and raises past 4,300 digits
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f'"{_shown(item)}": the count must be a whole number from 0 to {MAX_COUNT}')
    digits = number.lstrip("0") or "0"
    if len(digits) > len(str(MAX_COUNT)) or int(digits) > MAX_COUNT:
        raise UsageError(f'"{_shown(item)}": no more than {MAX_COUNT} instances; write a smaller number')
    return int(digits)


def _add(counts: dict[str, int], name: str, count: int) -> None:
    if counts.setdefault(name, count) != count:
        raise UsageError(f'"{name}" is given twice, as {counts[name]} and {count}; give it once')


def _shown(text: str) -> str:
    """On one line of bearable length, whatever was typed."""
    text = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return text if len(text) <= 80 else text[:79] + "…"
