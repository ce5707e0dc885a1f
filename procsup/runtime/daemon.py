"""The supervisor's loop: one inbox, one consumer. Events go in, the core decides, its orders are carried out here.

Facts come from `processes`, requests from `requests` and signals; nothing else touches the core. There is no polling:
the loop sleeps until something is posted or the core's deadline comes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, assert_never

from procsup.config.expand import expand_command, find_executable
from procsup.config.project import Project
from procsup.core.actions import Action, KeepFormation, Kill, Notice, Quit, Signal, Spawn, StopDone, Tell
from procsup.core.events import DeadlineReached, Event, ProjectRead
from procsup.core.model import Formation, ProcessType, RestartRule, StopPlan
from procsup.core.supervisor import Supervisor
from procsup.output.console import Console
from procsup.output.pump import Pump
from procsup.runtime.keeper import FormationKeeper
from procsup.runtime.processes import Launch, Processes
from procsup.runtime.wording import tell

# So long the loop may be busy with events in a row before pipes and clients have their turn, in seconds.
SLICE = 0.01


class Policy(NamedTuple):
    """What the command line says about every process type."""

    restart: RestartRule
    stop: StopPlan


class _Entry(NamedTuple):
    """What waits in the inbox: `project` comes into force with its event, and `taken` is told of the outcome."""

    event: Event
    taken: asyncio.Future[None] | None = None
    project: Project | None = None


class Daemon:
    """Runs one project until the core says `Quit`. `finished` is its exit code, once it is known."""

    def __init__(
        self,
        project: Project,
        policy: Policy,
        console: Console,
        pump: Pump,
        keeper: FormationKeeper,
        *,
        keep_going: bool = False,
        portable: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.project = project
        self.policy = policy
        self.console = console
        self.keeper = keeper
        self.finished: asyncio.Future[int] = self._loop.create_future()
        self.stopped = 0
        self.killed: list[str] = []
        seed = int(self._loop.time() * 1e6)  # only so that two supervisors do not restart in step
        self.supervisor = Supervisor(base_port=project.base_port, keep_going=keep_going, seed=seed)
        self._processes = Processes(self._loop, pump, self.post, portable=portable)
        self._inbox: deque[_Entry] = deque()
        self._working = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._awaited: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    # The inbox

    def post(self, event: Event) -> None:
        """Take note of an event; it is handled in its turn."""
        self._put(_Entry(event))

    async def ask(self, event: Event, project: Project | None = None) -> None:
        """Post a request and wait until the core has taken it. Raises RequestRefused where it has not."""
        taken: asyncio.Future[None] = self._loop.create_future()
        self._put(_Entry(event, taken, project))
        await taken

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is asked again whenever something has happened."""
        if not condition():
            came_true: asyncio.Future[None] = self._loop.create_future()
            self._awaited.append((condition, came_true))
            await came_true

    def project_read(self, project: Project, counts: Formation, kept: Formation) -> ProjectRead:
        """The event that tells the core of a project; to be asked together with it."""
        types = tuple(
            ProcessType(each.name, project.fingerprint(each.name), self.policy.restart, self.policy.stop)
            for each in project.types
        )
        return ProjectRead(types, counts, kept)

    def now(self) -> float:
        return self._loop.time()

    def _put(self, entry: _Entry) -> None:
        self._inbox.append(entry)
        if not self._working:
            self._working = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        """The consumer."""
        give_way_at = self._loop.time() + SLICE
        while self._inbox and self._loop.time() < give_way_at:
            event, taken, project = self._inbox.popleft()
            try:
                orders = self.supervisor.handle(event, self._loop.time())
            except Exception as error:
                if taken is None:
                    self._fail(error)
                    return
                if not taken.cancelled():
                    taken.set_exception(error)
                continue
            self.project = project or self.project
            for order in orders:
                self._carry_out(order)
            if taken is not None and not taken.cancelled():
                taken.set_result(None)
        if self._inbox:
            self._loop.call_soon(self._work)
            return
        self._working = False
        self._set_alarm()
        self._tell_those_who_wait()

    def _carry_out(self, order: Action) -> None:
        match order:
            case Spawn(name):
                self._processes.start(name, lambda: self._prepare(order))
            case Signal(name, number):
                self._processes.signal(name, number)
            case Kill(name):
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

    def _prepare(self, order: Spawn) -> Launch:
        """What to start for an instance, by the project as it is now. Raises OSError where it cannot run."""
        (type_, number), port, unique_int = order.name, order.port, order.unique_int
        environment: Mapping[str, str] = self.project.instance_environment(
            type_, number, port, unique_int, self.supervisor.type_ports
        )
        argv = expand_command(self.project.type(type_).command, environment, unique_int).argv
        return Launch(find_executable(argv[0], environment, self.project.root), argv, environment)

    def _tell(self, notice: Notice) -> None:
        if isinstance(notice, StopDone):
            self.stopped += notice.killed_after is None
            if notice.killed_after is not None:
                self.killed.append(str(notice.name))
        self.console.notice(tell(notice))

    # Time, and those who wait

    def _set_alarm(self) -> None:
        when = self.supervisor.deadline
        if when == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = self._loop.call_at(when, self._ring) if when is not None else None

    def _ring(self) -> None:
        self._alarm_at = None
        self.post(DeadlineReached())

    def _tell_those_who_wait(self) -> None:
        waiting, self._awaited = self._awaited, []
        for condition, came_true in waiting:
            if came_true.cancelled():
                continue
            if condition():
                came_true.set_result(None)
            else:
                self._awaited.append((condition, came_true))

    # The end

    def _fail(self, error: Exception) -> None:
        """A bug of ours: the core met what cannot be. Nothing it started may outlive it."""
        self.kill_all()
        if not self.finished.done():
            self.finished.set_exception(error)

    def kill_all(self) -> None:
        self._processes.kill_all()

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._processes.close()
