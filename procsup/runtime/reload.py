"""Reads the project again and applies the difference only; says first, if asked, what that would be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

from procsup.config.files import read_at_once
from procsup.config.project import Project
from procsup.config.settings import NEXT_START
from procsup.core.events import RestartRequested
from procsup.core.model import RequestRefused, Wish
from procsup.core.supervisor import Supervisor
from procsup.runtime.daemon import Daemon
from procsup.runtime.differences import why_keep, why_restart
from procsup.runtime.keeper import FormationKeeper
from procsup.runtime.limits.confinement import Change
from procsup.runtime.rules import project_read

Plan = list[dict[str, str]]


class Reloader:
    """`read` raises ConfigError for files with mistakes in them; then nothing has changed.

    `pinned` are the types whose counts the command line has said, for as long as the supervisor runs.
    """

    def __init__(
        self,
        daemon: Daemon,
        read: Callable[[], Project],
        keeper: FormationKeeper,
        limits_changed: Callable[[], None] = lambda: None,
        pinned: frozenset[str] = frozenset(),
    ) -> None:
        self._daemon = daemon
        self._limits_changed = limits_changed
        self._pinned = pinned
        self._read = read
        self._keeper = keeper
        self.around: Callable[[], AbstractContextManager[None]] = nullcontext  # each reload

    def read(self) -> Project:
        """Raises ConfigError. While we wait for a file, nobody is looked after."""
        with read_at_once():
            return self._read()

    async def reload(self) -> Plan:
        with self.around():
            return await self._reload()

    async def _reload(self) -> Plan:
        project = self.read()
        plan = self.plan(project)
        for warning in project.warnings:
            self._daemon.console.notice(f"warning: {warning}")
        if project.base_port != self._daemon.project.base_port:
            self._daemon.console.notice(
                f"warning: PORT is {project.base_port} now; ports stay as they are until procsup is stopped and started"
            )
        if latent := project.settings.changed_for_the_next_start(self._daemon.project.settings):
            self._daemon.console.notice(f"warning: {', '.join(latent)} changed; that {NEXT_START}")
        event = project_read(
            project, self._daemon.policy, self._counts(project), self._keeper.formation, self._recounted(project)
        )
        self._daemon.launcher.adapt(project)
        limits = self._limits(project)
        for warning in self._daemon.confinement.read(project):
            self._daemon.console.notice(f"warning: {warning}")
        try:
            await self._daemon.ask(event, project)
        except RequestRefused:
            self._daemon.confinement.read(self._daemon.project)
            self._daemon.launcher.adapt(self._daemon.project)
            raise
        await self._apply(limits)
        at_once = [name for name, change in limits.items() if not change.restart]
        changes = sum(step["action"] != "keep" or step["instance"] in at_once for step in plan)
        self._daemon.console.notice(
            f"reloaded {project.procfile}: {changes or 'no'} change{'' if changes == 1 else 's'}"
        )
        return plan

    def plan(self, project: Project) -> Plan:
        """Per instance: keep, restart, start or stop, and why. Raises RequestRefused for too many instances."""
        self._refuse_unless_possible(project)
        steps: Plan = []
        new = {each.name for each in project.types}
        formation = self._daemon.supervisor.formation
        recounted = self._recounted(project)
        limits = self._limits(project)
        for instance in self._daemon.supervisor.instances():
            if instance.wish is Wish.GONE:
                continue
            action, why = "keep", "nothing changed"
            if instance.name.type not in new:
                action, why = "stop", f"{instance.name.type} is not in {project.procfile} any more"
            elif instance.name.number > recounted.get(instance.name.type, instance.name.number):
                action, why = "stop", f"the count of {instance.name.type} is {recounted[instance.name.type]} now"
            elif instance.wish is Wish.DOWN:
                why = "stopped by request"
            elif differences := self._differences(project, instance.name.type):
                action, why = "restart", differences
            elif change := limits.get(str(instance.name)):
                action, why = "restart" if change.restart else "keep", change.why
            elif unfelt := why_keep(self._daemon.project, project, instance.name.type):
                why = unfelt
            steps.append({"instance": str(instance.name), "action": action, "why": why})
        for name, count in self._counts(project).items():
            if name not in formation:
                steps += _starts(name, range(1, count + 1), f"{name} is new in {project.procfile}")
            elif name in recounted:
                fresh = range(formation[name] + 1, recounted[name] + 1)
                steps += _starts(name, fresh, f"the count of {name} is {recounted[name]} now")
        return steps

    def _limits(self, project: Project) -> dict[str, Change]:
        """What other limits mean for those that run, and go on running."""
        confinement, old = self._daemon.confinement, {each.name for each in self._daemon.project.types}
        there = {each.name for each in project.types} & old
        limited = [name for name in confinement.differing(project) if name in there]
        staying = [name for name in limited if not self._differences(project, name)]
        return {
            str(each.name): confinement.change(project, each.name, each.alive)
            for each in self._daemon.supervisor.instances()
            if each.name.type in staying
        }

    async def _apply(self, limits: Mapping[str, Change]) -> None:
        confinement = self._daemon.confinement
        restarting = []
        for instance in self._daemon.supervisor.instances():
            change = limits.get(str(instance.name))
            if change is None:
                continue
            confinement.apply(instance.name)
            if change.restart and instance.wish is Wish.UP:
                restarting.append(str(instance.name))
        if restarting:
            await self._daemon.ask(RestartRequested(tuple(restarting), rolling=True))
        self._limits_changed()

    def _recounted(self, project: Project) -> dict[str, int]:
        """Types whose count in procsup.toml is another now; what somebody has scaled stays."""
        old, new = self._daemon.project.default_counts(), project.default_counts()
        return {
            name: count
            for name, count in new.items()
            if old.get(name, count) != count and name not in self._keeper.formation and name not in self._pinned
        }

    def _counts(self, project: Project) -> dict[str, int]:
        """How many there will be of a type that is new."""
        return {name: self._keeper.formation.get(name, count) for name, count in project.default_counts().items()}

    def _differences(self, project: Project, type_name: str) -> str:
        return why_restart(self._daemon.project, project, type_name)

    def _refuse_unless_possible(self, project: Project) -> None:
        """Raises RequestRefused, as applying it would; for who only asks what that would do."""
        there, read = self._daemon.supervisor.formation, self._daemon.project
        counts = {name: there.get(name, count) for name, count in self._counts(project).items()}
        event = project_read(project, self._daemon.policy, counts | self._recounted(project), {})
        Supervisor(base_port=read.base_port).handle(event, 0.0)


def _starts(name: str, numbers: Iterable[int], why: str) -> Plan:
    return [{"instance": f"{name}.{number}", "action": "start", "why": why} for number in numbers]
