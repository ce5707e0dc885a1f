"""What the core knows of a process type and of one instance: values, states and intent.

A state carries exactly its own data: no pid where nothing runs, no deadline where nothing waits. What a person wants
(`Instance.wish`, `Instance.edition`) is kept apart from what is (`Instance.state`). All times are seconds on the
clock of whoever calls the core, which never asks for the time itself.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from procsup.core.value import Value

# Between SIGKILL and the words "cannot be killed": a process in uninterruptible sleep, or out of our reach. With a last
# look at what is left, a supervisor is out five seconds after its grace.
UNKILLABLE_AFTER = 4.0


class RequestRefused(Exception):
    """A request that makes no sense here; nothing was changed. The message says what, and what to do."""


class NotNow(RequestRefused):
    """A request that made sense before, and is too late."""


class UnknownName(RequestRefused):
    """A request that names what is not there; the shell adds what it may have meant."""

    def __init__(self, name: str) -> None:
        super().__init__(f'no process type or instance "{name}"')
        self.name = name


class UnexpectedEvent(Exception):
    """A fact that cannot be true in the state it met. Nothing was changed; nobody but the last `finally` catches it."""


class InstanceName(NamedTuple):
    type: str
    number: int

    def __str__(self) -> str:
        return f"{self.type}.{self.number}"


class RestartPolicy(Enum):
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class RestartRule(Value):
    """When an instance that ended unasked comes back. Without `max_restarts` it is tried for ever."""

    policy: RestartPolicy = RestartPolicy.ALWAYS
    max_restarts: int | None = None
    window: float = 60.0


class StopStep(NamedTuple):
    """One step of a stop: send `signal`, then wait so many seconds before the next step."""

    signal: int
    wait: float


StopPlan = tuple[StopStep, ...]


def stop_plan(*steps: StopStep) -> StopPlan:
    """The steps given, and SIGKILL after them."""
    return (*steps, StopStep(signal.SIGKILL, UNKILLABLE_AFTER))


DEFAULT_STOP = stop_plan(StopStep(signal.SIGTERM, 15.0))


class ProcessType(Value):
    """One line of the Procfile as far as decisions go.

    `version` changes when a running instance would have to be started anew to match (command, environment); the
    rest applies to running instances at once.
    """

    name: str
    version: str = ""
    restart: RestartRule = RestartRule()
    stop: StopPlan = DEFAULT_STOP


class Exit(Value):
    """How a copy ended. `code` is what a shell would show: 128+N for signal N, 127 for a command not found."""

    code: int
    signal: int | None = None
    error: str | None = None  # it never ran: why it could not be started

    @property
    def failed(self) -> bool:
        return self.code != 0

    @property
    def perhaps_our_own_stop(self) -> bool:
        """Whoever stops the supervisor may have signalled its children as well, and they were faster."""
        return self.code in (128 + signal.SIGTERM, 128 + signal.SIGINT)


class Stopped(Value):
    """Nothing of it is alive, and nothing is planned."""


class Queued(Value):
    """To be spawned when its turn comes."""


class Starting(Value):
    """Spawn is ordered; the answer is outstanding."""

    edition: int


class Running(Value):
    pid: int
    since: float
    edition: int


class Stopping(Value):
    """Being stopped on request: the last signal sent is not in `steps` any more; at `next_at` the next one is due.

    No steps left means that SIGKILL was sent; no `next_at` then means that it did not help. `exit` is set when the
    leader has ended and others of its tree have not.
    """

    pid: int
    since: float
    steps: StopPlan
    next_at: float | None
    exit: Exit | None = None


class Clearing(Value):
    """The leader ended unasked; what it left behind is being stopped before anything else happens."""

    pid: int
    since: float
    steps: StopPlan
    next_at: float | None
    exit: Exit
    uptime: float
    edition: int


class Ended(Value):
    """Just gone, unasked, with nothing left of it; `settle` says at once what comes of it, so it is never seen."""

    exit: Exit
    uptime: float
    edition: int


class BackingOff(Value):
    until: float
    exit: Exit
    edition: int


class Exited(Value):
    """Ended by itself, and its policy says: leave it."""

    exit: Exit
    edition: int


class Failed(Value):
    """Given up: too many restarts within the window of its rule."""

    exit: Exit
    edition: int


State = Stopped | Queued | Starting | Running | Stopping | Clearing | Ended | BackingOff | Exited | Failed
STATES: tuple[type[State], ...] = (
    Stopped, Queued, Starting, Running, Stopping, Clearing, Ended, BackingOff, Exited, Failed,
)  # fmt: skip


class Wish(Enum):
    """What a person wants of an instance. GONE: it is to be stopped, and then forgotten."""

    UP = "up"
    DOWN = "down"
    GONE = "gone"


class Instance:
    """One numbered place in the formation, with the numbers that stay with it while it exists."""

    __slots__ = (
        "edition",
        "last_exit",
        "name",
        "port",
        "restarted_at",
        "restarts",
        "state",
        "streak",
        "type",
        "unique_int",
        "wish",
    )

    def __init__(self, name: InstanceName, type_: ProcessType, port: int, unique_int: int) -> None:
        self.name = name
        self.type = type_
        self.port = port
        self.unique_int = unique_int
        self.wish = Wish.UP
        self.edition = 1  # counts the wishes for a fresh copy: a copy of an older edition is replaced
        self.state: State = Stopped()
        self.streak = 0  # restarts in a row of copies that did not stay up
        self.restarts = 0  # restarts nobody asked for, since the supervisor started
        self.restarted_at: tuple[float, ...] = ()  # the last of them, as far as a rule with a window needs them
        self.last_exit: Exit | None = None

    def forgive(self) -> None:
        """A person has stepped in: how it failed before does not count against its next copy."""
        self.streak = 0
        self.restarted_at = ()

    @property
    def alive(self) -> bool:
        """Something of it may be running."""
        return isinstance(self.state, (Starting, Running, Stopping, Clearing))

    @property
    def unkillable(self) -> bool:
        return isinstance(self.state, (Stopping, Clearing)) and self.state.next_at is None

    @property
    def pid(self) -> int | None:
        return self.state.pid if isinstance(self.state, (Running, Stopping, Clearing)) else None

    @property
    def up(self) -> bool:
        """The copy that is wanted is running."""
        return isinstance(self.state, Running) and self.state.edition == self.edition

    @property
    def given_up(self) -> bool:
        """It ended, and nothing but a person brings it back."""
        return isinstance(self.state, (Exited, Failed)) and self.state.edition == self.edition

    @property
    def settled(self) -> bool:
        """What is wanted has come true, or has failed to: there is nothing to wait for but a later attempt."""
        if self.wish is Wish.UP:
            return self.up or self.given_up or isinstance(self.state, BackingOff)
        return not self.alive or self.unkillable

    @property
    def deadline(self) -> float | None:
        match self.state:
            case Stopping(next_at=when) | Clearing(next_at=when):
                return when
            case BackingOff(until=when):
                return when
            case _:
                return None

    @property
    def kill_at(self) -> float | None:
        """When SIGKILL is due, if it is being stopped and still has its grace."""
        match self.state:
            case Stopping(steps=steps, next_at=float(next_at)) | Clearing(steps=steps, next_at=float(next_at)) if steps:
                return next_at + sum(step.wait for step in steps if step.signal != signal.SIGKILL)
            case _:
                return None


Formation = Mapping[str, int]
