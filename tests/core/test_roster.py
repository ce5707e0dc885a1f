"""The formation: how many of each there are, what of it is kept, and when nothing is left to do."""

from __future__ import annotations

import pytest

from procsup.core.actions import ScaledTo
from procsup.core.model import (
    RequestRefused,
    Running,
)
from tests.core.stage import BY_SIGTERM, CRASH, OK, Stage, once, up

# Start


def test_each_type_gets_one_instance_unless_said_otherwise() -> None:
    stage = Stage("web", "worker", "release", counts={"worker": 2, "release": 0})
    assert stage.orders == ["spawn web.1", "spawn worker.1", "spawn worker.2"]
    assert stage.supervisor.formation == {"web": 1, "worker": 2, "release": 0}


def test_spawns_are_ordered_thirty_two_at_a_time() -> None:
    stage = Stage("web", counts={"web": 40})
    assert len(stage.orders) == 32
    assert stage.cannot_start("web.1") == []
    for number in range(2, 32):
        assert stage.runs(f"web.{number}") == []
    next_ones = [f"spawn web.{number}" for number in range(33, 41)]
    assert stage.runs("web.32") == [*next_ones, "spawn web.1"], "its turn comes again behind the others"


def test_a_command_has_not_to_wait_for_a_thousand_spawns() -> None:
    stage = Stage("web", counts={"web": 1000})
    assert stage.scale("web=0") == []
    assert len(stage.names()) == 32
    stage.runs("web.1")
    assert stage.orders == ["SIGTERM web.1"]


# Scale


def test_scaling_up_fills_the_lowest_free_numbers() -> None:
    stage = up("web", counts={"web": 2})
    assert stage.scale("web=4") == ["spawn web.3", "spawn web.4"]
    assert ScaledTo("web", 2, 4) in stage.notices


def test_scaling_down_takes_the_highest_numbers() -> None:
    stage = up("web", counts={"web": 4})
    assert sorted(stage.scale("web=-2")) == ["SIGTERM web.3", "SIGTERM web.4"]
    assert stage.supervisor.formation == {"web": 2}


def test_survivors_of_a_scale_keep_everything() -> None:
    stage = up("web", "worker", counts={"web": 3, "worker": 2})
    before = [(each.pid, each.port, each.unique_int) for each in stage.supervisor.instances()][:2]
    stage.scale("web=2", "worker=5")
    stage.ends("web.3", BY_SIGTERM)
    assert [(each.pid, each.port, each.unique_int) for each in stage.supervisor.instances()][:2] == before


def test_what_was_scaled_away_is_forgotten_only_when_the_last_of_it_is_gone() -> None:
    stage = up("web", counts={"web": 2})
    stage.scale("web=1")
    stage.ends("web.2", BY_SIGTERM, leaving_others=True)
    assert stage.names() == ["web.1", "web.2"]
    stage.others_gone("web.2")
    assert stage.names() == ["web.1"]


def test_scaled_up_again_while_it_stops_it_comes_back_once_it_is_gone() -> None:
    stage = up("web", counts={"web": 2})
    stage.scale("web=1")
    assert stage.scale("web=2") == []
    assert stage.ends("web.2", BY_SIGTERM) == ["spawn web.2"]


def test_scaled_down_while_it_starts_it_is_stopped_as_soon_as_it_runs() -> None:
    stage = Stage("web", counts={"web": 2})
    assert stage.scale("web=1") == []
    assert stage.runs("web.2") == ["SIGTERM web.2"]


def test_scaled_down_while_it_waits_it_never_comes() -> None:
    stage = up("web", counts={"web": 2})
    stage.ends("web.2")
    stage.runs("web.2")
    stage.ends("web.2")
    assert stage.scale("web=1") == []
    assert stage.after(100.0) == []


def test_the_last_word_counts() -> None:
    stage = up("web")
    for count in ("web=3", "web=0", "web=5", "web=2"):
        stage.scale(count)
    assert stage.supervisor.formation == {"web": 2}
    stage.ends("web.1", BY_SIGTERM)
    stage.runs()
    stage.runs()
    assert [each.up for each in stage.supervisor.instances() if each.name.number <= 2] == [True, True]


def test_changes_apply_in_turn() -> None:
    stage = up("web", "worker", counts={"worker": 3})
    stage.scale("web=2", "worker=2", "web=+1", "worker=+1", "web=+1")
    assert stage.supervisor.formation == {"web": 4, "worker": 3}


def test_scaling_to_what_there_is_changes_nothing() -> None:
    stage = up("web", counts={"web": 2})
    assert stage.scale("web=2") == []
    assert stage.notices == []


def test_fewer_than_none_is_refused() -> None:
    stage = up("web")
    with pytest.raises(RequestRefused, match="web has 1 instance; 2 cannot be taken away"):
        stage.scale("web=-2")


def test_too_many_in_all_are_refused() -> None:
    stage = up("web", "worker", max_instances=10)
    stage.scale("web=9")
    with pytest.raises(
        RequestRefused, match=r"11 instances in all are too many; max_processes in procsup\.toml allows 10"
    ):
        stage.scale("worker=2")
    with pytest.raises(RequestRefused, match="too many"):
        Stage("web", counts={"web": 11}, max_instances=10)


# What is kept


def test_what_was_scaled_is_kept_type_by_type() -> None:
    stage = up("web", "worker", "clock", counts={"web": 2})
    assert stage.kept is None
    stage.scale("worker=3")
    assert stage.kept == {"worker": 3}, "nobody has scaled the others"
    stage.scale("web=+1")
    assert stage.kept == {"worker": 3, "web": 3}
    stage.scale("web=0", "worker=0")
    assert stage.kept == {"worker": 0, "web": 0}


def test_what_was_kept_for_other_types_is_handed_on() -> None:
    stage = Stage()
    stage.read("web", counts={"web": 1}, kept={"gone": 7, "web": 4})
    assert stage.supervisor.formation == {"web": 1}
    stage.scale("web=2")
    assert stage.kept == {"gone": 7, "web": 2}


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_only_scale_is_kept(command: str) -> None:
    stage = up("web")
    getattr(stage, command)("web")
    assert stage.kept is None


# The end of it all


def test_it_quits_when_nothing_is_left_that_should_run() -> None:
    stage = up(once("a"), once("b"), keep_going=True)
    assert stage.ends("a.1", OK) == []
    assert stage.ends("b.1", OK) == ["quit 0"]


def test_the_exit_code_is_that_of_the_first_that_failed() -> None:
    stage = up(once("a"), once("b"), once("c"), once("d"), keep_going=True)
    stage.ends("c.1", OK)
    stage.ends("b.1", BY_SIGTERM)
    stage.ends("a.1", CRASH)
    assert stage.ends("d.1", OK) == ["quit 143"]


def test_the_first_failure_stops_the_rest_where_nothing_is_ever_restarted() -> None:
    stage = up(once("a"), once("b"), once("c"))
    assert stage.ends("a.1", OK) == [], "that one ended well"
    assert stage.ends("b.1", CRASH) == ["SIGTERM c.1"]
    assert stage.ends("c.1", BY_SIGTERM) == ["quit 1"]


def test_what_a_person_stopped_still_counts_as_wanted() -> None:
    stage = up(once("a"), once("b"), keep_going=True)
    stage.stop("a")
    stage.ends("a.1", BY_SIGTERM)
    assert stage.ends("b.1", OK) == []


def test_an_empty_formation_is_no_reason_to_quit() -> None:
    stage = up("web")
    stage.scale("web=0")
    assert stage.ends("web.1", BY_SIGTERM) == []


def test_an_idle_supervisor_never_wakes_up() -> None:
    stage = up("web")
    assert isinstance(stage["web.1"].state, Running)
    assert stage.wait() is None
