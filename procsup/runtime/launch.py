"""How one copy of an instance is started: its command and its environment, by the project as it is now."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from procsup.config.environment import INHERITED
from procsup.config.expand import expand_command, find_executable
from procsup.config.project import Project
from procsup.config.settings import MOUNT, mount_variable
from procsup.core.actions import Spawn
from procsup.core.model import Exit, InstanceName
from procsup.runtime.child import Child, Spawner, Window
from procsup.runtime.notify_socket import NotifySockets
from procsup.runtime.sockets import WRAPPER, Sockets, activation
from procsup.runtime.trees.census import COOKIE, instance_cookie

if TYPE_CHECKING:
    from procsup.runtime.users import User


class Launcher:
    """Starts the instances of one run of a supervisor; every one carries a cookie by which its tree can be found.

    `tty`: the types and instances that sit at a terminal, of the size of `window`, beside those of procsup.toml.
    `state` is the project's folder of state, where mounts are.
    """

    def __init__(self, spawner: Spawner, cookie: str, tty: frozenset[str], window: Window, state: str) -> None:
        self._spawner = spawner
        self._cookie = cookie
        self._tty = tty
        self._window = window
        self._state = state
        self.notify = NotifySockets(cookie)
        self.sockets = Sockets()

    def adapt(self, project: Project) -> None:
        """Listen where this project says so, and load what its types ask for: later no descriptor may be left for that.

        Raises ProcsupError where somebody else listens already; then nothing has changed.
        """
        load(project)
        self.sockets.open(project)

    def has_terminal(self, project: Project, name: InstanceName) -> bool:
        return name.type in self._tty or str(name) in self._tty or project.settings.of(name.type).tty

    def forks(self, project: Project, name: InstanceName) -> bool:
        """Whether it takes more than posix_spawn can do: another folder or user."""
        own = project.settings.of(name.type)
        return own.cwd is not None or own.user is not None

    def environment(
        self, project: Project, name: InstanceName, port: int, unique_int: int, type_ports: Mapping[str, int]
    ) -> dict[str, str]:
        """What a copy is started with, but for its cookie."""
        type_, number = name
        environment = with_own_variables(
            project, type_, self._state, project.instance_environment(type_, number, port, unique_int, type_ports)
        )
        if self.has_terminal(project, name) and environment.get("TERM", "dumb") == "dumb":
            environment["TERM"] = "xterm-256color"  # what nearly all terminals understand; "dumb" would mean no colours
        return environment

    def launch(self, project: Project, order: Spawn, type_ports: Mapping[str, int]) -> Child:
        """Raises OSError where it cannot be started; what it says may be shown."""
        type_ = order.name.type
        own = project.settings.of(type_)
        environment = self.environment(project, order.name, order.port, order.unique_int, type_ports)
        environment[COOKIE] = instance_cookie(self._cookie, order.name)
        text = project.type(type_).command
        argv = expand_command(text, environment, order.unique_int).argv
        folder = project.folder_of(type_)
        user = None
        try:
            user = user_of(project, type_)
            if own.ready is not None and own.ready.kind == "notify":
                who = os.getuid() if user is None else user.uid
                environment["NOTIFY_SOCKET"] = self.notify.open(order.name, who)
            if own.mounts:
                from procsup.runtime.mounts import make_mounts

                with _asked_for_by(project, type_, "mounts"):
                    make_mounts(self._state, type_, own.mounts, user)
            executable = find_executable(argv[0], environment, folder)
            if self.sockets.of(type_) is not None:
                environment |= activation(type_)
                argv = (*WRAPPER, executable, *argv[1:])
                executable = WRAPPER[0]
            return self._spawner.start(
                executable,
                argv,
                environment,
                window=self._window if self.has_terminal(project, order.name) else None,
                folder=folder if own.cwd is not None else None,
                user=user,
                socket=self.sockets.of(type_),
            )
        except OSError as error:
            self.notify.close(order.name)
            if error.filename is None:
                raise  # it names nothing; and where no descriptor was left, there is none to import with
            if user is not None and isinstance(error, PermissionError):
                error.strerror = f"{error.strerror} to user {user.name}"
            from procsup.config.shown import shown_refusal  # not on the way to the first child

            secrets = project.environments.secrets
            raise shown_refusal(error, text, argv, environment, secrets, order.unique_int) from error

    def close(self) -> None:
        self._spawner.close()
        self.notify.close_all()
        self.sockets.close()


def load(project: Project) -> None:
    """What it takes to start a copy of any of its types."""
    asked = [project.settings.of(each.name) for each in project.types]
    if any(own.user is not None or own.cwd is not None for own in asked):
        import procsup.runtime.users
    if any(own.mounts for own in asked):
        import procsup.runtime.mounts  # noqa: F401
    if any(own.ready is not None and own.ready.kind == "notify" for own in asked):
        import socket  # noqa: F401


def with_own_variables(project: Project, type_: str, state: str, environment: Mapping[str, str]) -> dict[str, str]:
    """An environment with what `user` and `mounts` bring.

    Of the user's login only what nobody has set on purpose. And no mount but its own: it may have been inherited.
    """
    own = project.settings.of(type_)
    values = {key: value for key, value in environment.items() if not key.startswith(MOUNT)}
    if own.user is not None:
        from procsup.runtime.users import own_variables

        for key, value in own_variables(own.user).items():
            origins = project.environments.origin(type_, key)
            if not origins or origins[0].where == INHERITED:
                values[key] = value
    if own.mounts:
        from procsup.runtime.mounts import mount_path

        values |= {mount_variable(each): mount_path(state, type_, each) for each in own.mounts}
    return values


def user_of(project: Project, type_: str) -> User | None:
    """Whom it runs as, where that is not us. Raises OSError, fit to be shown, where it could not start so."""
    own = project.settings.of(type_)
    user = None
    if own.user is None and own.cwd is None:
        return None
    from procsup.runtime.users import find_user, refuse_folder

    if own.user is not None:
        with _asked_for_by(project, type_, "user"):
            user = find_user(own.user)
    if own.cwd is not None:
        with _asked_for_by(project, type_, "cwd"):
            refuse_folder(project.folder_of(type_), user)
    return user


@contextmanager
def _asked_for_by(project: Project, type_: str, key: str) -> Iterator[None]:
    """Says of what goes wrong which key of procsup.toml wants it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{key} ({project.settings.place(type_, key)}): {error.strerror}") from error


def failure(error: OSError) -> Exit:
    """Why a copy could not be started, with the code that a shell would give."""
    what = f"{error.filename}: " if error.filename else ""
    code = 127 if isinstance(error, FileNotFoundError) else 126
    return Exit(code, error=f"{what}{error.strerror or error}")
