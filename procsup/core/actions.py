"""Everything the core can order, and what it has to say about it (`Tell`). Orders are imperatives."""

from __future__ import annotations

from procsup.core.model import Exit, Fault, Formation, InstanceName
from procsup.value import Value


class Spawn(Value):
    name: InstanceName
    port: int
    unique_int: int


class Signal(Value):
    """Send `signal` to the instance's group, and SIGCONT: a suspended process hears nothing."""

    name: InstanceName
    signal: int


class Kill(Value):
    """SIGKILL to all of the instance's tree."""

    name: InstanceName


class KeepFormation(Value):
    """Write down what people have scaled, so that it is there again after a restart of the supervisor."""

    formation: Formation


class Quit(Value):
    """Nothing is left to supervise: end with this exit code."""

    exit_code: int


# Notices: what happened, for people; the shell puts it into words


class Started(Value):
    name: InstanceName
    pid: int


class HeldBack(Value):
    """Its turn would have come, but these have to be up before."""

    name: InstanceName
    types: tuple[str, ...]


class Ready(Value):
    """`after`: seconds since it was started."""

    name: InstanceName
    after: float


class FoundAtFault(Value):
    """It runs, `uptime` seconds by now, and is being stopped as one that failed."""

    name: InstanceName
    fault: Fault
    uptime: float
    because: str | None = None


class EndedUnasked(Value):
    """`next_try_in`: seconds until the next copy, 0.0 at once, None: it is left as it is. `gave_up`: too often."""

    name: InstanceName
    exit: Exit
    uptime: float
    next_try_in: float | None
    gave_up: bool = False


class LeftOthers(Value):
    """The leader ended, and processes of its group did not: they are being stopped first."""

    name: InstanceName
    exit: Exit


class StopBegun(Value):
    name: InstanceName
    signal: int


class StopDone(Value):
    """Nothing is left of it. `killed_after`: seconds of grace after which SIGKILL was needed."""

    name: InstanceName
    exit: Exit
    killed_after: float | None


class KillFailed(Value):
    """It outlived SIGKILL."""

    name: InstanceName
    pid: int


class StillWaiting(Value):
    """The supervisor is shutting down, and this instance holds it up: SIGKILL is due in `kill_in` seconds."""

    name: InstanceName
    pid: int
    kill_in: float
    others: int


class ScaledTo(Value):
    type: str
    before: int
    after: int


class RollingHalted(Value):
    """The new copy of `name` did not stay up (or was found at fault), so these keep their old one.

    `spared`: it has kept its own, too, as a new one would have to wait for what it depends on.
    """

    name: InstanceName
    untouched: int
    fault: Fault | None = None
    spared: bool = False


class ShutdownBegun(Value):
    """`because`: the instance whose failure stops the rest, where nobody asked for it."""

    alive: int
    because: InstanceName | None


Notice = (
    Started
    | HeldBack
    | Ready
    | FoundAtFault
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


class Tell(Value):
    notice: Notice


Action = Spawn | Signal | Kill | KeepFormation | Quit | Tell
