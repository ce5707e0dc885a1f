"""Reads the project again and applies the difference only; says first, if asked, what that would be."""

from __future__ import annotations

from collections.abc import Callable

from procsup.config.project import Project
from procsup.core.model import Wish
from procsup.runtime.beginning import project_read
from procsup.runtime.daemon import Daemon
from procsup.runtime.keeper import FormationKeeper

Plan = list[dict[str, str]]


class Reloader:
    """`read` raises ConfigError for files with mistakes in them; then nothing has changed."""

    def __init__(self, daemon: Daemon, read: Callable[[], Project], keeper: FormationKeeper) -> None:
        self._daemon = daemon
        self.read = read
        self._keeper = keeper

    async def reload(self) -> Plan:
        project = self.read()
        plan = self.plan(project)
        for warning in project.warnings:
            self._daemon.console.notice(f"warning: {warning}")
        if project.base_port != self._daemon.project.base_port:
            self._daemon.console.notice(
                f"warning: PORT is {project.base_port} now; ports stay as they are until procsup is stopped and started"
            )
        event = project_read(project, self._daemon.policy, self._counts(project), self._keeper.formation)
        await self._daemon.ask(event, project)
        changes = sum(step["action"] != "keep" for step in plan)
        self._daemon.console.notice(
            f"reloaded {project.procfile}: {changes or 'no'} change{'' if changes == 1 else 's'}"
        )
        return plan

    def plan(self, project: Project) -> Plan:
        """Per instance: keep, restart, start or stop, and why."""
        steps: Plan = []
        new = {each.name for each in project.types}
        formation = self._daemon.supervisor.formation
        for instance in self._daemon.supervisor.instances():
            if instance.wish is Wish.GONE:
                continue
            action, why = "keep", "nothing changed"
            if instance.name.type not in new:
                action, why = "stop", f"{instance.name.type} is not in {project.procfile} any more"
            elif instance.wish is Wish.DOWN:
                why = "stopped by request"
            elif differences := self._differences(project, instance.name.type):
                action, why = "restart", differences
            steps.append({"instance": str(instance.name), "action": action, "why": why})
        for name, count in self._counts(project).items():
            if name not in formation:
                steps += (
                    {"instance": f"{name}.{number}", "action": "start", "why": f"{name} is new in {project.procfile}"}
                    for number in range(1, count + 1)
                )
        return steps

    def _counts(self, project: Project) -> dict[str, int]:
        """How many there will be of a type that is new."""
        return {name: self._keeper.formation.get(name, count) for name, count in project.default_counts().items()}

    def _differences(self, project: Project, type_name: str) -> str:
        old = self._daemon.project
        if old.fingerprint(type_name) == project.fingerprint(type_name):
            return ""
        if old.type(type_name).command != project.type(type_name).command:
            return "its command changed"
        before, after = old.environment.values, project.environment.values
        keys = sorted(
            key for key in before.keys() | after.keys() if before.get(key) != after.get(key) and key != "PORT"
        )
        return f"its environment changed: {', '.join(keys)}"
