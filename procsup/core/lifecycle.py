"""The life of one instance: facts move its state, and the gap between state and wish becomes orders.

`observe(instance, fact, now)` takes what happened; `settle(instance, now, jitter)` orders what is missing, and doing it
twice orders nothing new. Scale, stop, restart, reload and shutdown only change the wish or the edition and settle.
"""

from __future__ import annotations

import signal

from procsup.core.actions import (
    Action,
    EndedUnasked,
    FoundAtFault,
    Kill,
    KillFailed,
    LeftOthers,
    Ready,
    Signal,
    Spawn,
    Started,
    StopBegun,
    StopDone,
    Tell,
)
from procsup.core.events import (
    BecameReady,
    DeadlineReached,
    Fact,
    Finding,
    LeaderExited,
    Outgrew,
    Spawned,
    SpawnFailed,
    StoppedAnswering,
    TreeVanished,
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
    Queued,
    Running,
    Starting,
    Stopped,
    Stopping,
    UnexpectedEvent,
    Warming,
    Wish,
)
from procsup.core.rules import UNKILLABLE_AFTER, RestartPolicy, StopPlan

# A copy that stayed up (ready, where that is checked) so long is no crash loop: its next restart is at once again.
STABLE_AFTER = 10.0
LONGEST_BACKOFF = 60.0
JITTER = 0.1
# A copy that died of SIGTERM may have got it together with us (systemd signals a whole cgroup); ours may be late.
MAYBE_SHUTDOWN = 0.25


def backoff(streak: int, jitter: float) -> float:
    """Seconds before the next restart after `streak` in a row: 0, 1, 2, 4 … 60; `jitter` is within -1 and 1."""
    if streak == 0:
        return 0.0
    return min(LONGEST_BACKOFF, 2.0 ** min(streak - 1, 16)) * (1 + JITTER * jitter)


def observe(instance: Instance, fact: Fact | Finding | DeadlineReached, now: float) -> list[Action]:
    """Move the state by what happened. Raises UnexpectedEvent, and changes nothing, where it cannot have."""
    name = instance.name
    match instance.state, fact:
        case Starting(edition), Spawned(_, pid):
            within = instance.type.ready_within
            unchecked = Running(pid, now, edition)
            instance.state = unchecked if within is None else Warming(pid, now, now + within, edition)
            return [Tell(Started(name, pid))]
        case Starting(edition), SpawnFailed(_, exit_):
            instance.last_exit = exit_
            instance.state = Ended(exit_, 0.0, edition)
            return []
        case Warming(pid, since, _, edition), BecameReady():
            instance.state = Running(pid, since, edition, now)
            return [Tell(Ready(name, now - since))]
        case Warming(until=due), DeadlineReached() if due <= now:
            return _clear(instance, Fault.NOT_READY, now)
        case Running(), StoppedAnswering():
            return _clear(instance, Fault.NO_ANSWER, now)
        case Running() | Warming(), Outgrew(_, _, at, because):
            return _clear(instance, Fault.TOO_LARGE, now, at, because)
        case (Running() | Warming()) as state, LeaderExited(_, exit_, remaining):
            instance.last_exit = exit_
            uptime, edition, proven = now - state.since, state.edition, _proven(state, now)
            if not remaining:
                instance.state = Ended(exit_, uptime, edition, proven)
                return []
            instance.state = Clearing(state.pid, now, instance.type.stop, now, exit_, uptime, edition, proven)
            return [Tell(LeftOthers(name, exit_)), *_next_step(instance, now)]
        case Stopping() as state, LeaderExited(_, exit_, remaining) if state.exit is None:
            instance.last_exit = exit_
            instance.state = state.but(exit=exit_)
            return [] if remaining else _stopped(instance, exit_, now)
        case Stopping(exit=Exit() as exit_), TreeVanished():
            return _stopped(instance, exit_, now)
        case Clearing(led=True) as state, LeaderExited(remaining=True):
            instance.state = state.but(led=False)
            return []
        case (Clearing(led=True) as state, LeaderExited()) | (Clearing(led=False) as state, TreeVanished()):
            instance.state = Ended(state.exit, state.uptime, state.edition, state.proven)
            return []
        case ((Stopping(next_at=float(due)) | Clearing(next_at=float(due))), DeadlineReached()) if due <= now:
            return _next_step(instance, now)
        case BackingOff(until=due), DeadlineReached() if due <= now:
            instance.restarts += 1
            instance.state = Queued()
            return []
        case _, DeadlineReached() | BecameReady() | StoppedAnswering() | Outgrew():
            return []
        case state, _:
            raise UnexpectedEvent(f"{fact} while {name} is {state}")


def settle(instance: Instance, now: float, jitter: float) -> list[Action]:
    """Order what is missing between the state and what is wanted."""
    orders: list[Action] = []
    if isinstance(instance.state, Ended):
        orders += _after_the_end(instance, instance.state, now, jitter)
    match instance.state:
        case Running(edition=edition) | Warming(edition=edition) if (
            instance.wish is not Wish.UP or edition != instance.edition
        ):
            orders += begin_stop(instance, instance.type.stop, now)
        case Warming(pid, since, _, edition) if instance.type.ready_within is None:  # nobody checks it any more
            instance.state = Running(pid, since, edition)
        case Queued() | BackingOff() | Exited() | Failed() if instance.wish is not Wish.UP:
            instance.state = Stopped()
        case Stopped() if instance.wish is Wish.UP:
            instance.forgive()
            instance.state = Queued()
        case BackingOff(edition=edition) | Exited(edition=edition) | Failed(edition=edition) if (
            edition != instance.edition
        ):
            instance.forgive()
            instance.state = Queued()
        case _:
            pass
    return orders


def spawn(instance: Instance) -> list[Action]:
    """Its turn has come: Queued → Starting."""
    instance.state = Starting(instance.edition)
    return [Spawn(instance.name, instance.port, instance.unique_int)]


def begin_stop(instance: Instance, plan: StopPlan, now: float) -> list[Action]:
    """Stop what is alive of it by `plan`, from its first step, whatever step an earlier plan had come to."""
    match instance.state:
        case Running(pid=pid) | Warming(pid=pid):
            instance.state = Stopping(pid, now, plan, now)
            return [Tell(StopBegun(instance.name, plan[0].signal)), *_next_step(instance, now)]
        case Stopping() | Clearing() as state:
            instance.state = state.but(steps=plan)
            return _next_step(instance, now)
        case _:
            return []


def _proven(state: Running | Warming, now: float) -> bool:
    if isinstance(state, Warming):
        return False
    return now - (state.since if state.ready is None else state.ready) >= STABLE_AFTER


def leaks(instance: Instance, at: float) -> bool:
    """Whether it was good for long before it had too much, and may go on until another is there in its place.

    Only a type with a surge has another; and where restarts are counted or not wanted, it is a failure as any.
    """
    type_ = instance.type
    restarted = type_.restart.policy is not RestartPolicy.NEVER and type_.restart.max_restarts is None
    in_turn = bool(type_.surge) and not type_.one_shot and restarted
    return in_turn and isinstance(instance.state, Running) and _proven(instance.state, at)


def _clear(
    instance: Instance, fault: Fault, now: float, since: float | None = None, because: str | None = None
) -> list[Action]:
    """Stop a copy that is not what it should be (`since` when); what comes of it then is that of any failure."""
    state = instance.state
    if not isinstance(state, (Running, Warming)):
        return []
    uptime, exit_ = now - state.since, Exit(1, fault=fault, because=because)
    proven = _proven(state, now if since is None else since)
    instance.last_exit = exit_
    instance.state = Clearing(state.pid, now, instance.type.stop, now, exit_, uptime, state.edition, proven, led=True)
    return [Tell(FoundAtFault(instance.name, fault, uptime, because)), *_next_step(instance, now)]


def _next_step(instance: Instance, now: float) -> list[Action]:
    state = instance.state
    if not isinstance(state, (Stopping, Clearing)):
        return []
    if not state.steps:
        instance.state = state.but(next_at=None)
        return [Tell(KillFailed(instance.name, state.pid))]
    step, *left = state.steps
    instance.state = state.but(steps=tuple(left), next_at=now + step.wait)
    return [Kill(instance.name) if step.signal == signal.SIGKILL else Signal(instance.name, step.signal)]


def _stopped(instance: Instance, exit_: Exit, now: float) -> list[Action]:
    state = instance.state
    killed_after: float | None = None
    if isinstance(state, Stopping) and not state.steps:
        killed_at = now if state.next_at is None else state.next_at - UNKILLABLE_AFTER
        killed_after = killed_at - state.since
    instance.state = Stopped()
    return [Tell(StopDone(instance.name, exit_, killed_after))]


def _after_the_end(instance: Instance, ended: Ended, now: float, jitter: float) -> list[Action]:
    """The restart rule, once nothing of the copy is left."""
    name, exit_, rule = instance.name, ended.exit, instance.type.restart
    if instance.wish is not Wish.UP:
        instance.state = Stopped()
        return [Tell(StopDone(name, exit_, None))]
    if ended.edition != instance.edition:  # a fresh copy was asked for meanwhile
        instance.forgive()
        instance.state = Queued()
        return [Tell(EndedUnasked(name, exit_, ended.uptime, 0.0))]
    if rule.policy is RestartPolicy.NEVER or (rule.policy is RestartPolicy.ON_FAILURE and not exit_.failed):
        instance.state = Exited(exit_, ended.edition)
        return [Tell(EndedUnasked(name, exit_, ended.uptime, None))]
    instance.restarted_at = tuple(at for at in instance.restarted_at if now - at < rule.window)
    if rule.max_restarts is not None and len(instance.restarted_at) >= rule.max_restarts:
        instance.state = Failed(exit_, ended.edition)
        return [Tell(EndedUnasked(name, exit_, ended.uptime, None, gave_up=True))]
    if rule.max_restarts is not None:
        instance.restarted_at += (now,)
    if ended.proven:
        instance.streak = 0
    wait = backoff(instance.streak, jitter)
    if exit_.perhaps_our_own_stop:
        wait = max(wait, MAYBE_SHUTDOWN)
    instance.streak += 1
    if wait > 0:
        instance.state = BackingOff(now + wait, exit_, ended.edition)
    else:
        instance.restarts += 1
        instance.state = Queued()
    return [Tell(EndedUnasked(name, exit_, ended.uptime, wait))]
