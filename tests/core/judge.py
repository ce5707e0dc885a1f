"""Whether the orders of the core are right, given what people asked for and what is alive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from procsup.core.actions import (
    Action,
    EndedUnasked,
    FoundAtFault,
    KeepFormation,
    KillFailed,
    Notice,
    Quit,
    ShutdownBegun,
    Started,
)
from procsup.core.events import (
    DeadlineReached,
    Event,
    Outgrew,
    ProjectRead,
    RestartRequested,
    ScaleRequested,
    ShutdownRequested,
    Spawned,
    StartRequested,
)
from procsup.core.lifecycle import STABLE_AFTER
from procsup.core.model import Exit, Fault, Formation, InstanceName
from procsup.core.rules import UNKILLABLE_AFTER, RestartPolicy
from procsup.core.turns import SPAWNS_AT_ONCE
from tests.core.fates import SLOWEST_SPAWN, Copy
from tests.core.will import Will

A_HAIR = 1e-6


class Judge:
    """Has a look at each event and order; the world keeps `now` right. Raises AssertionError."""

    def __init__(self, will: Will, copies: Mapping[InstanceName, Copy], *, keep_going: bool, late: float) -> None:
        self.now = 0.0
        self.last_exit: dict[InstanceName, Exit] = {}
        self._left_as_it_is: dict[InstanceName, Exit] = {}
        self.died_of_sigterm: dict[InstanceName, float] = {}
        self._will = will
        self._copies = copies
        self._keep_going = keep_going
        self._late = late
        self._numbers: dict[InstanceName, tuple[int, int]] = {}  # port and unique int of all that is in use
        self._rolling: set[InstanceName] = set()
        self.extras: set[InstanceName] = set()  # more than there should be, while others are replaced
        self._were_stopped: set[InstanceName] = set()  # before the event: whoever starts them asks for fresh copies
        self._must_quit_by: float | None = None
        self._quit: Quit | None = None

    def before(self, event: Event, now: float) -> None:
        """What the event permits, and what it obliges to."""
        self.now = now
        if not isinstance(event, (Spawned, DeadlineReached)):
            self._forget_free_numbers()  # one more than there should be may get them at once
        match event:
            case StartRequested() | ScaleRequested():
                self.died_of_sigterm.clear()
            case RestartRequested(names, rolling):
                self.died_of_sigterm.clear()
                chosen = self._will.resolve(names or self._will.counts)
                if not names:
                    chosen -= self._will.stopped
                if rolling:
                    self._rolling |= chosen
                for copy in self._copies.values():
                    copy.to_be_renewed |= copy.name in chosen and (not rolling or copy.name in self._were_stopped)
            case ProjectRead():
                self.died_of_sigterm.clear()
                changed = self._will.changed
                gradually = {name for name in changed if self._will.ever[name].surge}
                self._rolling |= {name for name in self._will.formation if name.type in gradually}
                for copy in self._copies.values():
                    copy.to_be_renewed |= copy.name.type in changed - gradually
            case ShutdownRequested(force=force):
                self._expect_quit(force)
            case Outgrew(name, pid) if (copy := self._copies.get(name)) is not None and copy.pid == pid:
                self._rolling |= {name} if self._may_go_on(copy) else set()
            case _:
                pass

    def _may_go_on(self, copy: Copy) -> bool:
        """Until another is there in its place: it was within its memory long enough, and failures are not counted."""
        type_ = self._will.ever[copy.name.type]
        return (
            bool(type_.surge) and type_.restart.max_restarts is None and self.now >= copy.born + STABLE_AFTER - A_HAIR
        )

    def _expect_quit(self, force: bool) -> None:
        plans = [self._will.plan_of(name.type) for name in {*self._copies, *self._will.formation}]
        longest = 0.0 if force else max((sum(step.wait for step in plan[:-1]) for plan in plans), default=0.0)
        bound = self.now + longest + UNKILLABLE_AFTER + SLOWEST_SPAWN + 8 * self._late + A_HAIR
        self._must_quit_by = bound if self._must_quit_by is None else min(self._must_quit_by, bound)

    def spawn(self, name: InstanceName, numbers: tuple[int, int]) -> None:
        assert self._quit is None, "it has quit, and orders something"
        assert name not in self._copies, f"a second copy of {name} while one is alive"
        assert self._will.wants(name) or self._may_be_more(name), f"nobody wants {name}"
        assert not self._lacking(name), f"{name} has to wait for {', '.join(map(str, self._lacking(name)))}"
        died = self.died_of_sigterm.pop(name, None)
        asked = name in self._rolling  # a person's rolling restart may have come to it just now
        assert asked or died is None or self.now >= died + 0.25 - A_HAIR, (
            f"{name} died of SIGTERM; a shutdown may follow"
        )
        outstanding = sum(1 for copy in self._copies.values() if copy.phase == "ordered")
        assert outstanding < SPAWNS_AT_ONCE, "too many spawns at once"
        if name in self._numbers:
            assert self._numbers[name] == numbers, f"{name} had other numbers before"
        else:
            for port, unique_int in self._numbers.values():
                assert port != numbers[0], f"PORT {port} is taken"
                assert unique_int != numbers[1], f"UNIQUE_INT {unique_int} is taken"
            self._numbers[name] = numbers
        self._left_as_it_is.pop(name, None)

    def _may_be_more(self, name: InstanceName) -> bool:
        if self._will.shutting_down or name in self._will or name.type not in self._will.counts:
            return False
        more = [each for each in self._copies.values() if each.name.type == name.type and each.name not in self._will]
        more = [each for each in more if each.phase == "led" and each.stop_begun is None]
        once_more = name in self.extras  # it is being tried, though those that it came for may be stopped by now
        self.extras.add(name)
        there_for = [each for each in self._rolling if each.type == name.type]
        wanted = (once_more and self._will.counts.get(name.type)) or any(map(self._will.wants, there_for))
        return len(more) < self._will.ever[name.type].surge and bool(there_for and wanted)

    def signal(self, name: InstanceName) -> Copy:
        assert self._quit is None, "it has quit, and orders something"
        copy = self._copies.get(name)
        assert copy is not None, f"a signal to {name}, which is not alive"
        assert copy.phase != "ordered", f"a signal to {name}, which is not known to be alive"
        asked = copy.to_be_renewed or name in self._rolling or not self._will.wants(name) or copy.phase == "orphaned"
        assert asked or copy.at_fault or copy.stop_begun is not None, f"nobody asked to stop {name}"
        copy.stop_begun = self.now if copy.stop_begun is None else copy.stop_begun
        return copy

    def kill(self, name: InstanceName) -> Copy:
        copy = self.signal(name)
        begun = copy.stop_begun if copy.stop_begun is not None else self.now
        early = self.now < begun + self._grace(name) - A_HAIR
        assert self._will.forced or not early, f"{name} is killed before its time"
        assert copy.killed_at is None, f"{name} is killed twice"
        copy.killed_at = self.now
        return copy

    def keep(self, formation: Formation, event: Event) -> None:
        assert isinstance(event, ScaleRequested), "nobody has scaled anything"
        assert formation == self._will.kept

    def notice(self, notice: Notice) -> None:
        match notice:
            case Started(name, pid):
                assert self._copies[name].pid == pid
            case FoundAtFault(name, fault, uptime):
                self._at_fault(self._copies[name], fault, uptime)
            case EndedUnasked(name) if not self._will.wants(name):
                assert name in self.extras, f"{name} was asked to end"
            case EndedUnasked(name, exit_, next_try_in=None, gave_up=gave_up):
                rule = self._will.ever[name.type].restart
                ends_well = rule.policy is RestartPolicy.ON_FAILURE and exit_.code == 0
                assert rule.policy is RestartPolicy.NEVER or ends_well or (gave_up and rule.max_restarts is not None)
                self._left_as_it_is[name] = exit_
            case ShutdownBegun(because=InstanceName() as name):
                assert not self._keep_going, "the others were to go on"
                assert self._will.ever[name.type].restart.policy is RestartPolicy.NEVER
                assert self.last_exit[name].code != 0
                self._will.exit_code, self._will.began_by_itself = self.last_exit[name].code, True
                self._expect_quit(force=False)
            case KillFailed(name):
                killed_at = self._copies[name].killed_at
                assert killed_at is not None, f"{name} was never killed"
                assert self.now >= killed_at + UNKILLABLE_AFTER - A_HAIR, f"{name} had no time to die"
            case _:
                pass

    def quit(self, order: Quit) -> None:
        assert self._quit is None, "it quits twice"
        self._quit = order
        for copy in self._copies.values():
            assert copy.killed_at is not None, f"{copy.name} is left behind, and was never killed"
            assert copy.stuck, f"{copy.name} is left behind"
        expected = self._will.exit_code
        if expected is None:
            left = {name: exit_ for name, exit_ in self._left_as_it_is.items() if self._will.wants(name)}
            rest = self._will.formation - set(left)
            assert all(self._will.wants(name) and self.waits(name) for name in rest), "something should still run"
            expected = next((exit_.code for exit_ in left.values() if exit_.code), 0)
        assert order.exit_code == (1 if self._copies else expected), "the wrong exit code"

    def after(self, event: Event, orders: Sequence[Action], *, rolling: bool) -> None:
        assert self._must_quit_by is None or self.now <= self._must_quit_by, "the shutdown takes too long"
        if isinstance(event, ScaleRequested):
            assert KeepFormation(self._will.kept) in orders, "what was scaled is not kept"
        if not rolling:
            self._rolling.clear()
            self.extras.clear()
        self._were_stopped = set(self._will.stopped)
        for copy in self._copies.values() if len(self._copies) < 20 else ():
            if copy.stop_begun is not None and copy.killed_at is None:
                latest = copy.stop_begun + self._grace(copy.name) + 8 * self._late + A_HAIR
                assert self.now <= latest, f"{copy.name} should have been killed by now"
            within = self._will.ever[copy.name.type].ready_within
            if within is not None and copy.phase == "led" and not copy.ready and copy.stop_begun is None:
                latest = copy.born + within + 8 * self._late + A_HAIR
                assert self.now <= latest, f"{copy.name} had its time to become ready"
        if not isinstance(event, (Spawned, DeadlineReached)):
            self._forget_free_numbers()

    def left_as_it_is(self, name: InstanceName) -> bool:
        """It ended, and its policy says that it does not come back."""
        return name in self._left_as_it_is

    def waits(self, name: InstanceName) -> bool:
        """For something that does not come by itself."""
        return any(self.left_as_it_is(each) or self._runs_on(each) or self.waits(each) for each in self._lacking(name))

    def _runs_on(self, name: InstanceName) -> bool:
        copy = self._copies.get(name)
        return self._will.ever[name.type].one_shot and copy is not None and copy.phase == "led"

    def _lacking(self, name: InstanceName) -> list[InstanceName]:
        """What it depends on, is wanted, and is not there as it should be."""
        types = self._will.ever[name.type].depends_on
        return [
            each
            for each in sorted(self._will.formation)
            if each.type in types and self._will.wants(each) and not self._serves(each)
        ]

    def _serves(self, name: InstanceName) -> bool:
        copy, exit_ = self._copies.get(name), self._left_as_it_is.get(name)
        if exit_ is not None:
            return not exit_.failed and self._will.ever[name.type].restart.policy is not RestartPolicy.ALWAYS
        ready = copy is not None and copy.phase == "led" and copy.ready and copy.stop_begun is None
        return ready and not self._will.ever[name.type].one_shot

    def _at_fault(self, copy: Copy, fault: Fault, uptime: float) -> None:
        within = self._will.ever[copy.name.type].ready_within
        assert abs(self.now - copy.born - uptime) < A_HAIR
        if fault is Fault.NOT_READY:
            assert not copy.ready, f"{copy.name} was ready"
            assert within is not None and self.now >= copy.born + within - A_HAIR, f"{copy.name} had no time"  # noqa: PT018
        elif fault is Fault.TOO_LARGE:
            assert copy.too_large, f"{copy.name} has not too much"
        else:
            assert copy.silent, f"{copy.name} answers"
        copy.at_fault = True
        self.last_exit[copy.name] = Exit(1, fault=fault)

    def _grace(self, name: InstanceName) -> float:
        return sum(step.wait for step in self._will.plan_of(name.type)[:-1])

    def _forget_free_numbers(self) -> None:
        free = [name for name in self._numbers if name not in self._copies and name not in self._will]
        for name in free:
            del self._numbers[name]
