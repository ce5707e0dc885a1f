"""How each process type is restarted and stopped: the command line over procsup.toml over what is usual."""

from __future__ import annotations

from collections.abc import Mapping

from procsup.config.project import Project
from procsup.config.settings import READY_TIMEOUT, RESTART_WINDOW, TypeSettings
from procsup.core.events import ProjectRead
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule, StopPlan, StopStep, stop_plan
from procsup.runtime.options import Policy


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
                _restart_rule(own, policy, release),
                plan(own, policy),
                within if own.ready is not None else None,
                project.settings.depends_on(each.name),
                own.one_shot or release,
                own.surge if own.surge is not None else int(own.socket is not None),
            )
        )
    if policy.once:
        from procsup.runtime.release_order import releases_first  # not on the way to the first child without --release

        types = releases_first(types, policy.once)
    return ProjectRead(tuple(types), counts, kept, tuple(recounted.items()), project.settings.max_processes)


def _restart_rule(own: TypeSettings, policy: Policy, release: bool) -> RestartRule:
    """That a first failure stops the others is Foreman's way, for who asks for it; one type's habit is no such wish."""
    rule = RestartPolicy(own.restart_word(policy.restart, release))
    window = RESTART_WINDOW if own.restart_window is None else own.restart_window
    return RestartRule(rule, own.max_restarts, window, alone=release or policy.restart is None)


def plan(own: TypeSettings, policy: Policy) -> StopPlan:
    return stop_plan(*(StopStep(number, wait) for number, wait in own.stop_steps(policy.grace)))


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
