"""What `procsup start` was asked for, beside the project itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from procsup.output.style import Style
from procsup.runtime.child import Window
from procsup.value import Value

if TYPE_CHECKING:
    from procsup.config.project import Project
    from procsup.config.settings import Settings
    from procsup.output.rotation import LogFolder
    from procsup.output.syslog_address import Receiver


NO_WATCHFILES = "watch needs watchfiles: pip install 'procsup[watch]'"


class OnUp(Protocol):
    def __call__(self, failed: list[str], *, over: bool) -> None: ...


class Policy(Value):
    """What the command line says about every process type; None where it says nothing."""

    restart: str | None = None
    grace: float | None = None
    once: tuple[str, ...] = ()  # the releases for which the others wait just now


class RunOptions(Value):
    """`counts` are those of the command line; for types it does not name, what was scaled earlier holds, then
    `project.default_counts()`.

    `tty`: the types and instances that sit at a terminal, of the size of `window`.
    `focus` is the instance that has our own terminal.
    `history` is how many bytes of each instance's output are kept in memory.
    `only` limits the formation to these types. `release` runs those of the project before the others; `watch` restarts
    types whose files change. `log` replaces standard output by a bounded file; `log_folder` and
    `syslog` are told the lines as well. `on_up` is told once:
    what has failed, when all run or have tried to, or when all has ended before that (then `over` is true). `portable`
    does without what only some systems have.
    """

    style: Style
    policy: Policy
    counts: Mapping[str, int]
    only: tuple[str, ...] = ()
    quiet: frozenset[str] = frozenset()
    keep_going: bool = False
    tty: frozenset[str] = frozenset()
    window: Window = Window()
    focus: str | None = None
    history: int = 256 * 1024
    log: str | None = None
    log_folder: LogFolder | None = None
    syslog: Receiver | None = None
    on_up: OnUp | None = None
    release: bool = False
    watch: bool = True
    portable: bool = False

    def pinned(self, project: Project) -> frozenset[str]:
        """The types whose counts were said for this run: procsup.toml has no say in them."""
        left_out = (each.name for each in project.types if self.only and each.name not in self.only)
        return frozenset((*self.counts, *left_out))


def lacking_for_watch(settings: Settings) -> str | None:
    """Why `start` and `install` refuse a project that wants to be watched, and where that is said."""
    watched = [name for name, own in {"": settings.defaults, **settings.types}.items() if own.watch]
    if not watched:
        return None
    from importlib.util import find_spec

    if find_spec("watchfiles") is not None:
        return None
    return f"{settings.place(watched[0], 'watch')}: {NO_WATCHFILES}, or start with --no-watch"
