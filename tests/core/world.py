"""A small world with a virtual clock: it carries the core's orders out, and checks each of them.

Copies of instances are born, live, hear signals or do not, and leave others behind, as their `Fate` says; whatever
happens to them is told to a real `Supervisor` as a fact, and whatever it orders is held against what people asked for
(`Will`) and what is alive. The first thing that is not right raises an AssertionError that tells the story so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import Literal

from procsup.core.actions import (
    Action,
    KeepFormation,
    Kill,
    Quit,
    Signal,
    Spawn,
    Tell,
)
from procsup.core.events import (
    BecameReady,
    DeadlineReached,
    Event,
    LeaderExited,
    Outgrew,
    ProjectRead,
    ScaleRequested,
    ShutdownRequested,
    Spawned,
    SpawnFailed,
    StoppedAnswering,
    StopRequested,
    TreeVanished,
)
from procsup.core.model import Exit, InstanceName, RequestRefused, Wish
from procsup.core.supervisor import Supervisor
from tests.core.checks import check_books, snapshot
from tests.core.fates import (
    BY_SIGKILL,
    BY_SIGTERM,
    DONE,
    ENDING_SIGNALS,
    FOR_EVER,
    GOOD,
    NOT_FOUND,
    UNKILLABLE_END_AFTER,
    Copy,
    Fate,
)
from tests.core.judge import Judge
from tests.core.will import Will

Happening = Literal[
    "answer", "ready", "silent", "too large", "end of life", "end by signal", "end by SIGKILL", "others gone"
]
# Nothing that goes on for so many events will ever come to rest.
TOO_MANY_EVENTS = 30_000


class World:
    def __init__(
        self,
        fates: Sequence[Fate] = (),
        *,
        seed: int = 0,
        keep_going: bool = False,
        late: float = 0.0,
        deadlines_first: bool = False,
        max_instances: int = 10_000,
    ) -> None:
        self.supervisor = Supervisor(base_port=5000, max_instances=max_instances, seed=seed, keep_going=keep_going)
        self.will = Will(max_instances)
        self.now = 1000.0
        self.copies: dict[InstanceName, Copy] = {}
        self.quit: Quit | None = None
        self.spawns: list[Spawn] = []
        self.story: list[str] = []
        self._fates = fates
        self._late = late
        self._deadlines_first = deadlines_first
        self._calm = False
        self._coming: list[tuple[float, int, Happening, Copy]] = []
        self._serial = 0
        self._judge = Judge(self.will, self.copies, keep_going=keep_going, late=late)

    # What a test does

    def request(self, event: Event) -> bool:
        """Somebody asks for something; False if it was refused, as it should have been."""
        if not self.will.refuses(event, {*self.copies, *self._extras}):
            self._tell(event)
            return True
        before = snapshot(self.supervisor)
        with self._telling(event):
            try:
                self.supervisor.handle(event, self.now)
            except RequestRefused:
                assert snapshot(self.supervisor) == before, "a refused request changed something"
            else:
                raise AssertionError("this should have been refused")
        return False

    def let_pass(self, seconds: float, most_events: int = 150) -> None:
        """Let time pass, but no more of it than has room for so many events."""
        until = self.now + seconds
        while most_events and self.quit is None and (when := self._next_moment()) is not None and when <= until:
            self.step()
            most_events -= 1
        if most_events:
            self.now = max(self.now, until)

    def step(self) -> bool:
        """Let the next thing happen; False if nothing is ever going to."""
        moment = self._next_moment()
        if moment is None or self.quit is not None:
            return False
        self.now = max(self.now, moment)
        due, coming = self._deadline(), self._coming[0][0] if self._coming else FOR_EVER
        if due is not None and (due < coming or (due == coming and self._deadlines_first)):
            orders = self._tell(DeadlineReached())
            deadline = self.supervisor.deadline
            with self._telling("afterwards"):
                assert orders or deadline is None or deadline > self.now, "it was woken for nothing, and will be again"
        else:
            _, _, happening, copy = heappop(self._coming)
            self._happen(happening, copy)
        return True

    def signal_behind_our_back(self, type_: str) -> None:
        """Somebody else sends SIGTERM to all instances of a type, as systemd does to a whole cgroup."""
        for copy in list(self.copies.values()):
            if copy.name.type == type_ and copy.phase == "led" and copy.fate.reaction is not None and not self.quit:
                self._end_leader(copy, BY_SIGTERM)

    def come_to_rest(self) -> None:
        """Let everything that is born from now on be well, and wait until nothing happens any more."""
        self._calm = True
        for _ in range(TOO_MANY_EVENTS):
            if not self.step():
                break
        else:
            with self._telling("the world is quiet"):
                raise AssertionError("it never comes to rest")
        if self.quit is not None:
            return
        with self._telling("the world is quiet"):
            assert set(self.copies) <= self.will.formation, "something runs that nobody wants"
            for name in self.will.formation:
                copy = self.copies.get(name)
                if self.will.wants(name):
                    runs = copy is not None and copy.phase == "led" and copy.stop_begun is None and copy.ready
                    waits = copy is None and self._judge.waits(name)
                    assert runs or waits or self._judge.left_as_it_is(name), f"{name} should run, and does not"
                    assert copy is None or not copy.to_be_renewed, f"{name} is still the old copy"
                else:
                    assert copy is None, f"{name} runs, and should not"

    def be_restless(self) -> None:
        """Fates are as they were again."""
        self._calm = False

    def shut_down(self, exit_code: int = 0, force: bool = False) -> None:
        self.request(ShutdownRequested(exit_code, force))
        while self.step():
            pass
        with self._telling("after the shutdown"):
            assert self.quit is not None, "it was told to shut down, and never quits"

    # What happens to the copies

    def _next_moment(self) -> float | None:
        moments = [self._coming[0][0]] if self._coming else []
        deadline = self._deadline()
        if deadline is not None:
            moments.append(deadline)
        return min(moments, default=None)

    def _deadline(self) -> float | None:
        deadline = self.supervisor.deadline
        return None if deadline is None else max(self.now, deadline + self._late)

    def _expect(self, seconds: float, happening: Happening, copy: Copy) -> None:
        self._serial += 1
        heappush(self._coming, (self.now + seconds, self._serial, happening, copy))

    def _happen(self, happening: Happening, copy: Copy) -> None:
        if self.copies.get(copy.name) is not copy:
            news = _news(happening, copy, self.now)
            if news is not None and self.quit is None:  # it comes too late
                self._tell(news)
            return
        match happening, copy.phase:
            case "answer", _ if copy.fate.spawn_fails:
                self._judge.last_exit[copy.name] = NOT_FOUND
                del self.copies[copy.name]
                self._tell(SpawnFailed(copy.name, NOT_FOUND))
            case "answer", _:
                copy.phase, copy.born = "led", self.now
                copy.ready = self.will.ever[copy.name.type].ready_within is None
                if not copy.ready and copy.fate.ready_after != FOR_EVER:
                    self._expect(copy.fate.ready_after, "ready", copy)
                if copy.fate.answers_for != FOR_EVER:
                    self._expect(copy.fate.answers_for, "silent", copy)
                if copy.fate.fits_for != FOR_EVER:
                    self._expect(copy.fate.fits_for, "too large", copy)
                if copy.fate.lifetime != FOR_EVER:
                    self._expect(copy.fate.lifetime, "end of life", copy)
                self._tell(Spawned(copy.name, copy.pid))
            case "ready", "led":
                copy.ready = copy.ready or copy.stop_begun is None
                self._tell(BecameReady(copy.name, copy.pid))
            case "silent", "led" if not self._calm:
                copy.silent = copy.ready
                self._tell(StoppedAnswering(copy.name, copy.pid))
            case "too large", "led" if not self._calm:
                copy.too_large = True
                self._tell(Outgrew(copy.name, copy.pid, self.now, "too much"))
            case "end of life", "led" if not self._calm or copy.fate is DONE:
                self._end_leader(copy, copy.fate.exit)
            case "end by signal", "led":
                self._end_leader(copy, BY_SIGTERM)
            case "end by SIGKILL", "led":
                self._end_leader(copy, BY_SIGKILL)
            case (("end by SIGKILL" | "end by signal" | "others gone"), "orphaned"):
                del self.copies[copy.name]
                self._tell(TreeVanished(copy.name))
            case _:
                pass

    def _end_leader(self, copy: Copy, exit_: Exit) -> None:
        if not copy.at_fault:
            self._judge.last_exit[copy.name] = exit_
        if exit_ == BY_SIGTERM and copy.stop_begun is None:
            self._judge.died_of_sigterm[copy.name] = self.now
        copy.phase = "orphaned"
        leaves = copy.fate.leaves
        if leaves == "nobody" or (copy.killed_at is not None and not copy.stuck):
            del self.copies[copy.name]
            self._tell(LeaderExited(copy.name, exit_))
            return
        if leaves == "some for a moment" or (leaves == "some that hear" and copy.heard):
            self._expect(0.02, "others gone", copy)
        elif copy.killed_at is not None:
            self._expect(UNKILLABLE_END_AFTER if copy.stuck else 0.0, "end by SIGKILL", copy)
        self._tell(LeaderExited(copy.name, exit_, remaining=True))

    # What the core orders

    def _tell(self, event: Event) -> list[Action]:
        assert self.quit is None, "the supervisor has quit, and should not be asked again"
        with self._telling(event):
            self.will.take(event)
            self._judge.before(event, self.now)
            orders = self.supervisor.handle(event, self.now)
            self.story.extend(f"{'':14} → {order}" for order in orders)
            for order in orders:
                self._carry_out(order, event)
            self._judge.after(event, orders, rolling=self.supervisor.rolling)
            self._check_books(event)
        return orders

    def _check_books(self, event: Event) -> None:
        assert self.supervisor.formation == self.will.counts, "the formation is not what was asked for"
        self._serial += 1
        small = len(self.supervisor.instances()) < 20
        if small or self._serial % 64 == 0 or isinstance(event, (ScaleRequested, StopRequested, ProjectRead)):
            known = {copy.name: copy.pid if copy.phase != "ordered" else None for copy in self.copies.values()}
            there = self.will.formation | self._extras
            check_books(self.supervisor, self.now, known, there, quitting=self.quit is not None)

    @property
    def _extras(self) -> set[InstanceName]:
        """More than there should be, while others are replaced; they may wait to be started, or for another try."""
        if not self.supervisor.rolling:
            return set()
        there = {each.name for each in self.supervisor.instances() if each.wish is not Wish.GONE}
        extras = there - self.will.formation
        for type_ in {name.type for name in extras}:
            assert sum(name.type == type_ for name in extras) <= self.will.ever[type_].surge, f"too many of {type_}"
        return extras

    def _carry_out(self, order: Action, event: Event) -> None:
        match order:
            case Spawn(name, port, unique_int):
                self._judge.spawn(name, (port, unique_int))
                self.spawns.append(order)
                good = DONE if self.will.ever[name.type].one_shot else GOOD
                fate = good if self._calm or not self._fates else self._fates[(len(self.spawns) - 1) % len(self._fates)]
                copy = self.copies[name] = Copy(name, 1000 + len(self.spawns), fate)
                self._expect(fate.spawn_takes, "answer", copy)
            case Signal(name, signal_):
                self._hear(self._judge.signal(name), signal_)
            case Kill(name):
                copy = self._judge.kill(name)
                self._expect(UNKILLABLE_END_AFTER if copy.stuck else 0.0, "end by SIGKILL", copy)
            case KeepFormation(formation):
                self._judge.keep(formation, event)
            case Quit():
                self._judge.quit(order)
                self.quit = order
            case Tell(notice):
                self._judge.notice(notice)

    def _hear(self, copy: Copy, signal_: int) -> None:
        reaction = copy.fate.reaction if copy.phase == "led" else 0.05
        if signal_ not in ENDING_SIGNALS or copy.heard or reaction is None:
            return
        copy.heard = copy.phase == "led" or copy.fate.leaves == "some that hear"
        if copy.heard:
            self._expect(reaction, "end by signal", copy)

    @contextmanager
    def _telling(self, event: Event | str) -> Iterator[None]:
        self.story.append(f"{self.now - 1000:12.3f} s  {event}")
        try:
            yield
        except Exception as error:
            error.add_note("\n".join(["the story so far:", *self.story[-60:]]))
            raise


def _news(happening: Happening, copy: Copy, now: float) -> Event | None:
    """What is found out about a copy, and may be no news any more."""
    match happening:
        case "ready":
            return BecameReady(copy.name, copy.pid)
        case "silent":
            return StoppedAnswering(copy.name, copy.pid)
        case "too large":
            return Outgrew(copy.name, copy.pid, now, "too much")
        case _:
            return None
