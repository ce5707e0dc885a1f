"""What comes before what where a release comes first; release.py waits for its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from procsup.config.project import Project
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule
from procsup.errors import UsageError
from procsup.runtime.options import Policy


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
