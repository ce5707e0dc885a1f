"""A supervisor on a stage: tests say in words what happens, and read what it ordered.

Unlike the simulated world it invents nothing: every fact is told by the test.
"""

from __future__ import annotations

import signal

from procsup.core.actions import Action, KeepFormation, Kill, Notice, Quit, Signal, Spawn, Tell
from procsup.core.events import (
    BecameReady,
    DeadlineReached,
    Event,
    LeaderExited,
    Outgrew,
    ProjectRead,
    RestartRequested,
    ScaleChange,
    ScaleRequested,
    ShutdownRequested,
    Spawned,
    SpawnFailed,
    StartRequested,
    StoppedAnswering,
    StopRequested,
    TreeVanished,
)
from procsup.core.model import Exit, Instance, InstanceName, Starting, State
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule
from procsup.core.supervisor import Supervisor

OK = Exit(0)
CRASH = Exit(1)
BY_SIGTERM = Exit(128 + signal.SIGTERM, signal.SIGTERM)
BY_SIGKILL = Exit(128 + signal.SIGKILL, signal.SIGKILL)


def named(text: str) -> InstanceName:
    type_, _, number = text.rpartition(".")
    return InstanceName(type_, int(number))


class Stage:
    """`now` starts at 100.0. `orders` holds what the last event led to, in words."""

    def __init__(self, *types: ProcessType | str, counts: dict[str, int] | None = None, **options: int) -> None:
        self.supervisor = Supervisor(
            base_port=options.get("base_port", 5000),
            max_instances=options.get("max_instances", 10_000),
            keep_going=bool(options.get("keep_going", 0)),
        )
        self.now = 100.0
        self.orders: list[str] = []
        self.notices: list[Notice] = []
        self.kept: dict[str, int] | None = None
        self._next_pid = 1
        self.read(*types, counts=counts)

    # Requests

    def read(
        self, *types: ProcessType | str, counts: dict[str, int] | None = None, kept: dict[str, int] | None = None
    ) -> list[str]:
        as_types = tuple(ProcessType(each) if isinstance(each, str) else each for each in types)
        return self.tell(ProjectRead(as_types, counts or {}, kept or {}))

    def scale(self, *changes: str) -> list[str]:
        """As on the command line: web=3, web=+1, web=-1."""
        parsed: list[ScaleChange] = []
        for change in changes:
            name, _, amount = change.partition("=")
            parsed.append(ScaleChange(name, int(amount), amount[0] in "+-"))
        return self.tell(ScaleRequested(tuple(parsed)))

    def start(self, *names: str) -> list[str]:
        return self.tell(StartRequested(names))

    def stop(self, *names: str) -> list[str]:
        return self.tell(StopRequested(names))

    def restart(self, *names: str, rolling: bool = False) -> list[str]:
        return self.tell(RestartRequested(names, rolling))

    def shut_down(self, exit_code: int = 0, *, force: bool = False) -> list[str]:
        return self.tell(ShutdownRequested(exit_code, force))

    # Facts

    def runs(self, *names: str) -> list[str]:
        """What was ordered runs; all of it, if no names are given."""
        said: list[str] = []
        for name in names or self.outstanding():
            said += self.tell(Spawned(named(name), self._next_pid))
            self._next_pid += 1
        self.orders = said
        return said

    def cannot_start(self, name: str) -> list[str]:
        return self.tell(SpawnFailed(named(name), Exit(127, error="no such file")))

    def becomes_ready(self, name: str, pid: int | None = None) -> list[str]:
        return self.tell(BecameReady(named(name), pid or self[name].pid or 0))

    def stops_answering(self, name: str) -> list[str]:
        return self.tell(StoppedAnswering(named(name), self[name].pid or 0))

    def outgrows(self, name: str, at: float | None = None) -> list[str]:
        seen = self.now if at is None else at
        return self.tell(Outgrew(named(name), self[name].pid or 0, seen, "300 MiB, the limit is 256 MiB"))

    def ends(self, name: str, exit_: Exit = CRASH, *, leaving_others: bool = False) -> list[str]:
        return self.tell(LeaderExited(named(name), exit_, leaving_others))

    def others_gone(self, name: str) -> list[str]:
        return self.tell(TreeVanished(named(name)))

    def after(self, seconds: float) -> list[str]:
        """Time passes, with every deadline on the way told in time."""
        until, said = self.now + seconds, list[str]()
        while (deadline := self.supervisor.deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            said += self.tell(DeadlineReached())
        self.now = until
        self.orders = said
        return said

    def tell(self, event: Event) -> list[str]:
        actions = self.supervisor.handle(event, self.now)
        self.notices = [action.notice for action in actions if isinstance(action, Tell)]
        self.kept = next((dict(each.formation) for each in actions if isinstance(each, KeepFormation)), self.kept)
        self.orders = [said for action in actions if (said := _in_words(action))]
        return self.orders

    # What is

    def __getitem__(self, name: str) -> Instance:
        instance = self.supervisor.instance(named(name))
        assert instance is not None, f"there is no {name}"
        return instance

    def state(self, name: str) -> type[State]:
        return type(self[name].state)

    @property
    def halted(self) -> InstanceName | None:
        """Whom the last rolling restart has stumbled over."""
        found = self.supervisor.halted
        return found.name if found is not None else None

    def names(self) -> list[str]:
        return [str(each.name) for each in self.supervisor.instances()]

    def outstanding(self) -> list[str]:
        """What was ordered to spawn and has not been answered."""
        return [str(each.name) for each in self.supervisor.instances() if isinstance(each.state, Starting)]

    def wait(self) -> float | None:
        """Seconds until the deadline."""
        deadline = self.supervisor.deadline
        return None if deadline is None else deadline - self.now


def up(*types: ProcessType | str, counts: dict[str, int] | None = None, **options: int) -> Stage:
    """All that was wanted runs."""
    stage = Stage(*types, counts=counts, **options)
    while stage.outstanding():
        stage.runs()
    return stage


def once(name: str = "job") -> ProcessType:
    """A type that is not restarted."""
    return ProcessType(name, restart=RestartRule(RestartPolicy.NEVER))


def _in_words(action: Action) -> str | None:
    match action:
        case Spawn(name):
            return f"spawn {name}"
        case Signal(name, number):
            return f"{signal.Signals(number).name} {name}"
        case Kill(name):
            return f"SIGKILL {name}"
        case Quit(exit_code):
            return f"quit {exit_code}"
        case KeepFormation() | Tell():
            return None
