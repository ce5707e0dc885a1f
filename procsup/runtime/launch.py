"""How one copy of an instance is started: its command and its environment, by the project as it is now."""

from __future__ import annotations

from collections.abc import Mapping

from procsup.config.expand import expand_command, find_executable
from procsup.config.project import Project
from procsup.core.actions import Spawn
from procsup.core.model import Exit, InstanceName
from procsup.runtime.census import COOKIE, instance_cookie
from procsup.runtime.child import Child, Spawner, Window


class Launcher:
    """Starts the instances of one run of a supervisor; every one carries a cookie by which its tree can be found.

    `tty`: the types and instances that sit at a terminal, of the size of `window`.
    """

    def __init__(self, spawner: Spawner, cookie: str, tty: frozenset[str], window: Window) -> None:
        self._spawner = spawner
        self._cookie = cookie
        self._tty = tty
        self._window = window

    def has_terminal(self, name: InstanceName) -> bool:
        return name.type in self._tty or str(name) in self._tty

    def launch(self, project: Project, order: Spawn, type_ports: Mapping[str, int]) -> Child:
        """Raises OSError where it cannot be started; what it says may be shown."""
        type_, number = order.name
        environment = project.instance_environment(type_, number, order.port, order.unique_int, type_ports)
        if self.has_terminal(order.name) and environment.get("TERM", "dumb") == "dumb":
            environment["TERM"] = "xterm-256color"  # what nearly all terminals understand; "dumb" would mean no colours
        environment[COOKIE] = instance_cookie(self._cookie, order.name)
        text = project.type(type_).command
        argv = expand_command(text, environment, order.unique_int).argv
        try:
            window = self._window if self.has_terminal(order.name) else None
            return self._spawner.start(find_executable(argv[0], environment, project.root), argv, environment, window)
        except OSError as error:
            if error.filename is None:
                raise  # it names nothing; and where no descriptor was left, there is none to import with
            from procsup.config.shown import shown_refusal  # not on the way to the first child

            secrets = project.environment.secrets
            raise shown_refusal(error, text, argv, environment, secrets, order.unique_int) from error

    def close(self) -> None:
        self._spawner.close()


def failure(error: OSError) -> Exit:
    """Why a copy could not be started, with the code that a shell would give."""
    what = f"{error.filename}: " if error.filename else ""
    code = 127 if isinstance(error, FileNotFoundError) else 126
    return Exit(code, error=f"{what}{error.strerror or error}")
