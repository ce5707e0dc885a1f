"""What parameters may be: each check returns nothing, or raises ValueError with what is wanted."""

from __future__ import annotations

MAX_COUNT = 1_000_000  # against nonsense; what is too many instances is for the supervisor to say
_MAX_NAMES = 20_000
LONGEST_NAME = 80  # a type of 63, a dot and a number
_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


def boolean(value: object, where: str) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{where} must be true or false")  # noqa: TRY004 - one kind of refusal for all


def name(value: object, where: str) -> None:
    if not (isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and _NAME_LETTERS.issuperset(value)):
        raise ValueError(f"{where} must be the name of a process type or instance, as in worker or worker.1")


def count_or_all(value: object, where: str) -> None:
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError(f"{where} must be a whole number from 0 up, or null for all")


def moment(value: object, where: str) -> None:
    if value is not None and type(value) not in (int, float):
        raise ValueError(f"{where} must be a number of seconds since the epoch, or null")


def duration(value: object, where: str) -> None:
    if type(value) not in (int, float) or not 0 <= float(str(value)) < 1e9:
        raise ValueError(f"{where} must be a number of seconds from 0 up")


def text(value: object, where: str) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{where} must be a string")  # noqa: TRY004


def path(value: object, where: str) -> None:
    if value is not None and not (isinstance(value, str) and value.startswith("/") and "\0" not in value):
        raise ValueError(f"{where} must be an absolute path, or null")


def size(value: object, where: str) -> None:
    if type(value) is not int or not 0 < value < 65536:
        raise ValueError(f"{where} must be a whole number from 1 to 65535")


def names(value: object, where: str) -> None:
    for position, item in enumerate(_list(value, where)):
        name(item, f"{where}[{position}]")


def some_names(value: object, where: str) -> None:
    names(value, where)
    if not value:
        raise ValueError(f"{where} must have at least one name in it")


def changes(value: object, where: str) -> None:
    for position, item in enumerate(_list(value, where)):
        _change(item, f"{where}[{position}]")
    if not value:
        raise ValueError(f"{where} must have at least one change in it")


def _change(value: object, where: str) -> None:
    if not isinstance(value, dict) or value.keys() != {"type", "relative", "count"}:
        raise ValueError(f"{where} must be an object with type, relative and count")
    name(value["type"], f"{where}.type")
    boolean(value["relative"], f"{where}.relative")
    count, lowest = value["count"], -MAX_COUNT if value["relative"] else 0
    if type(count) is not int or not lowest <= count <= MAX_COUNT:  # True is an int, too
        raise ValueError(f"{where}.count must be a whole number from {lowest} to {MAX_COUNT}")


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list) or len(value) > _MAX_NAMES:
        raise ValueError(f"{where} must be a list of at most {_MAX_NAMES}")
    return value
