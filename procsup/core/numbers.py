"""The numbers that stay with an instance while it exists: its PORT and its UNIQUE_INT.

PORT = base + 100 × position of the type + (number − 1). Instances past the hundredth of a type take the lowest free
port behind the last type's hundred. A type keeps its hundred while the supervisor runs, wherever a reload moves its
line, so that no living instance's port moves.
"""

from __future__ import annotations

from collections.abc import Iterable

from procsup.core.model import Formation, RequestRefused

PORTS_PER_TYPE = 100
LAST_PORT = 65535


def usual_port(base: int, position: int, number: int) -> int:
    """The port of one of the first hundred instances of a type."""
    return base + PORTS_PER_TYPE * position + number - 1


class PortBook:
    """Who has which port."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._positions: dict[str, int] = {}
        self._taken: set[int] = set()
        self._free_behind = 0  # no port behind the hundreds is free below this one

    def refuse_unless_fits(self, counts: Formation) -> None:
        """Raise RequestRefused if a formation would need ports past the last one."""
        new = sum(1 for name in counts if name not in self._positions)
        behind = max(self._positions.values(), default=-1) + new + 1
        past_hundred = sum(max(0, count - PORTS_PER_TYPE) for count in counts.values())
        highest = usual_port(self._base, behind, past_hundred)
        if highest > LAST_PORT:
            raise RequestRefused(
                f"this would need ports up to {highest}, and the last is {LAST_PORT}; start with a lower --port"
            )

    def know_types(self, types: Iterable[str]) -> None:
        """Give each type its hundred: at its position where that is free, else the next free one."""
        wanted = {name: position for position, name in enumerate(types)}
        self._positions = {name: at for name, at in self._positions.items() if name in wanted}
        held = set(self._positions.values())
        for name, wish in wanted.items():
            if name in self._positions:
                continue
            position = wish
            while position in held or self._overlaps(position):
                position += 1
            held.add(position)
            self._positions[name] = position
        self._free_behind = 0

    def first_ports(self) -> dict[str, int]:
        """The port of instance 1 of each type."""
        return {name: usual_port(self._base, position, 1) for name, position in self._positions.items()}

    def take(self, type_name: str, number: int) -> int:
        port = usual_port(self._base, self._positions[type_name], number)
        if number > PORTS_PER_TYPE or port in self._taken:
            port = max(self._free_behind, usual_port(self._base, max(self._positions.values()) + 1, 1))
            while port in self._taken:
                port += 1
            self._free_behind = port + 1
        self._taken.add(port)
        return port

    def hold(self, port: int) -> None:
        """Somebody has it already."""
        self._taken.add(port)

    def give_back(self, port: int) -> None:
        self._taken.discard(port)
        self._free_behind = min(self._free_behind, port)

    def _overlaps(self, position: int) -> bool:
        first = usual_port(self._base, position, 1)
        return any(port in self._taken for port in range(first, first + PORTS_PER_TYPE))


class UniqueInts:
    """The lowest integers from 1 up that nobody has."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._lowest_free = 1

    def take(self) -> int:
        number = self._lowest_free
        self.hold(number)
        return number

    def hold(self, number: int) -> None:
        """Somebody has it already."""
        self._taken.add(number)
        while self._lowest_free in self._taken:
            self._lowest_free += 1

    def give_back(self, number: int) -> None:
        self._taken.discard(number)
        self._lowest_free = min(self._lowest_free, number)
