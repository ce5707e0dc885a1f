"""How one copy of an instance is started: its command and its environment, by the project as it is now."""

from __future__ import annotations

from collections.abc import Mapping

from procsup.config.expand import expand_command, find_executable
from procsup.config.project import Project
from procsup.core.actions import Spawn
from procsup.core.model import Exit
from procsup.runtime.child import Child, Spawner


def launch(project: Project, order: Spawn, type_ports: Mapping[str, int], spawner: Spawner) -> Child:
    """Start it. Raises OSError where it cannot be started."""
    type_, number = order.name
    environment = project.instance_environment(type_, number, order.port, order.unique_int, type_ports)
    argv = expand_command(project.type(type_).command, environment, order.unique_int).argv
    return spawner.start(find_executable(argv[0], environment, project.root), argv, environment)


def failure(error: OSError) -> Exit:
    """Why a copy could not be started, with the code that a shell would give."""
    what = f"{error.filename}: " if error.filename else ""
    code = 127 if isinstance(error, FileNotFoundError) else 126
    return Exit(code, error=f"{what}{error.strerror or error}")
