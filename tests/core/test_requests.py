"""Stop, start, restart and reload: the last word counts, and nothing runs twice."""

from __future__ import annotations

import signal

import pytest

from procsup.core.model import Stopped
from procsup.core.rules import ProcessType, StopStep, stop_plan
from tests.core.stage import BY_SIGTERM, CRASH, Stage, once, up

# Stop and start


def test_what_a_person_stopped_stays_stopped() -> None:
    stage = up("web", counts={"web": 2})
    assert stage.stop("web.1") == ["SIGTERM web.1"]
    assert stage.ends("web.1", CRASH) == []
    assert stage.state("web.1") is Stopped
    assert stage.supervisor.formation == {"web": 2}, "the formation is as it was"
    assert stage.scale("web=3") == ["spawn web.3"], "scaling does not bring it back"
    stage.runs("web.3")
    assert stage.start("web") == ["spawn web.1"]


@pytest.mark.parametrize("rolling", [False, True])
def test_a_restart_brings_back_what_is_stopped_only_by_its_name(rolling: bool) -> None:
    stage = up("web", "worker")
    stage.stop("web")
    stage.ends("web.1", BY_SIGTERM)
    assert stage.restart(rolling=rolling) == ["SIGTERM worker.1"]
    assert stage.restart("web", rolling=rolling) == ["spawn web.1"]


def test_stopped_while_it_stops_for_a_restart_it_does_not_come_back() -> None:
    stage = up("web")
    stage.restart("web")
    stage.stop("web")
    assert stage.ends("web.1", BY_SIGTERM) == []


def test_started_while_it_stops_it_comes_back() -> None:
    stage = up("web")
    stage.stop("web")
    assert stage.start("web.1") == []
    assert stage.ends("web.1", BY_SIGTERM) == ["spawn web.1"]


def test_starting_leaves_alone_what_runs() -> None:
    stage = up("web", counts={"web": 2})
    assert stage.start("web") == []
    assert stage.start("web.1", "web") == []


def test_starting_leaves_alone_what_is_about_to_run() -> None:
    stage = Stage("web")
    assert stage.start("web") == []
    assert stage.runs("web.1") == []


def test_a_type_without_instances_gets_one_when_it_is_started() -> None:
    stage = up("web", "release", counts={"release": 0})
    assert stage.start("release") == ["spawn release.1"]
    assert stage.supervisor.formation == {"web": 1, "release": 1}


def test_scaled_away_and_back_it_is_no_longer_stopped() -> None:
    stage = up("web")
    stage.stop("web")
    stage.ends("web.1", BY_SIGTERM)
    stage.scale("web=0")
    assert stage.scale("web=1") == ["spawn web.1"]


# Restart


def test_restart_spawns_the_next_copy_when_the_last_of_the_old_one_is_gone() -> None:
    stage = up("web")
    assert stage.restart("web") == ["SIGTERM web.1"]
    assert stage.ends("web.1", BY_SIGTERM, leaving_others=True) == []
    assert stage.others_gone("web.1") == ["spawn web.1"]


def test_restart_without_names_means_all() -> None:
    assert sorted(up("web", "worker").restart()) == ["SIGTERM web.1", "SIGTERM worker.1"]


def test_restart_brings_back_what_was_stopped() -> None:
    stage = up("web")
    stage.stop("web")
    stage.ends("web.1", BY_SIGTERM)
    assert stage.restart("web") == ["spawn web.1"]


def test_two_restarts_in_a_row_are_one() -> None:
    stage = up("web")
    stage.restart("web")
    assert stage.restart("web") == []
    assert stage.ends("web.1", BY_SIGTERM) == ["spawn web.1"]
    assert stage.runs() == []


def test_restarted_while_it_starts_it_is_replaced_once_it_runs() -> None:
    stage = Stage("web")
    assert stage.restart("web") == []
    assert stage.runs("web.1") == ["SIGTERM web.1"]
    assert stage.ends("web.1", BY_SIGTERM) == ["spawn web.1"]
    assert stage.runs() == []


# Reload


def test_reload_restarts_what_has_changed_and_nothing_else() -> None:
    stage = up("web", "worker", counts={"web": 2})
    orders = stage.read(ProcessType("web", version="new"), "worker")
    assert sorted(orders) == ["SIGTERM web.1", "SIGTERM web.2"]
    assert stage.ends("web.1", BY_SIGTERM) == ["spawn web.1"]


def test_reloading_the_same_changes_nothing() -> None:
    stage = up("web", "worker")
    assert stage.read("web", "worker") == []
    assert stage.read("worker", "web") == []


def test_reload_starts_what_is_new_and_stops_what_is_not_there_any_more() -> None:
    stage = up("web", "worker", counts={"worker": 2})
    orders = stage.read("web", "clock")
    assert sorted(orders) == ["SIGTERM worker.1", "SIGTERM worker.2", "spawn clock.1"]
    assert stage.supervisor.formation == {"web": 1, "clock": 1}
    stage.ends("worker.1", BY_SIGTERM)
    stage.ends("worker.2", BY_SIGTERM)
    assert stage.names() == ["web.1", "clock.1"]


def test_reload_leaves_counts_as_they_were_scaled() -> None:
    stage = up("web")
    stage.scale("web=3")
    stage.read("web", "clock", counts={"web": 1, "clock": 2}, kept={"web": 3})
    assert stage.supervisor.formation == {"web": 3, "clock": 2}


def test_what_is_stopped_stays_stopped_over_a_reload() -> None:
    stage = up("web", "other")
    stage.stop("web")
    stage.ends("web.1", BY_SIGTERM)
    assert stage.read(ProcessType("web", version="new"), "other") == []


def test_what_has_changed_is_tried_again_where_it_had_been_given_up() -> None:
    stage = up(once("web"), "other", keep_going=True)
    stage.ends("web.1", CRASH)
    assert stage.read(ProcessType("web", version="repaired"), "other") == ["spawn web.1"]


def test_a_new_restart_rule_or_stop_plan_applies_without_a_restart() -> None:
    stage = up("web", "other")
    gentle = ProcessType("web", stop=stop_plan(StopStep(signal.SIGINT, 1.0)))
    assert stage.read(gentle, "other") == []
    assert stage.stop("web") == ["SIGINT web.1"]


def test_a_type_that_comes_back_while_it_stops_is_not_run_twice() -> None:
    stage = up("web", "worker")
    stage.read("web")
    assert stage.read("web", "worker") == []
    assert stage.ends("worker.1", BY_SIGTERM) == ["spawn worker.1"]
