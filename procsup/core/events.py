"""Everything that can happen to the core: facts, in the past tense, and requests that people make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from procsup.core.model import Exit, Formation, InstanceName, ProcessType

# Facts


@dataclass(frozen=True, slots=True)
class Spawned:
    """The copy that was ordered runs."""

    name: InstanceName
    pid: int


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The copy that was ordered could not be started; nothing of it is alive."""

    name: InstanceName
    exit: Exit


@dataclass(frozen=True, slots=True)
class LeaderExited:
    """The first process of an instance has ended. `remaining`: others of its tree have not."""

    name: InstanceName
    exit: Exit
    remaining: bool = False


@dataclass(frozen=True, slots=True)
class TreeVanished:
    """The last process that an instance had left behind is gone."""

    name: InstanceName


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The moment that `Supervisor.deadline` named has come."""


# Requests


class ScaleChange(NamedTuple):
    """`type=amount`, or by `amount` more or fewer where it is relative. The type "all" means each of them."""

    type: str
    amount: int
    relative: bool = False


@dataclass(frozen=True, slots=True)
class ProjectRead:
    """The project as it is now: at the start, and at each reload.

    `counts` says how many there should be of each type that is new; `kept` is what people have scaled so far, to be
    handed on with what they scale next.
    """

    types: tuple[ProcessType, ...]
    counts: Formation
    kept: Formation


@dataclass(frozen=True, slots=True)
class ScaleRequested:
    changes: tuple[ScaleChange, ...]


@dataclass(frozen=True, slots=True)
class StartRequested:
    """Bring up what is stopped, ended or waiting; leave alone what runs. Names are types or instances."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopRequested:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RestartRequested:
    """A fresh copy of each; of all, if no names are given."""

    names: tuple[str, ...] = ()
    rolling: bool = False


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """Stop everything and quit with `exit_code`. `force`: SIGKILL now."""

    exit_code: int = 0
    force: bool = False


Fact = Spawned | SpawnFailed | LeaderExited | TreeVanished
Request = ProjectRead | ScaleRequested | StartRequested | StopRequested | RestartRequested | ShutdownRequested
Event = Fact | DeadlineReached | Request
