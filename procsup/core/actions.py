"""Everything the core can order, and what it has to say about it (`Tell`). Orders are imperatives."""

from __future__ import annotations

from dataclasses import dataclass

from procsup.core.model import Exit, Formation, InstanceName


@dataclass(frozen=True, slots=True)
class Spawn:
    name: InstanceName
    port: int
    unique_int: int


@dataclass(frozen=True, slots=True)
class Signal:
    """Send `signal` to the instance's group, then SIGCONT: a stopped process hears nothing."""

    name: InstanceName
    signal: int


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL to all of the instance's tree."""

    name: InstanceName


@dataclass(frozen=True, slots=True)
class KeepFormation:
    """Write down what people have scaled, so that it is there again after a restart of the supervisor."""

    formation: Formation


@dataclass(frozen=True, slots=True)
class Quit:
    """Nothing is left to supervise: end with this exit code."""

    exit_code: int


# Notices: what happened, for people; the shell puts it into words


@dataclass(frozen=True, slots=True)
class Started:
    name: InstanceName
    pid: int


@dataclass(frozen=True, slots=True)
class EndedUnasked:
    """`next_try_in`: seconds until the next copy, 0.0 at once, None: it is left as it is. `gave_up`: too often."""

    name: InstanceName
    exit: Exit
    uptime: float
    next_try_in: float | None
    gave_up: bool = False


@dataclass(frozen=True, slots=True)
class LeftOthers:
    """The leader ended, and processes of its group did not: they are being stopped first."""

    name: InstanceName
    exit: Exit


@dataclass(frozen=True, slots=True)
class StopBegun:
    name: InstanceName
    signal: int


@dataclass(frozen=True, slots=True)
class StopDone:
    """Nothing is left of it. `killed_after`: seconds of grace after which SIGKILL was needed."""

    name: InstanceName
    exit: Exit | None
    killed_after: float | None


@dataclass(frozen=True, slots=True)
class KillFailed:
    """It outlived SIGKILL."""

    name: InstanceName
    pid: int


@dataclass(frozen=True, slots=True)
class StillWaiting:
    """The supervisor is shutting down, and this instance holds it up: SIGKILL is due in `kill_in` seconds."""

    name: InstanceName
    pid: int
    kill_in: float
    others: int


@dataclass(frozen=True, slots=True)
class ScaledTo:
    type: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class RollingHalted:
    """The new copy of `name` did not stay up, so these keep their old one."""

    name: InstanceName
    untouched: int


@dataclass(frozen=True, slots=True)
class ShutdownBegun:
    """`because`: the instance whose failure stops the rest, where nobody asked for it."""

    alive: int
    because: InstanceName | None


Notice = (
    Started
    | EndedUnasked
    | LeftOthers
    | StopBegun
    | StopDone
    | KillFailed
    | StillWaiting
    | ScaledTo
    | RollingHalted
    | ShutdownBegun
)


@dataclass(frozen=True, slots=True)
class Tell:
    notice: Notice


Action = Spawn | Signal | Kill | KeepFormation | Quit | Tell
