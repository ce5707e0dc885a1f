"""One more than there should be while the others are replaced: never fewer are up, a bad version replaces nobody."""

from __future__ import annotations

import pytest

from procsup.core.actions import RollingHalted
from procsup.core.rolling import PROVEN_AFTER
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule
from tests.core.stage import BY_SIGTERM, OK, Stage, named, up

WEB = ProcessType("web", surge=1)
NEW_WEB = ProcessType("web", "2", surge=1)


def serving(count: int = 2, type_: ProcessType = WEB) -> Stage:
    return up(type_, "worker", counts={"web": count})


def replaced(stage: Stage, name: str) -> None:
    """The old copy goes, the new one comes and stays."""
    assert stage.ends(name, BY_SIGTERM) == [f"spawn {name}"]
    stage.runs(name)


def test_the_extra_one_comes_first_and_goes_last() -> None:
    stage = serving()
    assert stage.restart("web", rolling=True) == ["spawn web.3"]
    stage.runs()
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.1"]
    replaced(stage, "web.1")
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.2"]
    replaced(stage, "web.2")
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.3"]
    assert not stage.supervisor.rolling
    assert stage.ends("web.3", BY_SIGTERM) == []
    assert stage.names() == ["web.1", "web.2", "worker.1"]
    assert stage.supervisor.formation == {"web": 2, "worker": 1}


def test_the_extra_one_has_numbers_of_its_own() -> None:
    stage = serving()
    ports, numbers = zip(*((each.port, each.unique_int) for each in stage.supervisor.instances()), strict=True)
    stage.restart("web", rolling=True)
    assert stage["web.3"].port not in ports
    assert stage["web.3"].unique_int not in numbers


def test_a_version_that_does_not_stay_up_replaces_nobody() -> None:
    stage = serving()
    pids = [stage[name].pid for name in ("web.1", "web.2")]
    stage.restart("web", rolling=True)
    stage.runs()
    assert stage.ends("web.3") == ["spawn web.3"]
    stage.runs()
    stage.ends("web.3")
    assert [each for each in stage.notices if isinstance(each, RollingHalted)] == [RollingHalted(named("web.3"), 2)]
    assert stage.halted == named("web.3")
    assert stage.names() == ["web.1", "web.2", "worker.1"]
    assert [stage[name].pid for name in ("web.1", "web.2")] == pids
    assert stage.wait() is None


def test_a_reload_brings_a_new_version_in_the_same_way_and_leaves_the_others_alone() -> None:
    stage = serving()
    assert stage.read(NEW_WEB, "worker", counts={"web": 2}) == ["spawn web.3"]
    stage.runs()
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.1"]
    replaced(stage, "web.1")
    stage.after(PROVEN_AFTER)
    replaced(stage, "web.2")
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.3"]
    assert stage["worker.1"].restarts == 0


def test_a_reload_that_halts_leaves_the_old_version_running() -> None:
    stage = serving()
    pids = [stage[name].pid for name in ("web.1", "web.2")]
    stage.read(NEW_WEB, "worker")
    stage.cannot_start("web.3")
    stage.cannot_start("web.3")
    assert stage.names() == ["web.1", "web.2", "worker.1"]
    assert [stage[name].pid for name in ("web.1", "web.2")] == pids


def test_a_scale_in_the_middle_takes_the_extra_one_for_its_own() -> None:
    stage = serving()
    stage.restart("web", rolling=True)
    stage.runs()
    assert stage.scale("web=3") == []
    assert stage["web.3"].up
    stage.after(PROVEN_AFTER)
    replaced(stage, "web.1")
    stage.after(PROVEN_AFTER)
    replaced(stage, "web.2")
    assert stage.after(PROVEN_AFTER) == []
    assert stage.names() == ["web.1", "web.2", "web.3", "worker.1"]


def test_a_shutdown_takes_the_extra_one_along() -> None:
    stage = serving()
    stage.restart("web", rolling=True)
    stage.runs()
    assert sorted(stage.shut_down()) == ["SIGTERM web.1", "SIGTERM web.2", "SIGTERM web.3", "SIGTERM worker.1"]
    said = [stage.ends(name, BY_SIGTERM) for name in ("web.1", "web.2", "web.3", "worker.1")]
    assert said[-1] == ["quit 0"]


def test_where_there_may_be_no_more_it_rolls_without_one() -> None:
    stage = Stage(WEB, counts={"web": 2}, max_instances=2)
    stage.runs()
    assert stage.restart("web", rolling=True) == ["SIGTERM web.1"]


def test_a_type_that_is_removed_meanwhile_takes_its_extra_one_along() -> None:
    stage = serving()
    stage.restart("web", rolling=True)
    stage.runs()
    assert sorted(stage.read("worker")) == ["SIGTERM web.1", "SIGTERM web.2", "SIGTERM web.3"]


def test_a_stop_by_name_in_the_middle_leaves_nothing_of_the_extra_one() -> None:
    stage = serving()
    stage.restart("web", rolling=True)
    stage.runs()
    assert sorted(stage.stop("web")) == ["SIGTERM web.1", "SIGTERM web.2", "SIGTERM web.3"]
    for name in ("web.1", "web.2", "web.3"):
        stage.ends(name, BY_SIGTERM)
    assert stage.names() == ["web.1", "web.2", "worker.1"]
    assert not stage.supervisor.rolling


def test_a_scale_after_a_stop_of_the_extra_one_starts_what_it_adds() -> None:
    stage = serving()
    stage.restart("web", rolling=True)
    stage.runs()
    assert stage.stop("web.3") == ["SIGTERM web.3", "SIGTERM web.1"]
    assert stage.scale("web=3") == []
    assert stage.ends("web.3", BY_SIGTERM) == ["spawn web.3"]


def test_of_what_is_stopped_before_its_turn_there_is_not_one_more() -> None:
    stage = up(WEB, ProcessType("queue", surge=2))
    assert stage.restart("web", "queue", rolling=True) == ["spawn web.2"]
    stage.runs()
    assert stage.stop("queue") == ["SIGTERM queue.1"]
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.1"]
    replaced(stage, "web.1")
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.2"]
    assert not stage.supervisor.rolling


def test_a_stop_in_the_middle_is_not_followed_by_yet_one_more() -> None:
    stage = up(ProcessType("queue", surge=2))
    assert stage.restart("queue", rolling=True) == ["spawn queue.2"]
    stage.runs()
    assert stage.stop("queue") == ["SIGTERM queue.1", "SIGTERM queue.2"]
    assert not stage.supervisor.rolling


def test_a_scale_to_none_in_the_middle_leaves_nothing_of_the_extra_one() -> None:
    stage = serving()
    assert stage.restart("web", rolling=True) == ["spawn web.3"]
    stage.runs()
    assert stage.scale("web=0") == ["SIGTERM web.1", "SIGTERM web.2", "SIGTERM web.3"]
    assert not stage.supervisor.rolling
    assert stage.ends("web.3", BY_SIGTERM) == []


def test_a_restart_of_all_leaves_the_extra_one_alone_which_is_the_fresh_copy_already() -> None:
    stage = serving()
    assert stage.restart("web", rolling=True) == ["spawn web.3"]
    assert stage.restart() == ["SIGTERM web.1", "SIGTERM web.2", "SIGTERM worker.1"]
    assert stage.scale("web=3") == []
    assert stage.runs("web.3") == []


def test_a_failure_of_the_extra_one_is_no_reason_to_stop_all() -> None:
    stage = serving(type_=ProcessType("web", surge=1, restart=RestartRule(RestartPolicy.NEVER)))
    stage.restart("web", rolling=True)
    stage.runs()
    assert stage.ends("web.3") == []
    assert not stage.supervisor.shutting_down
    assert stage.names() == ["web.1", "web.2", "worker.1"]


def test_a_reload_of_something_else_in_the_middle_does_not_take_the_extra_one_away() -> None:
    stage = serving(1)
    stage.restart("web", rolling=True)
    stage.runs()
    assert stage.read(WEB, ProcessType("worker", "2")) == ["SIGTERM worker.1"]
    assert stage["web.2"].up


def test_a_newer_version_in_the_middle_comes_with_an_extra_one_of_its_own() -> None:
    stage = serving(1)
    stage.restart("web", rolling=True)
    stage.runs()
    assert stage.read(NEW_WEB, "worker", counts={"web": 1}) == ["SIGTERM web.2", "spawn web.3"]
    stage.runs("web.3")
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.1"]
    replaced(stage, "web.1")
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.3"]
    assert not stage.supervisor.rolling


def test_who_leaks_goes_on_until_another_is_there_in_its_place() -> None:
    stage = up(ProcessType("web", surge=1), counts={"web": 2})
    stage.after(9.9)
    assert stage.outgrows("web.1") == ["SIGTERM web.1"], "it never was good for long"
    stage.ends("web.1", OK)
    stage.runs()
    stage.after(10.0)
    assert stage.outgrows("web.1") == ["spawn web.3"]
    assert stage.outgrows("web.2") == [], "one after the other"
    stage.runs()
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.1"]
    assert stage.ends("web.1", OK) == ["spawn web.1"]
    stage.runs()
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.3"]
    assert not stage.supervisor.rolling
    assert stage.ends("web.3", OK) == []
    assert stage.outgrows("web.2") == ["spawn web.3"]


@pytest.mark.parametrize("rule", [RestartRule(max_restarts=5), RestartRule(RestartPolicy.NEVER)])
def test_where_restarts_are_counted_or_not_wanted_who_leaks_has_failed(rule: RestartRule) -> None:
    stage = up(ProcessType("web", surge=1, restart=rule), "other")
    stage.after(1000.0)
    assert stage.outgrows("web.1") == ["SIGTERM web.1"]
