"""The instances as `start` would make them, for those who only look: each with its number, port and unique integer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from procsup.config.project import Project
from procsup.core.model import InstanceName, RequestRefused
from procsup.core.supervisor import Supervisor
from procsup.errors import UsageError
from procsup.runtime.launch import with_own_variables
from procsup.runtime.options import Policy
from procsup.runtime.rules import project_read


class Expected(NamedTuple):
    name: InstanceName
    port: int
    unique_int: int


class Expectation:
    """Of one project; `kept` is what was scaled earlier, `state` its folder of state."""

    def __init__(self, project: Project, kept: Mapping[str, int], state: str) -> None:
        """Raises UsageError for a formation that is not possible."""
        self._project = project
        self._state = state
        self.counts = {name: kept.get(name, count) for name, count in project.default_counts().items()}
        supervisor = Supervisor(base_port=project.base_port)
        try:
            supervisor.handle(project_read(project, Policy(), self.counts, kept), 0.0)
        except RequestRefused as error:
            raise UsageError(str(error)) from error
        self._ports = supervisor.type_ports
        self._instances = [Expected(each.name, each.port, each.unique_int) for each in supervisor.instances()]

    def of(self, name: str) -> list[Expected]:
        """The instances of a type; of one that has none, the one that it would have if somebody asked for it."""
        found = [each for each in self._instances if each.name.type == name]
        return found or [Expected(InstanceName(name, 1), self._ports[name], len(self._instances) + 1)]

    def environment(self, instance: Expected) -> tuple[dict[str, str], frozenset[str]]:
        """What it would be started with, and which of it comes from procsup itself."""
        type_, number = instance.name
        project, numbers = self._project, (instance.port, instance.unique_int, self._ports)
        before = project.environments.of(type_)
        values = with_own_variables(project, type_, self._state, project.instance_environment(type_, number, *numbers))
        ours = project.set_by_procsup(type_, number, *numbers).items() & values.items()
        kept = {key for key, value in before.items() if key == "PYTHONUNBUFFERED" and values[key] == value}
        changed = {key for key, value in values.items() if before.get(key) != value}
        return values, frozenset({key for key, _ in ours} - kept | changed)
