"""Every error a person can meet: what is wrong, where, and what to do, with the exit code it ends in.

The exit codes are the contract's: 1 a command failed, 2 usage or invalid files, 3 already running or not running.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class ProcsupError(Exception):
    """A command failed for a reason that its message tells; shown without a traceback."""

    exit_code = 1


class UsageError(ProcsupError):
    """A name, count or option that makes no sense here."""

    exit_code = 2


class Problem(NamedTuple):
    """One thing wrong in a file; line and column count from 1."""

    file: str
    line: int
    column: int
    message: str

    def describe(self, severity: str = "error") -> str:
        return f"{self.file}:{self.line}:{self.column}: {severity}: {self.message}"


class ConfigError(ProcsupError):
    """Files that cannot be used; carries every problem found in them, in reading order."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.describe() for problem in self.problems))


class NoProcfile(ConfigError):
    """There is none where it was looked for."""


class AlreadyRunning(ProcsupError):
    exit_code = 3


class NotRunning(ProcsupError):
    exit_code = 3


def unknown_name(name: str, known: Iterable[str], where: str) -> UsageError:
    """The error for a process type or instance nobody knows, with the nearest known name."""
    return UsageError(f'no process type or instance "{name}" in {where}; {advice(name, known, cutoff=0.5)}')


def advice(name: str, known: Iterable[str], cutoff: float = 0.6, also: Iterable[str] = ()) -> str:
    """What may have been meant by a name that is none of these (nor of `also`, which are not listed)."""
    names = list(known)
    if (near := nearest(name, [*names, *also], cutoff)) is not None:
        return f'did you mean "{near}"?'
    return f"there {'is' if len(names) < 2 else 'are'}{': ' if names else ' '}{', '.join(names) or 'none'}"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """`cutoff`, from 0 to 1, is how near it has to be at least."""
    from difflib import get_close_matches  # only ever needed on the way out

    return next(iter(get_close_matches(name[:80], known, n=1, cutoff=cutoff)), None)
