"""What people have asked for, kept by the simulated world on its own account to hold the core's orders against."""

from __future__ import annotations

from collections.abc import Iterable

from procsup.core.events import (
    Event,
    ProjectRead,
    RestartRequested,
    ScaleRequested,
    ShutdownRequested,
    StartRequested,
    StopRequested,
)
from procsup.core.model import InstanceName
from procsup.core.rules import ProcessType, StopPlan


class Will:
    """The last word on everything. `alive` is the world's list of names of which something is running."""

    def __init__(self, max_instances: int) -> None:
        self.max_instances = max_instances
        self.counts: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.ever: dict[str, ProcessType] = {}
        self.changed: set[str] = set()  # by the last reading of the project
        self.stopped: set[InstanceName] = set()
        self.exit_code: int | None = None
        self.began_by_itself = False  # the shutdown; then the exit code of one who asks for it counts
        self.forced = False

    def wants(self, name: InstanceName) -> bool:
        return not self.shutting_down and name in self and name not in self.stopped

    def __contains__(self, name: InstanceName) -> bool:
        return name.number <= self.counts.get(name.type, 0)

    @property
    def shutting_down(self) -> bool:
        return self.exit_code is not None

    @property
    def formation(self) -> set[InstanceName]:
        return {InstanceName(type_, number + 1) for type_, count in self.counts.items() for number in range(count)}

    def plan_of(self, type_: str) -> StopPlan:
        return self.ever[type_].stop

    def resolve(self, names: Iterable[str]) -> set[InstanceName]:
        wanted = set(names)
        return {each for each in self.formation if each.type in wanted or str(each) in wanted}

    def refuses(self, event: Event, alive: Iterable[InstanceName]) -> bool:
        """The request makes no sense."""
        match event:
            case ProjectRead() | ScaleRequested() | StartRequested() | RestartRequested() if self.shutting_down:
                return True
            case ProjectRead():
                return sum(self._read(event).values()) > self.max_instances
            case ScaleRequested():
                counts = self._scaled(event)
                return counts is None or sum(counts.values()) > self.max_instances
            case StartRequested(names) | StopRequested(names) | RestartRequested(names):
                known = {*self.counts, *map(str, self.formation)}
                known |= {known_as for name in alive for known_as in (name.type, str(name))}
                if not known.issuperset(names):
                    return True
                adds = not isinstance(event, StopRequested)
                return adds and sum((self.counts | self._one_each(names)).values()) > self.max_instances
            case _:
                return False

    def take(self, event: Event) -> None:
        match event:
            case ProjectRead():
                self.counts, self.kept = self._read(event), dict(event.kept)
                self.changed = {each.name for each in event.types if each.version != self._version_of(each)}
                self.ever |= {each.name: each for each in event.types}
            case ScaleRequested(changes):
                self.counts = self._scaled(event) or {}
                asked = {each.type for each in changes}
                self.kept |= {name: self.counts[name] for name in asked}
            case StartRequested(names):
                self.counts |= self._one_each(names)
                self.stopped -= self.resolve(names)
            case RestartRequested(names):
                self.counts |= self._one_each(names)
                self.stopped -= self.resolve(names)
            case StopRequested(names):
                self.stopped |= self.resolve(names)
            case ShutdownRequested(exit_code, force):
                if self.exit_code is None or self.began_by_itself:
                    self.exit_code, self.began_by_itself = exit_code, False
                self.forced = self.forced or force
            case _:
                pass
        self.stopped = {name for name in self.stopped if name in self}

    def _version_of(self, type_: ProcessType) -> str:
        return self.ever.get(type_.name, type_).version

    def _one_each(self, names: Iterable[str]) -> dict[str, int]:
        return {name: 1 for name in names if self.counts.get(name) == 0}

    def _read(self, project: ProjectRead) -> dict[str, int]:
        return {each.name: self.counts.get(each.name, project.counts.get(each.name, 1)) for each in project.types}

    def _scaled(self, event: ScaleRequested) -> dict[str, int] | None:
        counts = dict(self.counts)
        for change in event.changes:
            if change.type not in counts:
                return None
            counts[change.type] = counts[change.type] * change.relative + change.amount
            if counts[change.type] < 0:
                return None
        return counts
