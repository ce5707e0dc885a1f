"""What procsup.toml says beside the Procfile, as values; settings_file.py reads them. Everything works without it.

Keys at the top are defaults for every process type; a `[processes.NAME]` table overrides them, key by key. Only
`env` is not: a type has the app's variables (`defaults.env`) beside its own (`own_env`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import SIGKILL, SIGTERM

from procsup.value import Value

FILE = "procsup.toml"
# Seconds, where the file does not say.
DEFAULT_GRACE, RESTART_WINDOW, READY_TIMEOUT, LIVE_INTERVAL = 15.0, 60.0, 60.0, 10.0
MOUNT = "PROCSUP_MOUNT_"  # a mount's name behind it makes the variable that has its path


def mount_variable(name: str) -> str:
    return MOUNT + name.upper().replace("-", "_")


class Step(Value):
    """One step of a stop: a signal, and the seconds before the next; None where the type's grace is meant."""

    signal: int
    wait: float | None


class Limits(Value):
    """What one instance may use: `memory` in bytes, `cpu` in cores; None where there is no limit."""

    memory: int | None = None
    cpu: float | None = None


# What the platforms' smaller containers have.
SIZES: Mapping[str, Limits] = {
    "S": Limits(256 << 20, 0.5),
    "M": Limits(512 << 20, 1.0),
    "L": Limits(1 << 30, 2.0),
}


class Check(Value):
    """How one learns that a process is ready, or still answers: by port, http, log or notify; `what` says more."""

    kind: str
    what: str = ""  # the path, or the expression

    def __str__(self) -> str:
        return f"{self.kind} {self.what}".rstrip()


class TypeSettings(Value):
    """What holds for one process type; None or nothing where the file does not say."""

    count: int | None = None
    restart: str | None = None
    max_restarts: int | None = None
    restart_window: float | None = None
    grace: float | None = None
    stop: tuple[Step, ...] = ()
    cwd: str | None = None
    env: Mapping[str, str] = {}
    env_file: tuple[str, ...] = ()
    user: str | None = None
    tty: bool = False
    one_shot: bool = False
    relationships: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    size: str | None = None
    memory: int | None = None
    cpu: float | None = None
    watch: tuple[str, ...] = ()
    release: bool | None = None
    quiet: bool = False
    ready: Check | None = None
    ready_timeout: float | None = None
    live: Check | None = None
    live_interval: float | None = None
    depends_on: tuple[str, ...] = ()
    socket: str | None = None
    surge: int | None = None

    def restart_word(self, asked: str | None, release: bool) -> str:
        """What comes back when it ends by itself; `asked`: by the command line.

        A release has no say in it, also one that somebody has asked for by its name: nobody wants a migration in a
        loop. One that is done with an exit of 0 comes back only after a failure.
        """
        usual = "on-failure" if self.one_shot else "always"
        return "never" if release else asked or self.restart or usual

    def stop_steps(self, asked: float | None = None) -> tuple[tuple[int, float], ...]:
        """Signals with the seconds after each, but for SIGKILL, which comes last in any case.

        A signal without a pause of its own has the grace; `asked`: by the command line.
        """
        grace = next(each for each in (asked, self.grace, DEFAULT_GRACE) if each is not None)
        steps = [(each.signal, each.wait) for each in self.stop] or [(int(SIGTERM), None)]
        return tuple((number, grace if wait is None else wait) for number, wait in steps if number != SIGKILL)


# What a running copy was started with, beside its command and its variables: a change restarts it. What is not named
# here applies to those that run.
STARTED_WITH = ("cwd", "user", "tty", "mounts", "socket")


# Where all lines go, beside the console, and whose are shown there: decided at a start.
LOG_KEYS = ("log_dir", "log_size", "log_count", "syslog")
QUIET = "quiet"
NEXT_START = "takes effect when procsup is stopped and started"


class Settings(Value):
    """`places` tells for (type, key) and ("", key) where the value stands, as `procsup.toml:3`.

    `read_from` is the file as a person would name it; None where there is none.
    """

    app: str | None = None
    max_processes: int | None = None
    relationships: Mapping[str, tuple[str, ...]] = {}
    sizes: Mapping[str, Limits] = {}
    log_dir: str | None = None
    log_size: int | None = None
    log_count: int | None = None
    syslog: str | None = None
    types: Mapping[str, TypeSettings] = {}
    defaults: TypeSettings = TypeSettings()
    places: Mapping[tuple[str, str], str] = {}
    read_from: str | None = None

    def of(self, name: str) -> TypeSettings:
        return self.types.get(name, self.defaults)

    def changed_for_the_next_start(self, earlier: Settings) -> tuple[str, ...]:
        """The keys that a reload cannot apply, and that are not what they were."""
        changed = [key for key in LOG_KEYS if getattr(self, key) != getattr(earlier, key)]
        types = {*self.types, *earlier.types}
        quiet = any(self.of(name).quiet != earlier.of(name).quiet for name in types)
        return (*changed, QUIET) if quiet or self.defaults.quiet != earlier.defaults.quiet else tuple(changed)

    def limits(self, name: str) -> Limits:
        """A type's own `memory` and `cpu`, else those of its size."""
        own = self.of(name)
        of_size = {**SIZES, **self.sizes}[own.size] if own.size is not None else Limits()
        return Limits(of_size.memory if own.memory is None else own.memory, of_size.cpu if own.cpu is None else own.cpu)

    def depends_on(self, name: str) -> tuple[str, ...]:
        """The types that have to be up before it starts. What holds for all does not hold for what it names itself."""
        own = (name, "depends_on") in self.places
        return tuple(other for other in self.of(name).depends_on if own or other != name)

    def place(self, name: str, key: str) -> str | None:
        """Where a type's value of a key comes from; `env.NAME` for a variable."""
        return self.places.get((name, key), self.places.get(("", key)))

    def own_env(self, name: str) -> Mapping[str, str]:
        """The variables that the file sets for this type alone."""
        return self.types[name].env if name in self.types else {}

    def visible_env(self, name: str) -> dict[str, str]:
        """The variables that the file sets for a type: its own, and those of the app that it may see."""
        return {**self.visible(name, self.defaults.env), **self.own_env(name)}

    def hiding(self, name: str, variable: str) -> tuple[str, ...]:
        """The relationships for whose sake a type does not see this variable; none where it may see it."""
        if self.visible(name, {variable: ""}):
            return ()
        return tuple(group for group, patterns in self.relationships.items() if _matches(variable, patterns))

    def hidden(self, name: str) -> tuple[str, ...]:
        """The patterns of the variables that a type does not see: those of groups that it does not list."""
        listed = self.of(name).relationships
        if not listed:
            return ()
        return tuple(
            pattern for group, patterns in self.relationships.items() if group not in listed for pattern in patterns
        )

    def visible(self, name: str, variables: Mapping[str, str]) -> dict[str, str]:
        """Without those that belong to a relationship which this type has not; what two share is seen by both."""
        hidden = self.hidden(name)
        if not hidden:
            return dict(variables)
        shown = [pattern for group in self.of(name).relationships for pattern in self.relationships[group]]
        return {key: value for key, value in variables.items() if _matches(key, shown) or not _matches(key, hidden)}


def _matches(name: str, patterns: Sequence[str]) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern) for pattern in patterns)
