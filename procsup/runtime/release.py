"""`start --release`: what has to be done before the others start, and has to have gone well; a migration, mostly.

While it lasts, the others depend on it, and `Policy.once` names it; then all is as if there had been no release.
"""

from __future__ import annotations

from procsup.core.events import ShutdownRequested
from procsup.core.model import Exit, Instance, InstanceName, RequestRefused, Wish
from procsup.runtime.daemon import Daemon
from procsup.runtime.options import Policy
from procsup.runtime.rules import project_read


async def end_release(daemon: Daemon, policy: Policy) -> None:
    """Wait for its end, and let things be as they are without one; if it failed, that is the end of all."""
    try:
        await _end_release(daemon, policy)
    except RequestRefused:
        pass  # all is being stopped
    except Exception as error:
        if not daemon.finished.done():
            daemon.finished.set_exception(error)


async def _end_release(daemon: Daemon, policy: Policy) -> None:
    supervisor = daemon.supervisor
    await daemon.until(lambda: supervisor.shutting_down or _failure(daemon) is not None or _all_over(daemon))
    failure = _failure(daemon)
    if failure is not None:
        # With --keep-going it would be one of many; and whoever it depends on may be running.
        daemon.post(ShutdownRequested(failure.code, provisional=True))
    elif not supervisor.shutting_down:
        daemon.policy = policy
        done = {name: 0 for name in daemon.project.releases if name in supervisor.formation}
        await daemon.ask(project_read(daemon.project, policy, {}, daemon.keeper.formation, done))


def _releases(daemon: Daemon) -> list[Instance]:
    found = (daemon.supervisor.instance(InstanceName(name, 1)) for name in daemon.policy.once)
    return [each for each in found if each is not None]


def _failure(daemon: Daemon) -> Exit | None:
    ended = (each.last_exit for each in _releases(daemon) if each.given_up)
    return next((exit_ for exit_ in ended if exit_ is not None and exit_.failed), None)


def _all_over(daemon: Daemon) -> bool:
    """They have ended, or somebody has stopped them: then nobody waits for them any more."""
    return all(each.given_up or (each.wish is not Wish.UP and not each.alive) for each in _releases(daemon))
