"""`start --release`: what has to be done before the others start, and has to have gone well; a migration, mostly.

While it lasts, the others depend on it, and `Policy.once` names it; then all is as if there had been no release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from procsup.config.project import Project
from procsup.core.events import ShutdownRequested
from procsup.core.model import Exit, Instance, InstanceName, RequestRefused, Wish
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule
from procsup.errors import UsageError
from procsup.runtime.options import Policy

if TYPE_CHECKING:
    from procsup.runtime.daemon import Daemon  # which is not loaded yet when the first child is started


def policy_in_release(project: Project, policy: Policy) -> Policy:
    """Raises UsageError where nothing is a release."""
    if not project.releases:
        raise UsageError(
            f"--release: {project.procfile} has no release; name a process type release, "
            "or write release = true for one in procsup.toml"
        )
    return policy.but(once=project.releases)


def releases_first(types: Sequence[ProcessType], once: Sequence[str]) -> list[ProcessType]:
    """One release after the other, and then the rest; but whom a release itself depends on waits for none."""
    depends_on = {each.name: each.depends_on for each in types}
    needed = {name: _needed(name, depends_on) for name in once if name in depends_on}
    earlier = {each for of_one in needed.values() for each in of_one}
    order: list[str] = []
    for of_one in needed.values():
        missing = [each for each in needed if each in of_one and each not in order]
        order += sorted(missing, key=lambda each: len(needed[each]))  # who is needed by another needs less than it
    return [_one(each, order) if each.name in order else _other(each, order, earlier) for each in types]


def _one(release: ProcessType, order: list[str]) -> ProcessType:
    before = order[: order.index(release.name)]
    never = RestartRule(RestartPolicy.NEVER)
    return release.but(restart=never, one_shot=True, depends_on=(*release.depends_on, *before))


def _other(type_: ProcessType, order: list[str], earlier: set[str]) -> ProcessType:
    return type_ if type_.name in earlier else type_.but(depends_on=(*type_.depends_on, *order))


def _needed(name: str, depends_on: Mapping[str, tuple[str, ...]]) -> set[str]:
    """All that have to be up before it, and itself."""
    found: set[str] = set()
    waiting = {name}
    while waiting:
        found |= waiting
        waiting = {more for each in waiting for more in depends_on.get(each, ())} - found
    return found


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
    from procsup.runtime.rules import project_read

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
