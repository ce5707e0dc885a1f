"""Whose turn it is to be spawned: so many at a time, and none before those that it depends on.

Nobody waits for what a person does not want to be there: for a type without instances, or one that was stopped by
request. Who waits already goes on when the last that it waits for is up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from procsup.core.actions import Action, HeldBack, Tell
from procsup.core.lifecycle import spawn
from procsup.core.model import Instance, InstanceName, Queued, Starting
from procsup.core.rules import ProcessType

# So many spawn orders are given at once, the next when all of these are answered: in between, a stop or a command gets
# its turn. A spawn takes most of a millisecond.
SPAWNS_AT_ONCE = 32


class Turns:
    def __init__(self) -> None:
        self._queue: dict[InstanceName, Instance] = {}
        self._waiting: dict[str, dict[InstanceName, Instance]] = {}  # by type: for what they depend on
        self._starting: dict[InstanceName, Instance] = {}
        self._lacking: dict[str, dict[InstanceName, Instance]] = {}  # by type: those that somebody may wait for

    def note(self, instance: Instance) -> None:
        """Its state or wish may have changed."""
        name, state = instance.name, instance.state
        if isinstance(state, Starting):
            self._starting[name] = instance
        else:
            self._starting.pop(name, None)
        lacking, waiting = self._lacking.setdefault(name.type, {}), self._waiting.get(name.type, {})
        if instance.serves:
            lacking.pop(name, None)
        else:
            lacking[name] = instance
        if not isinstance(state, Queued):
            self._queue.pop(name, None)
            waiting.pop(name, None)
        elif name not in waiting:
            self._queue[name] = instance

    def take(self) -> list[Action]:
        """Those whose turn has come: Queued → Starting."""
        if self._starting:
            return []
        self._let_go()
        chosen: list[Instance] = []
        parked: list[Instance] = []
        for instance in self._queue.values():
            if len(chosen) == SPAWNS_AT_ONCE:
                break
            (parked if self.lacks(instance.type) else chosen).append(instance)
        for instance in parked:
            self._waiting.setdefault(instance.name.type, {})[instance.name] = self._queue.pop(instance.name)
        orders: list[Action] = [Tell(HeldBack(each.name, tuple(self.waits_for(each)))) for each in parked]
        for instance in chosen:
            orders += spawn(instance)
            self.note(instance)
        return orders

    @property
    def starting(self) -> Mapping[InstanceName, Instance]:
        """Those whose spawn is ordered and not answered."""
        return self._starting

    @property
    def waiting(self) -> int:
        """How many wait for what they depend on."""
        return sum(map(len, self._waiting.values()))

    def waits_for(self, instance: Instance) -> dict[str, list[Instance]]:
        """By type: those that keep it from its turn."""
        if not isinstance(instance.state, Queued):
            return {}
        return {
            name: list(there) for name in instance.type.depends_on if (there := self._lacking.get(name, {}).values())
        }

    def behind(self, instance: Instance) -> Iterator[Instance]:
        """All who keep it from its turn: whom it waits for, and whom these wait for. Each type is looked at once."""
        waiting, seen = [instance], {instance.name.type}
        while waiting:
            for name, there in self.waits_for(waiting.pop()).items():
                if name not in seen:
                    seen.add(name)
                    yield from there
                    # The others of its type wait for the same.
                    waiting += [each for each in there if isinstance(each.state, Queued)][:1]

    def settled(self, instance: Instance) -> bool:
        """What is wanted of it has come true or has failed to; who waits for one that has failed has failed as well."""
        return instance.settled or any(not each.up and each.settled for each in self.behind(instance))

    def _let_go(self) -> None:
        for type_, there in list(self._waiting.items()):
            if not there or not self.lacks(next(iter(there.values())).type):
                self._queue |= there
                del self._waiting[type_]

    def lacks(self, type_: ProcessType) -> bool:
        """Whether something that it depends on is not up."""
        return any(self._lacking.get(name) for name in type_.depends_on)
