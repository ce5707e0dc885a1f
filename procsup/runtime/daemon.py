"""The supervisor's loop: one inbox, one consumer. Events go in, the core decides, its orders are carried out here.

Facts come from `processes`, requests from `requests` and signals; nothing else touches the core. There is no polling:
the loop sleeps until something is posted or the core's deadline comes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, assert_never

from procsup.config.project import Project
from procsup.core.actions import Action, KeepFormation, Kill, Notice, Quit, Signal, Spawn, Tell
from procsup.core.events import DeadlineReached, Event
from procsup.core.model import Instance, InstanceName, RequestRefused, Stopped, Wish
from procsup.output.console import Console
from procsup.output.pump import Pump
from procsup.runtime.awaited import Awaited
from procsup.runtime.beginning import Beginning
from procsup.runtime.keeper import FormationKeeper
from procsup.runtime.limits.confinement import Confinement
from procsup.runtime.listening import taken_ports
from procsup.runtime.memory import spend_reserve
from procsup.runtime.options import RunOptions
from procsup.runtime.overview import Overview
from procsup.runtime.processes import Processes
from procsup.runtime.readiness import Readiness
from procsup.runtime.tally import Tally
from procsup.runtime.terminals import Terminals
from procsup.runtime.wording import seconds, tell, why
from procsup.value import Value

# So long the loop may be busy with events in a row before pipes and clients have their turn, in seconds.
SLICE = 0.01
# An alarm that rings so late says that we did not run meanwhile: stopped (Ctrl-Z), frozen, or starved of the processor.
OVERSLEPT = 0.2
# Then what happened meanwhile is heard before anything is done, and who slept with us gets a moment: so long at most.
FIRST_LISTEN = 1.0
# So much lost time is told, in seconds.
WORTH_TELLING = 1.0


class Wanted(Value):
    """The instances that were wanted before a request, and those that are wanted since."""

    before: frozenset[InstanceName]
    after: frozenset[InstanceName]


class _Entry(Value):
    """What waits in the inbox: `project` comes into force with its event, and `taken` is told of the outcome."""

    event: Event
    taken: asyncio.Future[Wanted] | None = None
    project: Project | None = None


class Daemon:
    """Runs one project until the core says `Quit`. `finished` is its exit code, once it is known."""

    def __init__(
        self,
        project: Project,
        options: RunOptions,
        beginning: Beginning,
        console: Console,
        pump: Pump,
        keeper: FormationKeeper,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.project = project
        self.policy = options.policy
        self.console = console
        self.keeper = keeper
        self.finished: asyncio.Future[int] = self._loop.create_future()
        self.tally = Tally()
        self.upgrades = 0  # how often this process has become another version
        self.announced = False  # systemd knows that all were up
        self.troubles_elsewhere: Callable[[], list[str]] = list  # of those who are told lines beside the console
        self.supervisor = beginning.supervisor
        self.confinement = beginning.confinement or Confinement(beginning.cgroups)
        self.launcher = beginning.launcher
        self._processes = Processes(
            self._loop,
            pump,
            beginning.claim.cookie,
            self.post,
            cgroups=beginning.cgroups,
            explain=self.confinement.why_ended,
            portable=options.portable,
        )
        self.others = self._processes.others
        self._inbox: deque[_Entry] = deque()
        self._working = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._lost = 0.0  # the time in which we should have run, and did not
        self._overview = Overview(self._loop, console)
        self._awaited = Awaited(self._loop)
        cookie, notify = beginning.claim.cookie, self.launcher.notify
        self.readiness = Readiness(
            self._loop, self.supervisor, lambda: self.project.settings, self.post, cookie, notify
        )
        pump.also_to(self.readiness)
        self._loop.set_exception_handler(self._went_wrong)

    def take_over(self, beginning: Beginning) -> None:
        """Look after the children that were started before us, and carry out what is left to be done."""
        self._processes.adopt(beginning.born)
        beginning.born.clear()
        self._carry_out(beginning.orders)

    # The inbox

    def post(self, event: Event) -> None:
        """Take note of an event; it is handled in its turn."""
        self._put(_Entry(event))

    async def ask(self, event: Event, project: Project | None = None) -> Wanted:
        """Post a request and wait until the core has taken it. Raises RequestRefused where it has not."""
        taken: asyncio.Future[Wanted] = self._loop.create_future()
        self._put(_Entry(event, taken, project))
        return await taken

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is asked again whenever something has happened."""
        await self._awaited.until(condition)

    def why(self, instance: Instance) -> str | None:
        """One sentence on an instance that is not simply running."""
        if self.supervisor.shutting_down and isinstance(instance.state, Stopped):
            return "procsup itself is being stopped"  # so nothing brings it back
        waits_for, missing = list(self.supervisor.waits_for(instance)), self.readiness.missing(instance.name)
        return why(instance, self.now(), waits_for, missing, self.readiness.says(instance.name))

    @property
    def busy(self) -> bool:
        """Something has happened that nobody has looked at yet."""
        return self._working or self._processes.busy

    @property
    def terminals(self) -> Terminals:
        return self._processes.terminals

    def now(self) -> float:
        """Our own time. What we slept through does not count in it: no grace, back-off or uptime runs out meanwhile."""
        return self._loop.time() - self._lost

    def _put(self, entry: _Entry) -> None:
        self._inbox.append(entry)
        if not self._working:
            self._working = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        """The consumer."""
        give_way_at = self._loop.time() + SLICE
        while self._inbox and self._loop.time() < give_way_at:
            entry = self._inbox.popleft()
            try:
                self._handle(entry)
            except Exception as error:
                self._fail(error)
                return
        if self._inbox:
            self._loop.call_soon(self._work)
            return
        self._working = False
        self._set_alarm()
        self._awaited.look()
        self._overview.show(self.supervisor, self.now())

    def _handle(self, entry: _Entry) -> None:
        event, taken, project = entry.event, entry.taken, entry.project
        before = self._wanted() if taken is not None else frozenset()
        try:
            orders = self.supervisor.handle(event, self.now())
        except RequestRefused as error:  # nothing was changed; after anything else, nobody knows what was
            if taken is None:
                raise
            if not taken.cancelled():
                taken.set_exception(error)
            return
        if project is not None:
            self.project = project
            self.readiness.adapt()
        after = self._wanted() if taken is not None else before
        if before != after:
            self.name_all()
            self._warn_of_ports(after - before)
        self._carry_out(orders)
        if taken is not None and not taken.cancelled():
            taken.set_result(Wanted(before, after))

    def _wanted(self) -> frozenset[InstanceName]:
        return frozenset(each.name for each in self.supervisor.instances() if each.wish is Wish.UP)

    def _warn_of_ports(self, names: Iterable[InstanceName]) -> None:
        by_port = {each.port: name for name in names if (each := self.supervisor.instance(name)) is not None}
        for port, who in sorted(taken_ports(by_port).items()):
            self.console.notice(f"warning: {by_port[port]}: port {port} is in use by {who}")

    def name_all(self) -> None:
        """Let the console make room for the names that there are now."""
        names = [str(each.name) for each in self.supervisor.instances()]
        self.console.set_names(names, [each.name for each in self.project.types])

    def _carry_out(self, orders: list[Action]) -> None:
        spawns = [order for order in orders if isinstance(order, Spawn)]
        for order in orders:
            self._carry_out_one(order)
        if spawns:
            launch = partial(self.launcher.launch, self.project, type_ports=self.supervisor.type_ports)
            self._processes.start([(order.name, partial(launch, order)) for order in spawns])

    def _carry_out_one(self, order: Action) -> None:
        match order:
            case Spawn():
                pass  # all together, at the end
            case Signal(name, number):
                self._processes.signal(name, number)
            case Kill(name):
                self.tally.before_kill(self.supervisor.instance(name))
                self._processes.kill(name)
            case KeepFormation(formation):
                self.keeper.keep(formation)
            case Tell(notice):
                self._tell(notice)
            case Quit(exit_code):
                if not self.finished.done():
                    self.finished.set_result(exit_code)
            case _:
                assert_never(order)

    def _tell(self, notice: Notice) -> None:
        self.tally.note(notice)
        self.console.notice(tell(notice, self.readiness.missing))
        self.readiness.note(notice)

    # Time

    def _set_alarm(self) -> None:
        when = self.supervisor.deadline
        if when == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = self._ring_at(when + self._lost) if when is not None else None

    def _ring_at(self, moment: float) -> asyncio.TimerHandle:
        return self._loop.call_at(moment, self._ring, moment)

    def _ring(self, moment: float) -> None:
        late = self._loop.time() - moment
        if late > OVERSLEPT:
            self._lost += late
            self._alarm = self._ring_at(moment + late + min(late, FIRST_LISTEN))
            if late > WORTH_TELLING:
                self.console.notice(f"did not run for {seconds(late)}: all that waits has so much longer")
            return
        self._alarm_at = None
        self.post(DeadlineReached())

    # The end

    def _fail(self, error: Exception) -> None:
        """A bug of ours: the core met what cannot be; or no memory is left. Nothing it started may outlive it."""
        if isinstance(error, MemoryError):
            spend_reserve()
        self.kill_all()
        if not self.finished.done():
            self.finished.set_exception(error)

    def _went_wrong(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Somewhere in the loop, where nobody was to catch it. Without memory nothing can be relied on any more."""
        error = context.get("exception")
        if isinstance(error, MemoryError):
            self._fail(error)
        else:
            loop.default_exception_handler(context)

    def end_the_rest(self) -> int:
        """All instances are down; how many processes of theirs had got away and were found and ended now."""
        return self._processes.end_the_rest()

    def kill_all(self) -> None:
        self._processes.kill_all()

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._overview.close()
        self.readiness.close()
        self._processes.close()
        self.launcher.close()
