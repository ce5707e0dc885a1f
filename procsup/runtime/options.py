"""What `procsup start` was asked for, beside the project itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from procsup.core.model import RestartRule, StopPlan
from procsup.output.style import Style


class OnUp(Protocol):
    def __call__(self, failed: list[str], *, over: bool) -> None: ...


class Policy(NamedTuple):
    """What the command line says about every process type."""

    restart: RestartRule
    stop: StopPlan


class RunOptions(NamedTuple):
    """`counts` are those of the command line; for types it does not name, what was scaled earlier holds, then 1.

    `only` limits the formation to these types. `log` replaces standard output by a bounded file. `on_up` is told once:
    what has failed, when all run or have tried to, or when all has ended before that (then `over` is true). `portable`
    does without what only some systems have.
    """

    style: Style
    policy: Policy
    counts: Mapping[str, int]
    only: tuple[str, ...] = ()
    quiet: frozenset[str] = frozenset()
    keep_going: bool = False
    log: str | None = None
    on_up: OnUp | None = None
    portable: bool = False
