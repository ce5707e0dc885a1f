"""Who waits for whom while a release is on."""

from __future__ import annotations

from procsup.core.rules import ProcessType, RestartPolicy
from procsup.runtime.release_order import releases_first


def waits(types: list[ProcessType], *once: str) -> dict[str, tuple[str, ...]]:
    return {each.name: each.depends_on for each in releases_first(types, once)}


def test_everybody_waits_for_the_releases_and_each_of_these_for_those_before_it() -> None:
    types = [
        ProcessType("web"),
        ProcessType("migrate"),
        ProcessType("worker", depends_on=("web",)),
        ProcessType("seed"),
    ]
    assert waits(types, "migrate", "seed") == {
        "web": ("migrate", "seed"),
        "migrate": (),
        "worker": ("web", "migrate", "seed"),
        "seed": ("migrate",),
    }


def test_whom_a_release_needs_itself_waits_for_none() -> None:
    types = [
        ProcessType("db", depends_on=("disk",)),
        ProcessType("disk"),
        ProcessType("release", depends_on=("db",)),
        ProcessType("web", depends_on=("db",)),
    ]
    assert waits(types, "release") == {"db": ("disk",), "disk": (), "release": ("db",), "web": ("db", "release")}


def test_a_release_that_another_needs_comes_before_it_and_nobody_waits_in_a_circle() -> None:
    types = [
        ProcessType("a", depends_on=("x",)),
        ProcessType("b"),
        ProcessType("c"),
        ProcessType("x", depends_on=("c",)),
    ]
    assert waits(types, "a", "b", "c") == {"a": ("x", "c"), "b": ("c", "a"), "c": (), "x": ("c",)}


def test_a_release_runs_once_whatever_is_said_about_restarts() -> None:
    [release] = releases_first([ProcessType("release")], ["release"])
    assert release.restart.policy is RestartPolicy.NEVER
    assert release.one_shot
    assert waits([ProcessType("web")], "release") == {"web": ()}  # a reload has taken it out of the Procfile
