"""Who belongs to the formation: the process types, how many of each there should be, and the instances there are.

Scaling down marks the highest numbers as gone; scaling up fills the lowest free ones. An instance keeps its port and
its unique integer from the moment it is listed here until it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from procsup.core.events import ScaleChange
from procsup.core.model import Instance, InstanceName, RequestRefused, UnknownName, Wish
from procsup.core.numbers import PortBook, UniqueInts
from procsup.core.rules import ProcessType


class Roster:
    def __init__(self, base_port: int, max_instances: int) -> None:
        self.usual_most = self.most = max_instances
        self._types: dict[str, ProcessType] = {}
        self._counts: dict[str, int] = {}
        self._ports = PortBook(base_port)
        self._unique_ints = UniqueInts()
        self.by_name: dict[InstanceName, Instance] = {}

    @property
    def counts(self) -> dict[str, int]:
        return dict(self._counts)

    @property
    def types(self) -> Mapping[str, ProcessType]:
        return self._types

    @property
    def type_ports(self) -> dict[str, int]:
        return self._ports.first_ports()

    def in_order(self) -> list[Instance]:
        """In the order of the Procfile; what is left of removed types comes last."""
        order = {name: position for position, name in enumerate(self._types)}
        return sorted(self.by_name.values(), key=lambda each: (order.get(each.name.type, len(order)), each.name))

    def resolve(self, names: Iterable[str]) -> list[Instance]:
        """The instances that `names` (of types, or of instances) mean. Raises UnknownName."""
        found: dict[InstanceName, Instance] = {}
        everyone = self.in_order()
        for name in names:
            chosen = [each for each in everyone if name in (each.name.type, str(each.name))]
            if not chosen and name not in self._types:
                raise UnknownName(name)
            found.update((each.name, each) for each in chosen if each.wish is not Wish.GONE)
        return list(found.values())

    def scaled(self, changes: Iterable[ScaleChange]) -> dict[str, int]:
        """The counts as they would be after `changes`. Raises RequestRefused."""
        counts = self.counts
        for change in changes:
            name, amount = change.type, change.amount
            if name not in counts:
                raise UnknownName(name)
            count = counts[name] + amount if change.relative else amount
            if count < 0:
                there_are = f"{counts[name]} instance{'' if counts[name] == 1 else 's'}"
                raise RequestRefused(f"{name} has {there_are}; {-amount} cannot be taken away")
            counts[name] = count
        self.refuse_unless_possible(counts)
        return counts

    def refuse_unless_possible(self, counts: Mapping[str, int], most: int | None = None) -> None:
        total, most = sum(counts.values()), self.most if most is None else most
        if total > most:
            raise RequestRefused(f"{total} instances in all are too many; max_processes in procsup.toml allows {most}")
        self._ports.refuse_unless_fits(counts)

    def read_types(self, types: Mapping[str, ProcessType]) -> list[Instance]:
        """Take new definitions over; an instance whose version changed is to be started anew.

        Returns those for which that should be done one at a time, and has not begun.
        """
        gradually = []
        for instance in self.in_order():
            type_ = types.get(instance.name.type)
            if type_ is not None:
                changed = type_.version != instance.type.version
                if changed and type_.surge:
                    gradually.append(instance)
                else:
                    instance.edition += changed
                instance.type = type_
        self._counts = {name: self._counts.get(name, 0) for name in {**self._counts, **types}}
        self._types = dict(types)
        self._ports.know_types(types)
        return gradually

    def add_extra(self, type_: str) -> Instance | None:
        """One more than there should be, while the others are replaced; None where that would be too many in all."""
        if type_ not in self._types or sum(self._counts.values()) + len(self.extras()) >= self.most:
            return None
        number = self._counts[type_] + 1
        while InstanceName(type_, number) in self.by_name:  # the last one may not be gone yet
            number += 1
        name = InstanceName(type_, number)
        extra = Instance(name, self._types[type_], self._ports.take(type_, number), self._unique_ints.take())
        self.by_name[name] = extra
        return extra

    def extras(self) -> list[Instance]:
        there = (each for each in self.by_name.values() if each.wish is not Wish.GONE)
        return [each for each in there if self.is_extra(each)]

    def is_extra(self, instance: Instance) -> bool:
        return instance.name.number > self._counts.get(instance.name.type, 0)

    def resize(self, counts: Mapping[str, int]) -> list[Instance]:
        """Make the formation so, and return the instances whose wish that changed. `counts` is known to be possible."""
        changed: list[Instance] = []
        for type_, count in counts.items():
            before = max(self._counts.get(type_, 0), count)
            for number in range(1, before + 1):
                name = InstanceName(type_, number)
                instance = self.by_name.get(name)
                if instance is None and number <= count:
                    port = self._ports.take(type_, number)
                    instance = Instance(name, self._types[type_], port, self._unique_ints.take())
                    self.by_name[name] = instance
                elif instance is not None and number > count:
                    instance.wish = Wish.GONE
                elif instance is not None and instance.wish is Wish.GONE:
                    instance.wish = Wish.UP
                else:
                    continue
                changed.append(instance)
        self._counts = {name: counts.get(name, self._counts.get(name, 0)) for name in self._types}
        for extra in self.extras():
            if not self._counts.get(extra.name.type):  # there is nobody left to be replaced
                extra.wish = Wish.GONE
                changed.append(extra)
        return changed

    def bring_back(self, instance: Instance) -> None:
        """It was there before, and has its numbers."""
        self.by_name[instance.name] = instance
        self._ports.hold(instance.port)
        self._unique_ints.hold(instance.unique_int)

    def drop(self, instance: Instance) -> None:
        """Nothing of it is left: its numbers are free again."""
        del self.by_name[instance.name]
        self._ports.give_back(instance.port)
        self._unique_ints.give_back(instance.unique_int)
