"""A base for frozen values: what a frozen dataclass gives, without generating code when it is imported.

There are more than a hundred such classes. A dataclass costs most of a millisecond each to define, a NamedTuple two
tenths of one and 8 KiB, this a hundredth and 2.6 KiB; and a NamedTuple is equal to every other tuple. Those stay
NamedTuples that are one: what is sorted, or comes in thousands.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn, Self, dataclass_transform


@dataclass_transform(frozen_default=True)
class Value:
    """Subclasses list their fields as annotations, with defaults where they have some; instances never change."""

    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__dict__.get("__annotations__", ()))  # noqa: RUF063 (inspect would cost what this saves)
        type.__setattr__(cls, "__match_args__", cls._fields)  # for `match`; a type checker knows it anyway

    def __init__(self, *values: object, **named: object) -> None:
        fields, given = self._fields, self.__dict__
        if not named and len(values) == len(fields):
            given.update(zip(fields, values, strict=True))
            return
        given.update(zip(fields, values, strict=False))
        given.update(named)
        if len(given) < len(fields):
            defaults = type(self).__dict__
            given.update((field, defaults[field]) for field in fields if field not in given and field in defaults)
        if len(values) + len(named) > len(fields) or len(given) != len(fields) or not named.keys() <= set(fields):
            raise TypeError(f"{type(self).__name__} takes {', '.join(fields)}; given were {values} and {named}")

    def but(self, **changes: object) -> Self:
        """A copy with some fields changed."""
        return type(self)(**{**self.__dict__, **changes})

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")
