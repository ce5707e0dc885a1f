"""All instances together: requests change wishes, facts reach their instance, and what follows comes back as orders.

`Supervisor.handle(event, now)` and `Supervisor.deadline` are all there is to it; nothing else moves state. Whoever
carries the orders out reports back with facts, and with `DeadlineReached` when the deadline has come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import assert_never

from procsup.core import events
from procsup.core.actions import Action, KeepFormation, Quit, RollingHalted, ScaledTo, ShutdownBegun, Tell
from procsup.core.agenda import Agenda, Dice
from procsup.core.ending import Ending
from procsup.core.lifecycle import begin_stop, observe, settle, spawn
from procsup.core.model import (
    Clearing,
    Exit,
    Exited,
    Failed,
    Instance,
    InstanceName,
    NotNow,
    Queued,
    RestartPolicy,
    Running,
    Starting,
    Stopping,
    UnexpectedEvent,
    Wish,
    stop_plan,
)
from procsup.core.rolling import RollingRestart
from procsup.core.roster import Roster

# So many spawn orders are given at once, the next when all of these are answered: in between, a stop or a command gets
# its turn. A spawn takes most of a millisecond.
SPAWNS_AT_ONCE = 32


class Supervisor:
    """Decides for a formation. `seed` makes the jitter of two supervisors differ and of one repeat."""

    def __init__(
        self, *, base_port: int = 5000, max_instances: int = 10_000, seed: int = 0, keep_going: bool = False
    ) -> None:
        self._keep_going = keep_going
        self._roster = Roster(base_port, max_instances)
        self._kept: dict[str, int] = {}
        self._dice = Dice(seed)
        self._agenda = Agenda()
        self._queue: deque[Instance] = deque()
        self._starting: set[InstanceName] = set()
        self._alive: set[InstanceName] = set()
        self._given_up: dict[InstanceName, Exit] = {}
        self._rolling: RollingRestart | None = None
        self._ending = Ending()
        self._quit = False

    # What is

    @property
    def deadline(self) -> float | None:
        """The moment at which `DeadlineReached` is due, if nothing happens before."""
        moments = (
            self._agenda.next(self._roster.by_name),
            self._rolling.deadline if self._rolling is not None else None,
            self._ending.deadline,
        )
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def formation(self) -> dict[str, int]:
        return self._roster.counts

    @property
    def shutting_down(self) -> bool:
        return self._ending.exit_code is not None

    @property
    def rolling(self) -> bool:
        return self._rolling is not None

    @property
    def type_ports(self) -> dict[str, int]:
        """The port of instance 1 of each type."""
        return self._roster.type_ports

    def instance(self, name: InstanceName) -> Instance | None:
        return self._roster.by_name.get(name)

    def instances(self) -> list[Instance]:
        """In the order of the Procfile; what is left of removed types comes last."""
        return self._roster.in_order()

    def resolve(self, names: Iterable[str]) -> list[Instance]:
        """The instances that `names` (of types, or of instances) mean. Raises UnknownName."""
        return self._roster.resolve(names)

    # What happens

    def handle(self, event: events.Event, now: float) -> list[Action]:
        """Take one event in; the orders that follow from it, in the order in which to carry them out.

        Raises RequestRefused (UnknownName) for a request that makes no sense, and UnexpectedEvent for a fact that
        cannot be; neither changes anything.
        """
        match event:
            case events.Spawned() | events.SpawnFailed() | events.LeaderExited() | events.TreeVanished():
                orders = self._take_fact(event, now)
            case events.DeadlineReached():
                orders = self._reach_deadline(now)
            case events.ProjectRead():
                orders = self._read_project(event, now)
            case events.ScaleRequested(changes):
                orders = self._scale(changes, now)
            case events.StartRequested(names):
                orders = self._start(names, now)
            case events.StopRequested(names):
                orders = self._stop(names, now)
            case events.RestartRequested(names, rolling):
                orders = self._restart(names, rolling, now)
            case events.ShutdownRequested():
                orders = self._shut_down(event, None, now)
            case _:
                assert_never(event)
        orders += self._roll_on(now)
        orders += self._take_turns()
        orders += self._perhaps_end(now)
        return orders

    def _take_fact(self, fact: events.Fact, now: float) -> list[Action]:
        instance = self._roster.by_name.get(fact.name)
        if instance is None:
            raise UnexpectedEvent(f"{fact}, and there is no such instance")
        return observe(instance, fact, now) + self._settle(instance, now)

    def _reach_deadline(self, now: float) -> list[Action]:
        orders: list[Action] = []
        for instance in self._agenda.due(self._roster.by_name, now):
            orders += observe(instance, events.DeadlineReached(), now) + self._settle(instance, now)
        return orders + self._ending.remind((self._roster.by_name[name] for name in self._alive), now)

    def _settle(self, instance: Instance, now: float) -> list[Action]:
        """Order what is missing for one instance, and keep the books on all of them right."""
        orders = settle(instance, now, self._dice.throw())
        name, state = instance.name, instance.state
        if isinstance(state, Queued):
            self._queue.append(instance)
        if not isinstance(state, Starting):
            self._starting.discard(name)
        if instance.alive and not instance.unkillable:
            self._alive.add(name)
        else:
            self._alive.discard(name)
        self._agenda.note(instance)
        if instance.wish is Wish.GONE and not instance.alive:
            self._roster.drop(instance)
        if not isinstance(state, (Exited, Failed)):
            self._given_up.pop(name, None)
        elif name not in self._given_up:
            self._given_up[name] = state.exit
            fails_all = instance.type.restart.policy is RestartPolicy.NEVER and not self._keep_going
            if fails_all and state.exit.failed and not self.shutting_down:
                self._ending.fail_all(name, state.exit, now)
        return orders

    def _settle_all(self, instances: Iterable[Instance], now: float) -> list[Action]:
        return [order for instance in instances for order in self._settle(instance, now)]

    def _take_turns(self) -> list[Action]:
        orders: list[Action] = []
        if self._starting:
            return orders
        while self._queue and len(self._starting) < SPAWNS_AT_ONCE:
            instance = self._queue.popleft()
            if isinstance(instance.state, Queued):
                orders += spawn(instance)
                self._starting.add(instance.name)
                self._alive.add(instance.name)
        return orders

    def _perhaps_end(self, now: float) -> list[Action]:
        orders: list[Action] = []
        everyone = self._roster.by_name
        failure = self._ending.failed_for_good(now)
        if failure is not None:
            name, exit_ = failure
            orders += self._shut_down(events.ShutdownRequested(exit_.code, provisional=True), name, now)
        if not self._ending.in_doubt and not self.shutting_down and everyone and len(self._given_up) == len(everyone):
            self._ending.exit_code = next((exit_.code for exit_ in self._given_up.values() if exit_.failed), 0)
        if self._quit or self._ending.exit_code is None or self._alive:
            return orders
        self._quit = True
        unkillable = any(each.unkillable for each in everyone.values())
        return [*orders, Quit(1 if unkillable else self._ending.exit_code)]

    # Requests

    def _read_project(self, project: events.ProjectRead, now: float) -> list[Action]:
        self._refuse_in_shutdown()
        types = {each.name: each for each in project.types}
        counts = self._roster.counts
        wanted = {name: counts.get(name, project.counts.get(name, 1)) for name in types}
        self._roster.refuse_unless_possible(wanted)
        self._kept = dict(project.kept)
        self._roster.read_types(types)
        self._roster.resize(dict.fromkeys(counts, 0) | wanted)
        return self._settle_all(self.instances(), now)

    def _scale(self, changes: tuple[events.ScaleChange, ...], now: float) -> list[Action]:
        self._refuse_in_shutdown()
        before, after = self.formation, self._roster.scaled(changes)
        self._kept |= {change.type: after[change.type] for change in changes}
        orders: list[Action] = [
            Tell(ScaledTo(name, before[name], after[name])) for name in after if after[name] != before[name]
        ]
        orders += self._settle_all(self._roster.resize(after), now)
        return [*orders, KeepFormation(dict(self._kept))]

    def _start(self, names: tuple[str, ...], now: float) -> list[Action]:
        orders = self._give_one_each(names, now)
        for instance in self.resolve(names):
            if not isinstance(instance.state, (Starting, Running, Stopping)):
                instance.edition += 1  # whatever it waits for, a person has come first
            instance.wish = Wish.UP
            orders += self._settle(instance, now)
        return orders

    def _stop(self, names: tuple[str, ...], now: float) -> list[Action]:
        chosen = self.resolve(names)
        for instance in chosen:
            instance.wish = Wish.DOWN
        return self._settle_all(chosen, now)

    def _restart(self, names: tuple[str, ...], rolling: bool, now: float) -> list[Action]:
        orders = self._give_one_each(names, now)
        # What a person has stopped by its name comes back by its name, not because all is restarted.
        chosen = self.resolve(names) if names else [each for each in self.instances() if each.wish is Wish.UP]
        if rolling:
            self._rolling = self._rolling or RollingRestart()
            self._rolling.add(each.name for each in chosen if each.wish is Wish.UP)
            chosen = [each for each in chosen if each.wish is not Wish.UP]  # nothing of these has to be replaced
        return orders + [order for instance in chosen for order in self._renew(instance, now)]

    def _renew(self, instance: Instance, now: float) -> list[Action]:
        instance.edition += 1
        instance.wish = Wish.UP
        return self._settle(instance, now)

    def _give_one_each(self, names: tuple[str, ...], now: float) -> list[Action]:
        """A type without instances that is asked for by its name gets one."""
        self._refuse_in_shutdown()
        self.resolve(names)
        counts = self.formation | {name: 1 for name in names if self.formation.get(name) == 0}
        self._roster.refuse_unless_possible(counts)
        return self._settle_all(self._roster.resize(counts), now)

    def _shut_down(self, request: events.ShutdownRequested, because: InstanceName | None, now: float) -> list[Action]:
        orders: list[Action] = []
        if self._ending.ask(request, now):
            self._rolling = None
            orders.append(Tell(ShutdownBegun(len(self._alive), because)))
        for instance in self.instances():
            if request.force:
                instance.type = instance.type.but(stop=stop_plan())
                if isinstance(instance.state, (Stopping, Clearing)) and instance.state.steps:  # once is enough
                    orders += begin_stop(instance, instance.type.stop, now)
            if instance.wish is Wish.UP:
                instance.wish = Wish.DOWN
            orders += self._settle(instance, now)
        return orders

    def _refuse_in_shutdown(self) -> None:
        if self.shutting_down:
            raise NotNow("the supervisor is shutting down; start it again when it is gone")

    # What time brings

    def _roll_on(self, now: float) -> list[Action]:
        rolling = self._rolling
        if rolling is None:
            return []
        failed = rolling.failed_at()
        if failed is not None:
            self._rolling = None
            return [Tell(RollingHalted(failed.name, rolling.untouched))]
        orders: list[Action] = []
        while (name := rolling.next_turn(now)) is not None:
            instance = self.instance(name)
            if instance is not None and instance.wish is Wish.UP:
                rolling.now_restarting(instance)
                orders += self._renew(instance, now)
        if rolling.over:
            self._rolling = None
        return orders
