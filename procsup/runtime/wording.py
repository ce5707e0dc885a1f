"""Puts what happened, and why an instance is not simply running, into words for people."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import assert_never

from procsup.core.actions import (
    EndedUnasked,
    FoundAtFault,
    HeldBack,
    KillFailed,
    LeftOthers,
    Notice,
    Ready,
    RollingHalted,
    ScaledTo,
    ShutdownBegun,
    Started,
    StillWaiting,
    StopBegun,
    StopDone,
)
from procsup.core.model import (
    BackingOff,
    Clearing,
    Ended,
    Exit,
    Exited,
    Failed,
    Fault,
    Instance,
    InstanceName,
    Queued,
    Running,
    Starting,
    Stopped,
    Stopping,
    Warming,
)
from procsup.runtime.trees.census import read_member


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # the real-time ones have no names


def ending(exit_: Exit) -> str:
    if exit_.error is not None:
        return f"could not be started: {exit_.error}"
    if exit_.fault is not None:
        return f"{exit_.fault.value}: {exit_.because}" if exit_.because is not None else exit_.fault.value
    how = f"killed by {signal_name(exit_.signal)}" if exit_.signal is not None else f"exit {exit_.code}"
    return f"{how}: {exit_.because}" if exit_.because is not None else how


def seconds(count: float) -> str:
    """`0.3 s`, `8 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if count < 9.95:
        return f"{count:.1f} s".replace(".0 s", " s")
    whole = round(count)
    for unit, part, size, small in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def describe_process(pid: int) -> str:
    try:
        member = read_member(pid)
    except OSError:
        member = None
    return f"pid {pid}, {member.name}" if member else f"pid {pid}"


def tell(notice: Notice, missing: Callable[[InstanceName], str | None] = lambda _: None) -> str:
    """`missing` says of an instance that is at fault what it has not done."""
    match notice:
        case Started(name, pid):
            return f"{name} started, pid {pid}"
        case HeldBack(name, types):
            return f"{name} waits for {', '.join(types)}"
        case Ready(name, after):
            return f"{name} is ready after {seconds(after)}"
        case FoundAtFault(name, Fault.TOO_LARGE, because=because):
            return f"{name} has {because}; stopping it (to give it more: memory or size in procsup.toml)"
        case FoundAtFault(name, fault, uptime):
            what = missing(name)
            how = f"not ready after {seconds(uptime)}" if fault is Fault.NOT_READY else fault.value
            return f"{name} is {how}{f' ({what})' if what else ''}; stopping it"
        case EndedUnasked(name, exit_, uptime, next_try_in, gave_up):
            how = ending(exit_) if exit_.error is not None else f"ended: {ending(exit_)} after {seconds(uptime)}"
            if exit_.fault is not None:  # when that was has been told
                how = f"ended: {ending(exit_)}"
            if gave_up:
                return f"{name} {how}; restarted too often, given up (procsup restart {name} tries again)"
            if next_try_in is None:
                return f"{name} {how}"
            return f"{name} {how}; " + (f"next try in {seconds(next_try_in)}" if next_try_in else "restarting")
        case LeftOthers(name, exit_):
            return f"{name} ended: {ending(exit_)}, and left processes of its group running; stopping them first"
        case StopBegun(name, number):
            return f"{name} stopping ({signal_name(number)})"
        case StopDone(name, exit_, killed_after):
            if killed_after is not None:
                return f"{name} killed after {seconds(killed_after)}"
            if not exit_.failed or exit_.perhaps_our_own_stop:
                return f"{name} stopped"
            return f"{name} stopped ({ending(exit_)})"
        case KillFailed(name, pid):
            return f"{name} ({describe_process(pid)}) outlives SIGKILL; it hangs in the kernel or is out of reach"
        case StillWaiting(name, pid, kill_in, others):
            who = f"{name} ({describe_process(pid)})" + (f" and {others} more" if others else "")
            return f"waiting for {who}: SIGKILL in {kill_in:.0f} s, Ctrl-C again to force"
        case ScaledTo(type_, before, after):
            return f"{type_} scaled from {before} to {after}"
        case RollingHalted(name, untouched, spared=True):
            return f"rolling restart halted: what {name} depends on is not up; {_left_alone(untouched)}"
        case RollingHalted(name, untouched, fault):
            what = "did not stay up" if fault is None else f"is {fault.value}"
            return f"rolling restart halted: the new {name} {what}; {_left_alone(untouched)}"
        case ShutdownBegun(0, InstanceName() as failed):
            return f"{failed} failed, and nothing else runs"
        case ShutdownBegun(alive, because):
            reason = f"{because} failed; " if because is not None else ""
            return f"{reason}stopping {alive} instance{'' if alive == 1 else 's'}"
        case _:
            assert_never(notice)


def _left_alone(count: int) -> str:
    if count == 0:
        return "there was no other to replace"
    return "1 left as it was" if count == 1 else f"{count} left as they were"


def nobody(name: str) -> tuple[str, str]:
    """Where a name that is right means nobody: why, and what helps. Whoever is on its way out is nobody any more."""
    type_, of_instance, number = name.partition(".")
    if of_instance:
        return f"{name} is being stopped for good", f"procsup scale {type_}={number} brings it back"
    return f"{name} has no instance", f"procsup scale {name}=1 starts one"


def state_word(instance: Instance) -> str:
    """The contract's seven states."""
    match instance.state:
        case Queued() | Starting() | Warming():
            return "starting"
        case Running():
            return "running"
        case Stopping() | Clearing():
            return "stopping"
        case BackingOff():
            return "backoff"
        case Exited() | Ended():
            return "exited"
        case Failed():
            return "failed"
        case Stopped():
            return "stopped"
        case _:
            assert_never(instance.state)


def why(
    instance: Instance,
    now: float,
    waits_for: Sequence[str] = (),
    missing: str | None = None,
    says: str | None = None,
) -> str | None:
    """One sentence on an instance that is not simply running: what is `missing`, and what it `says` itself, with it."""
    sentence = _why(instance, now)
    if waits_for:
        return f"waits for {', '.join(waits_for)}"
    if isinstance(instance.state, Warming):
        return f"not ready yet: {says or missing or 'it is being looked at'}; {sentence}"
    if isinstance(instance.state, Running):
        return f"says: {says}" if says else None
    return f"{sentence} ({missing})" if missing and _at_fault(instance) else sentence


def _at_fault(instance: Instance) -> bool:
    """Its last copy was, and there is no newer one."""
    at_fault = instance.last_exit is not None and instance.last_exit.fault is not None
    return at_fault and isinstance(instance.state, (Clearing, BackingOff, Exited, Failed))


def _why(instance: Instance, now: float) -> str | None:
    match instance.state:
        case Running() | Starting() | Ended():
            return None
        case Queued():
            return "waits for its turn"
        case Warming(until=until):
            return f"given up in {seconds(max(0.0, until - now))}"
        case Clearing(exit=exit_, led=True):
            return f"{ending(exit_)}; it is being stopped"
        case BackingOff(until, exit_):
            times = f", {instance.streak} times in a row" if instance.streak > 1 else ""
            return f"{ending(exit_)}{times}; next try in {seconds(max(0.0, until - now))}"
        case Stopping(next_at=None):
            return "SIGKILL did not end it; it hangs in the kernel or is out of reach"
        case Clearing(exit=exit_):
            return f"{ending(exit_)}; what it left running is being stopped"
        case Stopping():
            if instance.kill_at is None:
                return "SIGKILL was sent"
            return f"stop signal sent; SIGKILL in {seconds(max(0.0, instance.kill_at - now))}"
        case Stopped():
            return f"stopped by request; procsup start {instance.name} brings it back"
        case Exited() if instance.type.one_shot and instance.done:
            return "done"
        case Exited(exit_):
            return f"{ending(exit_)}; its restart policy leaves it so"
        case Failed(exit_):
            return f"{ending(exit_)}; restarted too often, given up"
        case _:
            assert_never(instance.state)
