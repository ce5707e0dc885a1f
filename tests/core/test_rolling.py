"""A rolling restart: one at a time, and no further than the first new copy that does not stay up."""

from __future__ import annotations

from procsup.core.actions import RollingHalted
from procsup.core.model import BackingOff
from procsup.core.rolling import PROVEN_AFTER
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule
from tests.core.stage import BY_SIGTERM, OK, Stage, up


def replaced(stage: Stage, name: str) -> None:
    """The old copy goes, the new one comes."""
    assert stage.ends(name, BY_SIGTERM) == [f"spawn {name}"]
    stage.runs(name)


def test_one_at_a_time_each_when_the_one_before_has_stayed_up() -> None:
    stage = up("web", counts={"web": 3})
    assert stage.restart("web", rolling=True) == ["SIGTERM web.1"]
    replaced(stage, "web.1")
    assert stage.orders == []
    assert stage.after(PROVEN_AFTER - 0.001) == []
    assert stage.after(0.002) == ["SIGTERM web.2"]
    replaced(stage, "web.2")
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.3"]
    replaced(stage, "web.3")
    assert stage.supervisor.rolling
    assert stage.after(PROVEN_AFTER) == []
    assert not stage.supervisor.rolling
    assert stage.wait() is None


def test_the_others_keep_their_copy_meanwhile() -> None:
    stage = up("web", counts={"web": 3})
    pids = [each.pid for each in stage.supervisor.instances()]
    stage.restart("web", rolling=True)
    replaced(stage, "web.1")
    assert [each.pid for each in stage.supervisor.instances()][1:] == pids[1:]


def test_without_names_it_goes_through_all_types() -> None:
    stage = up("web", "worker")
    assert stage.restart(rolling=True) == ["SIGTERM web.1"]
    replaced(stage, "web.1")
    assert stage.after(PROVEN_AFTER) == ["SIGTERM worker.1"]


def test_it_halts_where_the_new_copy_does_not_stay_up() -> None:
    stage = up("web", counts={"web": 3})
    stage.restart("web", rolling=True)
    replaced(stage, "web.1")
    stage.ends("web.1")
    stage.runs("web.1")
    assert stage.ends("web.1") == []
    assert stage.state("web.1") is BackingOff
    assert [each for each in stage.notices if isinstance(each, RollingHalted)] == [
        RollingHalted(stage["web.1"].name, 2)
    ]
    assert not stage.supervisor.rolling
    assert stage.after(3.0) == ["spawn web.1"], "that one is tried again, the others are left alone"


def test_it_halts_where_the_new_copy_cannot_be_started() -> None:
    stage = up("web", counts={"web": 2})
    stage.restart("web", rolling=True)
    stage.ends("web.1", BY_SIGTERM)
    assert stage.cannot_start("web.1") == ["spawn web.1"]
    assert stage.cannot_start("web.1") == []
    assert not stage.supervisor.rolling
    assert stage["web.2"].up


def test_it_halts_where_the_new_copy_is_not_restarted_by_its_policy() -> None:
    rule = RestartRule(RestartPolicy.ON_FAILURE)
    stage = up(ProcessType("web", restart=rule), counts={"web": 2})
    stage.restart("web", rolling=True)
    replaced(stage, "web.1")
    assert stage.ends("web.1", OK) == []
    assert not stage.supervisor.rolling


def test_a_crash_on_the_way_does_not_let_a_second_one_go_down() -> None:
    stage = up("web", counts={"web": 2})
    stage.restart("web", rolling=True)
    replaced(stage, "web.1")
    stage.after(0.5)
    assert stage.ends("web.1") == ["spawn web.1"]
    stage.runs("web.1")
    assert stage.after(PROVEN_AFTER - 0.001) == [], "the clock of the new copy counts"
    assert stage.after(0.002) == ["SIGTERM web.2"]


def test_what_is_stopped_by_hand_meanwhile_is_passed_over() -> None:
    stage = up("web", counts={"web": 3})
    stage.restart("web", rolling=True)
    stage.stop("web.2")
    stage.ends("web.2", BY_SIGTERM)
    replaced(stage, "web.1")
    assert stage.after(PROVEN_AFTER) == ["SIGTERM web.3"]


def test_when_the_one_whose_turn_it_is_is_stopped_the_next_has_its_turn() -> None:
    stage = up("web", counts={"web": 2})
    stage.restart("web", rolling=True)
    assert stage.stop("web.1") == ["SIGTERM web.2"]


def test_what_is_scaled_away_meanwhile_is_passed_over() -> None:
    stage = up("web", counts={"web": 2})
    stage.restart("web", rolling=True)
    assert stage.scale("web=1") == ["SIGTERM web.2"]
    stage.ends("web.2", BY_SIGTERM)
    replaced(stage, "web.1")
    assert stage.after(PROVEN_AFTER) == []
    assert not stage.supervisor.rolling


def test_asked_for_twice_each_of_those_that_wait_is_restarted_once() -> None:
    stage = up("web", "worker")
    stage.restart("web", "worker", rolling=True)
    stage.restart("worker", rolling=True)
    replaced(stage, "web.1")
    stage.after(PROVEN_AFTER)
    replaced(stage, "worker.1")
    assert stage.after(PROVEN_AFTER) == []
    assert not stage.supervisor.rolling


def test_what_had_been_given_up_is_tried_again_in_its_turn() -> None:
    rule = RestartRule(RestartPolicy.NEVER)
    stage = up(ProcessType("web", restart=rule), "other", keep_going=True)
    stage.ends("web.1")
    assert stage.restart("web", rolling=True) == ["spawn web.1"]


def test_a_shutdown_ends_it() -> None:
    stage = up("web", counts={"web": 2})
    stage.restart("web", rolling=True)
    assert stage.shut_down() == ["SIGTERM web.2"]
    assert not stage.supervisor.rolling
