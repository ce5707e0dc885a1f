"""All instances together: requests change wishes, facts reach their instance, and what follows comes back as orders.

`Supervisor.handle(event, now)` and `Supervisor.deadline` are all there is to it; nothing else moves state. Whoever
carries the orders out reports back with facts, and with `DeadlineReached` when the deadline has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from procsup.core import events
from procsup.core.actions import Action, KeepFormation, Quit, RollingHalted, ScaledTo, ShutdownBegun, Tell
from procsup.core.agenda import Agenda, Dice
from procsup.core.ending import Ending
from procsup.core.lifecycle import begin_stop, leaks, observe, settle
from procsup.core.model import (
    Clearing,
    Exit,
    Exited,
    Failed,
    Instance,
    InstanceName,
    NotNow,
    Running,
    Starting,
    Stopping,
    UnexpectedEvent,
    Warming,
    Wish,
)
from procsup.core.rolling import Rolling
from procsup.core.roster import Roster
from procsup.core.rules import stop_plan
from procsup.core.turns import Turns


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
        self._turns = Turns()
        self._given_up: dict[InstanceName, Exit] = {}
        self._rolling = Rolling(self._roster, self.settled, self._turns.lacks, self._settle)
        self._ending = Ending()
        self._quit = False

    # What is

    @property
    def deadline(self) -> float | None:
        """The moment at which `DeadlineReached` is due, if nothing happens before."""
        moments = (self._agenda.next(self._roster.by_name), self._rolling.deadline, self._ending.deadline)
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def formation(self) -> dict[str, int]:
        return self._roster.counts

    @property
    def shutting_down(self) -> bool:
        return self._ending.exit_code is not None

    @property
    def rolling(self) -> bool:
        return self._rolling.under_way

    @property
    def halted(self) -> RollingHalted | None:
        """What the last rolling restart has stumbled over."""
        return self._rolling.halted

    @property
    def halted_by(self) -> Exit | None:
        """How the new copy ended over which it has; None where there was none."""
        return self._rolling.halted_by

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

    def waits_for(self, instance: Instance) -> dict[str, list[Instance]]:
        """By type: those that have to be up before it is its turn."""
        return self._turns.waits_for(instance)

    def behind(self, instance: Instance) -> Iterator[Instance]:
        """All who keep it from its turn, those included who keep others from it that it waits for."""
        return self._turns.behind(instance)

    def settled(self, instance: Instance) -> bool:
        return self._turns.settled(instance)

    # What happens

    def handle(self, event: events.Event, now: float) -> list[Action]:
        """Take one event in; the orders that follow from it, in the order in which to carry them out.

        Raises RequestRefused (UnknownName) for a request that makes no sense, and UnexpectedEvent for a fact that
        cannot be; neither changes anything.
        """
        match event:
            case events.Spawned() | events.SpawnFailed() | events.LeaderExited() | events.TreeVanished():
                orders = self._take_fact(event, now)
            case events.BecameReady() | events.StoppedAnswering() | events.Outgrew():
                orders = self._take_finding(event, now)
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
        orders += self._rolling.roll_on(now)
        orders += self._turns.take()
        self._ending.awaited |= self._turns.starting
        orders += self._perhaps_end(now)
        return orders

    def _take_fact(self, fact: events.Fact, now: float) -> list[Action]:
        instance = self._roster.by_name.get(fact.name)
        if instance is None:
            raise UnexpectedEvent(f"{fact}, and there is no such instance")
        return observe(instance, fact, now) + self._settle(instance, now)

    def _take_finding(self, finding: events.Finding, now: float) -> list[Action]:
        instance = self._roster.by_name.get(finding.name)
        if instance is None or instance.pid != finding.pid:
            return []
        if isinstance(finding, events.Outgrew) and leaks(instance, finding.at):
            self._rolling.suggest(instance)
            return []
        return observe(instance, finding, now) + self._settle(instance, now)

    def _reach_deadline(self, now: float) -> list[Action]:
        orders: list[Action] = []
        for instance in self._agenda.due(self._roster.by_name, now):
            orders += observe(instance, events.DeadlineReached(), now) + self._settle(instance, now)
        return orders + self._ending.remind(now)

    def _settle(self, instance: Instance, now: float) -> list[Action]:
        """Order what is missing for one instance, and keep the books on all of them right."""
        orders = settle(instance, now, self._dice.throw())
        name, state = instance.name, instance.state
        self._note(instance)
        if instance.wish is Wish.GONE and not instance.alive:
            self._roster.drop(instance)
        if not isinstance(state, (Exited, Failed)):
            if self._given_up.pop(name, None) is not None:
                self._ending.take_back(name)
        elif name not in self._given_up:
            self._given_up[name] = state.exit
            fails_all = instance.type.restart.fails_all and not self._keep_going
            if fails_all and state.exit.failed and not self.shutting_down and not self._roster.is_extra(instance):
                self._ending.fail_all(name, state.exit, now)
        return orders

    def _note(self, instance: Instance) -> None:
        """In the books that hold nothing but what follows from the instances."""
        self._turns.note(instance)
        self._ending.note(instance)
        self._agenda.note(instance)

    def _settle_all(self, instances: Iterable[Instance], now: float) -> list[Action]:
        return [order for instance in instances for order in self._settle(instance, now)]

    def _perhaps_end(self, now: float) -> list[Action]:
        orders: list[Action] = []
        everyone = self._roster.by_name
        failure = self._ending.failed_for_good(now)
        if failure is not None:
            name, exit_ = failure
            orders += self._shut_down(events.ShutdownRequested(exit_.code, provisional=True), name, now)
        # Who waits for what was given up waits for ever.
        nothing_left = self._given_up and len(self._given_up) + self._turns.waiting == len(everyone)
        if not self._ending.in_doubt and not self.shutting_down and nothing_left:
            self._ending.exit_code = next((exit_.code for exit_ in self._given_up.values() if exit_.failed), 0)
        if self._quit or self._ending.exit_code is None or self._ending.awaited:
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
        wanted |= {name: count for name, count in project.recounted if name in types}
        most = self._roster.usual_most if project.most is None else project.most
        self._roster.refuse_unless_possible(wanted, most)
        self._roster.most = most
        self._kept = dict(project.kept)
        gradually = self._roster.read_types(types)
        self._roster.resize(dict.fromkeys(counts, 0) | wanted)
        changed = dict.fromkeys(each.name.type for each in gradually)
        others = [*changed, *(name for name in counts if name not in types)]
        orders = self._rolling.drop(others, now) + self._settle_all(self.instances(), now)
        if due := [each for each in gradually if each.wish is Wish.UP]:
            self._rolling.add(due)
        return orders

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
            if not isinstance(instance.state, (Starting, Warming, Running, Stopping)):
                instance.edition += 1  # whatever it waits for, a person has come first
            instance.wish = Wish.UP
            orders += self._settle(instance, now)
        return orders

    def _stop(self, names: tuple[str, ...], now: float) -> list[Action]:
        chosen = self.resolve(names)
        for instance in chosen:
            # Nobody has asked for one more than there should be: who scales up to its number later gets a fresh one.
            instance.wish = Wish.GONE if self._roster.is_extra(instance) else Wish.DOWN
        return self._settle_all(chosen, now)

    def _restart(self, names: tuple[str, ...], rolling: bool, now: float) -> list[Action]:
        orders = self._give_one_each(names, now)
        # What a person has stopped by its name comes back by its name, not because all is restarted; and one more than
        # there should be is the fresh copy already.
        meant = self.resolve(names) if names else [each for each in self.instances() if each.wish is Wish.UP]
        chosen = [each for each in meant if not self._roster.is_extra(each)]
        if rolling:
            self._rolling.add(each for each in chosen if each.wish is Wish.UP)
            chosen = [each for each in chosen if each.wish is not Wish.UP]  # nothing of these has to be replaced
        for instance in chosen:
            instance.edition += 1
            instance.wish = Wish.UP
        return orders + self._settle_all(chosen, now)

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
            self._rolling.forget()
            orders.append(Tell(ShutdownBegun(len(self._ending.awaited), because)))
        for instance in self.instances():
            if request.force:
                instance.type = instance.type.but(stop=stop_plan())
                if isinstance(instance.state, (Stopping, Clearing)) and instance.state.steps:  # once is enough
                    orders += begin_stop(instance, instance.type.stop, now)
            if self._roster.is_extra(instance):
                instance.wish = Wish.GONE
            elif instance.wish is Wish.UP:
                instance.wish = Wish.DOWN
            orders += self._settle(instance, now)
        return orders

    def _refuse_in_shutdown(self) -> None:
        if self.shutting_down:
            raise NotNow("the supervisor is shutting down; start it again when it is gone")
