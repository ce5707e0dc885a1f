"""What is due when, over all instances, and the dice for the jitter.

A waiting state holds its moment itself; the agenda is only an index over these moments, and an entry that no longer
agrees with its instance is dropped unread. So a stale timer cannot exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

from procsup.core.model import Instance, InstanceName


class Agenda:
    def __init__(self) -> None:
        self._entries: list[tuple[float, InstanceName]] = []
        self._noted: dict[InstanceName, float] = {}

    def note(self, instance: Instance) -> None:
        """Take down the instance's moment, if it has one that is not here yet."""
        when = instance.deadline
        if when is None:
            self._noted.pop(instance.name, None)
        elif self._noted.get(instance.name) != when:
            self._noted[instance.name] = when
            heappush(self._entries, (when, instance.name))

    def next(self, instances: Mapping[InstanceName, Instance]) -> float | None:
        while self._entries:
            when, name = self._entries[0]
            if self._holds(when, instances.get(name)):
                return when
            heappop(self._entries)
        return None

    def due(self, instances: Mapping[InstanceName, Instance], now: float) -> Iterator[Instance]:
        while self._entries and self._entries[0][0] <= now:
            when, name = heappop(self._entries)
            instance = instances.get(name)
            if instance is not None and self._holds(when, instance):
                self._noted.pop(name, None)
                yield instance

    @staticmethod
    def _holds(when: float, instance: Instance | None) -> bool:
        return instance is not None and instance.deadline == when


class Dice:
    """Jitter that a simulation can repeat: a linear congruential generator with Knuth's MMIX constants."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def throw(self) -> float:
        """Between -1 and 1."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._state >> 11) / 2**52 - 1.0
