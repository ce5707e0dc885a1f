"""What an engine is given, and what it gives back: an application as no engine would put it, and files.

An engine is a module with `write(app: App) -> Export`. It decides nothing about the application: which variables there
are, how a command has to be run and what is secret has been said here; `picture.py` finds it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from procsup.config.settings import Check, Limits, Step
from procsup.config.settings_shown import Said

PUBLIC = 0o644
PRIVATE = 0o600  # whatever has a secret in it
PROGRAM = 0o755
PRIVATE_PROGRAM = 0o700


class Variables(NamedTuple):
    """What a process type gets from the project's files, and nothing of the shell that procsup was called in.

    A value is secret for its name, for a password in it, or for a secret of another variable in it.
    """

    plain: Mapping[str, str]
    secret: Mapping[str, str]

    @property
    def all(self) -> dict[str, str]:
        return {**self.plain, **self.secret}


class Command(NamedTuple):
    """`text` is the Procfile's, <<UNIQUE_INT>> included: where it has one, each instance has a command of its own.

    `words` are what is to be executed with no shell in between, where that is the same whatever the environment is: no
    `$`, no quotes left, nothing for a shell to do. `simple`: one program with its arguments, so that `exec ` may stand
    before the text for a shell, which then becomes the program, and hears its signals. `secret`: it has one in it.
    """

    text: str
    words: tuple[str, ...] | None
    simple: bool
    secret: bool

    @property
    def numbered(self) -> bool:
        return self.for_shell(1) != self.for_shell(2)

    def for_shell(self, unique_int: int) -> str:
        """What /bin/sh runs, as the argument of its -c or as a line of its script."""
        digits = str(unique_int)
        text = self.text.replace("<<UNIQUE_INT>>", digits).replace("{{UNIQUE_INT}}", digits)
        return f"exec {text}" if self.simple else text

    def argv(self, unique_int: int) -> tuple[str, ...]:
        """What to execute; the first of it is looked up in PATH where it has no slash, from the type's folder."""
        if self.words is not None and not self.numbered:
            return self.words
        return ("/bin/sh", "-c", self.for_shell(unique_int))


class Instance(NamedTuple):
    """One running copy; `env` is what differs between copies: PORT, PS, PROCSUP_INSTANCE, PROCSUP_UNIQUE_INT."""

    number: int
    port: int
    unique_int: int
    env: Mapping[str, str]


class Mount(NamedTuple):
    """A private folder that all instances of the type share; `path` is where procsup has it on this machine."""

    name: str
    variable: str
    path: str


class Socket(NamedTuple):
    """Either `host` and `port`, or an absolute `path`. Types with the same `address` share one socket."""

    address: str
    host: str = ""
    port: int = 0
    path: str = ""


class Type(NamedTuple):
    """One line of the Procfile.

    `instances` are those that run, counted from 1; `first` is number 1, also where none run (a release, a count of 0).
    `port` is that of number 1: those up to the hundredth have port + number - 1. `stop` is the whole sequence, each
    step with its seconds, without the SIGKILL after the last; `grace` the sum of its seconds. `restart` is always,
    on-failure or never. `cwd` is absolute, `subfolder` the same from the app's root ("" for the root itself; None
    where it lies elsewhere). `login`: HOME, USER and LOGNAME of its user (or the
    app's owner), where the files do not set them.
    `said`: what procsup.toml says of it, for `unsaid`.
    """

    name: str
    command: Command
    port: int
    instances: tuple[Instance, ...]
    first: Instance
    env: Variables
    cwd: str
    subfolder: str | None
    user: str | None
    login: Mapping[str, str]
    stop: tuple[Step, ...]
    grace: float
    restart: str
    max_restarts: int | None
    restart_window: float
    limits: Limits
    ready: Check | None
    ready_timeout: float
    live: Check | None
    live_interval: float
    mounts: tuple[Mount, ...]
    socket: Socket | None
    depends_on: tuple[str, ...]
    one_shot: bool
    release: bool
    said: tuple[Said, ...]

    @property
    def count(self) -> int:  # type: ignore[override]  # a tuple's count() is of no use here
        return len(self.instances)


class App(NamedTuple):
    """`name` as the person has it; `slug` the same in small letters, digits and "-", as every engine takes it.

    `owner` is the user who exports, whom processes without a `user` run as; None for root. `path`: the PATH of the
    shell, for engines on this machine, since that is where commands were found; a PATH of the files wins over it, and
    an image has its own. `type_ports` are PROCSUP_PORT_<TYPE> for each type. `image`: the container image that was
    named, "" where none was; `folder` the absolute path of the one that the files go to.
    """

    name: str
    slug: str
    root: str
    owner: str | None
    path: str | None
    types: tuple[Type, ...]
    type_ports: Mapping[str, str]
    said: tuple[Said, ...] = ()
    image: str = ""
    folder: str = ""

    def environment(self, of: Type, instance: Instance) -> dict[str, str]:
        """All that a copy gets on this machine, as procsup's own child would. (PWD is the shell's or the engine's.)"""
        path = {"PATH": self.path} if self.path is not None else {}
        mounts = {each.variable: each.path for each in of.mounts}
        return {**path, **of.login, **of.env.all, **self.type_ports, **instance.env, **mounts}

    def user_of(self, of: Type) -> str | None:
        """Whom it has to run as where the engine is root's; None for whoever the engine is."""
        return of.user or self.owner

    def with_spare(self, of: Type) -> tuple[Instance, ...]:
        """Those that run, or one to be started by hand where none does: a release, or a count of 0."""
        return of.instances or (of.first,)


class File(NamedTuple):
    """`content` as bytes, since a value may be no UTF-8. `owner`: who has to be able to read it, beside root."""

    content: bytes
    mode: int = PUBLIC
    owner: str | None = None


class Export(NamedTuple):
    """`files` by their paths in the folder, with "/"; `unsaid` are sentences: what this engine cannot say, of whom.

    `next` is one line: what a person does with the folder, whose path stands there as {}. `beside` is the same for a
    folder in which others have files, and names ours only, where `next` does not; `placed` is that for a folder in
    which the engine looks by itself, by its path.
    """

    files: Mapping[str, File]
    unsaid: tuple[str, ...]
    next: str
    beside: str | None = None
    placed: Mapping[str, str] = MappingProxyType({})


class Engine(Protocol):
    """A module of this folder."""

    def write(self, app: App) -> Export: ...
