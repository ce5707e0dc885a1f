"""Everything that can happen to the core: facts, in the past tense, and requests that people make."""

from __future__ import annotations

from procsup.core.model import Exit, Formation, InstanceName
from procsup.core.rules import ProcessType
from procsup.value import Value

# Facts


class Spawned(Value):
    """The copy that was ordered runs."""

    name: InstanceName
    pid: int


class SpawnFailed(Value):
    """The copy that was ordered could not be started; nothing of it is alive."""

    name: InstanceName
    exit: Exit


class LeaderExited(Value):
    """The first process of an instance has ended. `remaining`: others of its tree have not."""

    name: InstanceName
    exit: Exit
    remaining: bool = False


class TreeVanished(Value):
    """The last process that an instance had left behind is gone."""

    name: InstanceName


# What somebody found out about a copy. It may be gone when we hear of it, and then it is no news.


class BecameReady(Value):
    name: InstanceName
    pid: int


class StoppedAnswering(Value):
    """It runs, and does not do what it is there for."""

    name: InstanceName
    pid: int


class Outgrew(Value):
    """It has more than its type's limit allows, and nobody but us holds it to that. `at`: when that was seen first.

    `because` says how much it is, for people.
    """

    name: InstanceName
    pid: int
    at: float
    because: str


class DeadlineReached(Value):
    """The moment that `Supervisor.deadline` named has come."""


# Requests


class ScaleChange(Value):
    """`type=amount`, or by `amount` more or fewer where it is relative."""

    type: str
    amount: int
    relative: bool = False


class ProjectRead(Value):
    """The project as it is now: at the start, and at each reload.

    `counts` says how many there should be of each type that is new, `recounted` of those that are not; `kept` is what
    people have scaled so far, to be handed on with what they scale next. `most` is how many there may be in all.
    """

    types: tuple[ProcessType, ...]
    counts: Formation
    kept: Formation
    recounted: tuple[tuple[str, int], ...] = ()
    most: int | None = None


class ScaleRequested(Value):
    changes: tuple[ScaleChange, ...]


class StartRequested(Value):
    """Bring up what is stopped, ended or waiting; leave alone what runs. Names are types or instances."""

    names: tuple[str, ...]


class StopRequested(Value):
    names: tuple[str, ...]


class RestartRequested(Value):
    """A fresh copy of each, stopped or not; without names, of all that is not stopped by request."""

    names: tuple[str, ...] = ()
    rolling: bool = False


class ShutdownRequested(Value):
    """Stop everything and quit with `exit_code`. `force`: SIGKILL now.

    `provisional`: nobody asked for it, so the exit code of one who does counts instead.
    """

    exit_code: int = 0
    force: bool = False
    provisional: bool = False


Fact = Spawned | SpawnFailed | LeaderExited | TreeVanished
Finding = BecameReady | StoppedAnswering | Outgrew
Request = ProjectRead | ScaleRequested | StartRequested | StopRequested | RestartRequested | ShutdownRequested
Event = Fact | Finding | DeadlineReached | Request
