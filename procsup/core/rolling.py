"""Rolling restarts: one instance at a time, the next only when the new copy of the last one has stayed up.

A type may have more than it should while they go on (`ProcessType.surge`), so that never fewer than that are up: first
one of the new version beside the old ones, and only if it stays up are those replaced, one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from procsup.core.actions import Action, RollingHalted, Tell
from procsup.core.model import Clearing, Exit, Instance, InstanceName, Running, Wish
from procsup.core.roster import Roster
from procsup.core.rules import ProcessType
from procsup.value import Value

# Without a readiness check, a copy that lived so long is taken for good (supervisord's startsecs).
PROVEN_AFTER = 1.0


class Surge(Value):
    """One more of a type."""

    type: str


class Relax(Value):
    """All of the type are through: those that were more than it should have may go."""

    type: str


Turn = InstanceName | Surge | Relax


class RollingRestart:
    """`settled` says whether there is anything to wait for but a later attempt."""

    def __init__(self, settled: Callable[[Instance], bool]) -> None:
        self._settled = settled
        self._waiting: deque[Turn] = deque()
        self._current: Instance | None = None
        self._spared: Instance | None = None

    def add(self, instances: Iterable[Instance]) -> None:
        """These as well, behind those that wait already."""
        for instance in instances:
            relax = Relax(instance.type.name)
            if instance.name in self._waiting:
                continue
            if not instance.type.surge:
                self._waiting.append(instance.name)
                continue
            if relax not in self._waiting:
                self._waiting.extend([Surge(instance.type.name)] * instance.type.surge)
                self._waiting.append(relax)
            self._waiting.insert(self._waiting.index(relax), instance.name)

    def drop(self, type_: str) -> None:
        """None of those that wait, of this type."""
        self._waiting = deque(turn for turn in self._waiting if turn.type != type_)

    def waiting(self, type_: str) -> list[InstanceName]:
        """Those of the type whose turn is still to come."""
        return [turn for turn in self._waiting if isinstance(turn, InstanceName) and turn.type == type_]

    @property
    def over(self) -> bool:
        return self._current is None and not self._waiting

    @property
    def deadline(self) -> float | None:
        if self._current is not None and self._current.up and isinstance(self._current.state, Running):
            if self._current.type.one_shot:
                return None  # it is good when it is done
            state = self._current.state
            return state.since + PROVEN_AFTER if state.ready is None else state.ready
        return None

    def halted(self) -> RollingHalted | None:
        """What it has stumbled over: a new copy that did not stay up, or one that could not even be started."""
        current, left = self._current, sum(isinstance(turn, InstanceName) for turn in self._waiting)
        if self._spared is not None:
            return RollingHalted(self._spared.name, left + 1, spared=True)
        if current is None or current.wish is not Wish.UP or current.last_exit is None or self._done:
            return None
        state = current.state
        if isinstance(state, Clearing) and state.edition == current.edition and state.exit.fault is not None:
            return RollingHalted(current.name, left, state.exit.fault)  # it had its time; a second try takes as long
        return RollingHalted(current.name, left) if self._settled(current) and not current.up else None

    def next_turn(self, now: float) -> Turn | None:
        """Whose turn it is now, if anyone's; `now_restarting` has to follow where an instance is started for it."""
        due = self.deadline
        waits = due is None or due > now
        if self._current is not None and self._current.wish is Wish.UP and waits and not self._done:
            return None
        self._current = None
        return self._waiting.popleft() if self._waiting else None

    @property
    def _done(self) -> bool:
        """It is a one-shot, and has done what it is for."""
        return self._current is not None and self._current.type.one_shot and self._current.done

    def spare(self, instance: Instance) -> None:
        """It runs, and a new copy would have to wait."""
        self._spared = instance

    def now_restarting(self, instance: Instance) -> None:
        self._current = instance


class Rolling:
    """The one that is under way, if one is. `settle` orders what is missing for an instance; `lacks` says whether a new
    copy of a type would have to wait for what it depends on.

    `halted` is what the last one has stumbled over, and `halted_by` how that copy ended: by now it may be gone, if it
    was one more than there should be.
    """

    def __init__(
        self,
        roster: Roster,
        settled: Callable[[Instance], bool],
        lacks: Callable[[ProcessType], bool],
        settle: Callable[[Instance, float], list[Action]],
    ) -> None:
        self._roster = roster
        self._settled = settled
        self._lacks = lacks
        self._settle = settle
        self._restart: RollingRestart | None = None
        self.halted: RollingHalted | None = None
        self.halted_by: Exit | None = None

    @property
    def under_way(self) -> bool:
        return self._restart is not None

    @property
    def deadline(self) -> float | None:
        return self._restart.deadline if self._restart is not None else None

    def add(self, instances: Iterable[Instance]) -> None:
        """Each gets a fresh copy in its turn."""
        if self._restart is None:
            self._restart = RollingRestart(self._settled)
            self.halted = self.halted_by = None
        self._restart.add(instances)

    def suggest(self, instance: Instance) -> None:
        """It gets a fresh copy if no other restart is under way; else it will be suggested again."""
        if not self.under_way:
            self.add([instance])

    def drop(self, types: Iterable[str], now: float) -> list[Action]:
        """These types are others now, or there no more: what was to be done with them is not."""
        orders: list[Action] = []
        for type_ in types:
            if self._restart is not None:
                self._restart.drop(type_)
            orders += self.relax(now, type_)
        return orders

    def forget(self) -> None:
        """There is something more important now."""
        self._restart = None

    def roll_on(self, now: float) -> list[Action]:
        rolling = self._restart
        if rolling is None:
            return []
        orders: list[Action] = []
        while (halted := rolling.halted()) is None and (turn := rolling.next_turn(now)) is not None:
            orders += self._take(turn, rolling, now)
        if halted is not None:
            self._restart, self.halted = None, halted
            self.halted_by = None if halted.spared else self._roster.by_name[halted.name].last_exit
            return [*orders, Tell(halted), *self.relax(now)]
        if rolling.over:
            self._restart = None
        return orders

    def _take(self, turn: Turn, rolling: RollingRestart, now: float) -> list[Action]:
        match turn:
            case Surge(type_):
                known = self._roster.types.get(type_)
                if known is None or self._lacks(known) or not any(map(self._wanted, rolling.waiting(type_))):
                    return []
                extra = self._roster.add_extra(type_)
                if extra is None:
                    return []
                rolling.now_restarting(extra)
                return self._settle(extra, now)
            case Relax(type_):
                return self.relax(now, type_)
            case InstanceName():
                instance = self._wanted(turn)
                if instance is None:
                    return []
                if instance.alive and self._lacks(instance.type):
                    rolling.spare(instance)
                    return []
                rolling.now_restarting(instance)
                instance.edition += 1
                return self._settle(instance, now)

    def _wanted(self, name: InstanceName) -> Instance | None:
        """Who was stopped meanwhile, or is there no more, has no new copy coming."""
        instance = self._roster.by_name.get(name)
        return instance if instance is not None and instance.wish is Wish.UP else None

    def relax(self, now: float, type_: str | None = None) -> list[Action]:
        """Nobody of this type, or of any, beyond those that there should be."""
        orders: list[Action] = []
        for extra in self._roster.extras():
            if type_ in (None, extra.name.type):
                extra.wish = Wish.GONE
                orders += self._settle(extra, now)
        return orders
