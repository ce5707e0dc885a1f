"""How each process type is restarted and stopped: the command line over procsup.toml over what is usual."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from procsup.config.project import Project
from procsup.config.settings import READY_TIMEOUT, RESTART_WINDOW, TypeSettings
from procsup.core.events import ProjectRead
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule, StopPlan, StopStep, stop_plan
from procsup.runtime.options import Policy

DEFAULT_GRACE = 15.0
# A release, also one that somebody has asked for by its name: nobody wants a migration in a loop.
ONCE = RestartRule(RestartPolicy.NEVER, alone=True)


def project_read(
    project: Project,
    policy: Policy,
    counts: Mapping[str, int],
    kept: Mapping[str, int],
    recounted: Mapping[str, int] = {},
) -> ProjectRead:
    """The event that tells the core of a project."""
    types, releases = [], frozenset(project.releases)
    for each in project.types:
        own = project.settings.of(each.name)
        release = each.name in releases
        within = READY_TIMEOUT if own.ready_timeout is None else own.ready_timeout
        types.append(
            ProcessType(
                each.name,
                project.fingerprint(each.name),
                ONCE if release else restart_rule(own, policy),
                plan(own, policy),
                within if own.ready is not None else None,
                project.settings.depends_on(each.name),
                own.one_shot or release,
                own.surge if own.surge is not None else int(own.socket is not None),
            )
        )
    if policy.once:
        from procsup.runtime.release import releases_first  # not on the way to the first child without --release

        types = releases_first(types, policy.once)
    return ProjectRead(tuple(types), counts, kept, tuple(recounted.items()), project.settings.max_processes)


def restart_rule(own: TypeSettings, policy: Policy) -> RestartRule:
    """One that is done with an exit of 0 comes back only after a failure.

    That a first failure stops the others is Foreman's way, for who asks for it; one type's habit is no such wish.
    """
    usual = RestartPolicy.ON_FAILURE if own.one_shot else RestartPolicy.ALWAYS
    word = policy.restart or own.restart
    window = RESTART_WINDOW if own.restart_window is None else own.restart_window
    rule = usual if word is None else RestartPolicy(word)
    return RestartRule(rule, own.max_restarts, window, alone=policy.restart is None)


def plan(own: TypeSettings, policy: Policy) -> StopPlan:
    """A signal without a pause of its own has the grace."""
    grace = next(each for each in (policy.grace, own.grace, DEFAULT_GRACE) if each is not None)
    steps = [(each.signal, each.wait) for each in own.stop] or [(int(signal.SIGTERM), None)]
    return stop_plan(
        *(StopStep(number, grace if wait is None else wait) for number, wait in steps if number != signal.SIGKILL)
    )


def rescue_plan(project: Project, policy: Policy) -> StopPlan:
    """How those are stopped whose supervisor was killed: by the app's signals, with the grace of the most patient type.

    It ends as soon as all are gone, so the others lose nothing by it.
    """
    *steps, kill = plan(project.settings.defaults, policy)
    if not steps:
        return (kill,)
    longest = patience(project, policy) - sum(step.wait for step in steps[:-1])
    last = steps[-1].but(wait=max(steps[-1].wait, longest))
    return (*steps[:-1], last, kill)


def patience(project: Project, policy: Policy) -> float:
    """So long, in seconds, the most patient type waits before SIGKILL, by what the project says now."""
    return max((_patience(plan(project.settings.of(each.name), policy)) for each in project.types), default=0.0)


def _patience(steps: StopPlan) -> float:
    return sum(step.wait for step in steps[:-1])
