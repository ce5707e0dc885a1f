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

from procsup.core.rules import ProcessType, StopPlan
from procsup.value import Value


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


class Fault(Enum):
    """Why a copy that ran was ended by us, and counts as failed."""

    NOT_READY = "not ready in time"
    NO_ANSWER = "not answering any more"
    TOO_LARGE = "over its memory limit"


class Exit(Value):
    """How a copy ended. `code` is what a shell would show: 128+N for signal N, 127 for a command not found.

    `because` is what is known beyond that, such as that it was out of memory.
    """

    code: int
    signal: int | None = None
    error: str | None = None  # it never ran: why it could not be started
    fault: Fault | None = None
    because: str | None = None

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


class Warming(Value):
    """Runs, and is not ready yet; it has time until then."""

    pid: int
    since: float
    until: float
    edition: int


class Running(Value):
    """`ready`: the moment at which it was found ready, where that is checked."""

    pid: int
    since: float
    edition: int
    ready: float | None = None


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
    """A copy that failed: what is left of it is being stopped before anything else happens.

    Either the leader ended unasked, or (`led`) it lives, and was found at fault. `proven`: it had been good for long.
    """

    pid: int
    since: float
    steps: StopPlan
    next_at: float | None
    exit: Exit
    uptime: float
    edition: int
    proven: bool = False
    led: bool = False


class Ended(Value):
    """Just gone, unasked, with nothing left of it; `settle` says at once what comes of it, so it is never seen."""

    exit: Exit
    uptime: float
    edition: int
    proven: bool = False


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


State = Stopped | Queued | Starting | Warming | Running | Stopping | Clearing | Ended | BackingOff | Exited | Failed
STATES: tuple[type[State], ...] = (
    Stopped, Queued, Starting, Warming, Running, Stopping, Clearing, Ended, BackingOff, Exited, Failed,
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
        return isinstance(self.state, (Starting, Warming, Running, Stopping, Clearing))

    @property
    def unkillable(self) -> bool:
        return isinstance(self.state, (Stopping, Clearing)) and self.state.next_at is None

    @property
    def pid(self) -> int | None:
        return self.state.pid if isinstance(self.state, (Warming, Running, Stopping, Clearing)) else None

    @property
    def up(self) -> bool:
        """The copy that is wanted is running, and is ready where that is checked."""
        return isinstance(self.state, Running) and self.state.edition == self.edition

    @property
    def done(self) -> bool:
        """It ended well, and is left so."""
        return isinstance(self.state, Exited) and self.state.edition == self.edition and not self.state.exit.failed

    @property
    def serves(self) -> bool:
        """What depends on it may start. For one that nobody wants to be there, nobody waits."""
        return self.wish is not Wish.UP or self.done or (self.up and not self.type.one_shot)

    @property
    def given_up(self) -> bool:
        """It ended, and nothing but a person brings it back."""
        return isinstance(self.state, (Exited, Failed)) and self.state.edition == self.edition

    @property
    def settled(self) -> bool:
        """What is wanted has come true, or has failed to: there is nothing to wait for but a later attempt."""
        if self.wish is Wish.UP:
            return self.up or self.given_up or isinstance(self.state, BackingOff) or self._had_its_time
        return not self.alive or self.unkillable

    @property
    def _had_its_time(self) -> bool:
        """The copy before this one was not ready in time: who waits has waited long enough."""
        in_a_row = isinstance(self.state, Warming) and self.streak > 0
        return in_a_row and self.last_exit is not None and self.last_exit.fault is Fault.NOT_READY

    @property
    def deadline(self) -> float | None:
        match self.state:
            case Stopping(next_at=when) | Clearing(next_at=when):
                return when
            case BackingOff(until=when) | Warming(until=when):
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
