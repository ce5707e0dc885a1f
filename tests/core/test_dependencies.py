"""Who depends on others starts when these are up: ready where that is checked, done where it is a one-shot."""

from __future__ import annotations

import pytest

from procsup.core.actions import HeldBack, RollingHalted
from procsup.core.model import Instance, Queued
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule
from procsup.core.turns import Turns
from tests.core.stage import BY_SIGTERM, CRASH, OK, Stage, named

WEB = ProcessType("web", depends_on=("db",))
DB = ProcessType("db", ready_within=30.0)
SETUP = ProcessType("setup", restart=RestartRule(RestartPolicy.ON_FAILURE), one_shot=True)


def all_up() -> Stage:
    stage = Stage(WEB, DB)
    stage.runs()
    stage.becomes_ready("db.1")
    stage.runs()
    return stage


def test_it_starts_when_the_other_is_ready() -> None:
    stage = Stage(WEB, DB)
    assert stage.orders == ["spawn db.1"]
    assert stage.notices[0] == HeldBack(named("web.1"), ("db",))
    assert stage.runs() == []
    assert stage.supervisor.waits_for(stage["web.1"]) == {"db": [stage["db.1"]]}
    assert stage.becomes_ready("db.1") == ["spawn web.1"]
    assert stage.supervisor.waits_for(stage["web.1"]) == {}


def test_it_starts_when_the_other_runs_where_nobody_checks_that_it_is_ready() -> None:
    stage = Stage(WEB, "db")
    assert stage.runs() == ["spawn web.1"]


def test_it_waits_for_all_instances_of_all_that_it_depends_on() -> None:
    stage = Stage(WEB.but(depends_on=("db", "queue")), DB, "queue", counts={"db": 2})
    stage.runs()
    assert stage.becomes_ready("db.1") == []
    assert stage.becomes_ready("db.2") == ["spawn web.1"]


def test_a_one_shot_has_to_be_done_and_not_only_to_run() -> None:
    stage = Stage(ProcessType("web", depends_on=("setup",)), SETUP)
    assert stage.runs() == []
    assert stage.ends("setup.1", CRASH) == ["spawn setup.1"]
    stage.runs()
    assert stage.ends("setup.1", OK) == ["spawn web.1"]


def test_one_after_the_other_down_a_chain() -> None:
    stage = Stage(ProcessType("c", depends_on=("b",)), ProcessType("b", depends_on=("a",)), "a")
    assert stage.orders == ["spawn a.1"]
    assert stage.runs("a.1") == ["spawn b.1"]
    assert stage.runs("b.1") == ["spawn c.1"]


@pytest.mark.parametrize("counts", [{"db": 0}, {"db": 0, "web": 3}])
def test_nobody_waits_for_a_type_without_instances(counts: dict[str, int]) -> None:
    stage = Stage(WEB, DB, counts=counts)
    assert stage.orders == [f"spawn web.{number + 1}" for number in range(counts.get("web", 1))]


def test_nobody_waits_for_what_was_stopped_by_request() -> None:
    stage = all_up()
    stage.stop("db")
    stage.ends("db.1", BY_SIGTERM)
    stage.restart("web")
    assert stage.ends("web.1", BY_SIGTERM) == ["spawn web.1"]


def test_who_waits_goes_on_when_what_it_waits_for_is_stopped_or_scaled_away() -> None:
    stage = Stage(WEB, DB)
    stage.runs()
    assert stage.stop("db") == ["SIGTERM db.1", "spawn web.1"]
    stage = Stage(WEB, DB)
    stage.runs()
    assert stage.scale("db=0") == ["SIGTERM db.1", "spawn web.1"]


def test_what_runs_is_left_alone_when_what_it_depends_on_goes_down() -> None:
    stage = all_up()
    assert stage.ends("db.1") == ["spawn db.1"]
    assert stage["web.1"].up


def test_a_copy_that_crashes_waits_for_what_it_depends_on_as_at_the_start() -> None:
    stage = all_up()
    stage.ends("db.1")
    stage.runs()
    assert stage.ends("web.1") == []
    assert stage.state("web.1") is Queued
    assert stage.becomes_ready("db.1") == ["spawn web.1"]


def test_what_is_scaled_up_waits_as_well() -> None:
    stage = all_up()
    stage.ends("db.1")
    stage.runs()
    assert stage.scale("web=3") == []
    assert stage.becomes_ready("db.1") == ["spawn web.2", "spawn web.3"]


def test_a_restart_of_all_keeps_the_order() -> None:
    stage = all_up()
    assert stage.restart() == ["SIGTERM web.1", "SIGTERM db.1"]
    assert stage.ends("web.1", BY_SIGTERM) == []
    assert stage.ends("db.1", BY_SIGTERM) == ["spawn db.1"]
    stage.runs()
    assert stage.becomes_ready("db.1") == ["spawn web.1"]


def test_a_stop_is_for_all_at_once() -> None:
    assert all_up().shut_down() == ["SIGTERM web.1", "SIGTERM db.1"]


def test_who_waits_is_stopped_without_having_run() -> None:
    stage = Stage(WEB, DB)
    stage.runs()
    stage.stop("web")
    assert stage.becomes_ready("db.1") == []
    assert stage["web.1"].settled


def test_a_reload_that_takes_the_dependency_away_lets_it_go() -> None:
    stage = Stage(WEB, DB)
    stage.runs()
    assert stage.read("web", DB) == ["spawn web.1"]


def test_who_waits_for_one_that_fails_has_settled_with_it() -> None:
    stage = Stage(WEB, DB)
    assert not stage.supervisor.settled(stage["web.1"])
    for _ in range(2):
        stage.runs()
        stage.ends("db.1")
    assert stage.supervisor.settled(stage["web.1"]), "db.1 is backing off"
    assert not stage["web.1"].up


def test_who_waits_for_a_one_shot_that_runs_has_not_settled() -> None:
    stage = Stage(ProcessType("web", depends_on=("setup",)), SETUP)
    stage.runs()
    assert not stage.supervisor.settled(stage["web.1"])


def layers(depth: int, *, width: int = 2, count: int = 5) -> Stage:
    """Each type of a layer depends on all of the next."""
    names = [[f"t{layer}-{number}" for number in range(width)] for layer in range(depth)]
    below: list[tuple[str, ...]] = [*map(tuple, names[1:]), ()]
    never = RestartRule(max_restarts=0)
    types = [
        ProcessType(name, restart=never, depends_on=below[layer]) for layer in range(depth) for name in names[layer]
    ]
    return Stage(*types, counts={each.name: count for each in types})


def test_to_look_down_many_layers_takes_no_more_than_there_are_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not the product of the layers, which is a billion here."""
    stage = layers(9)
    looks, usual = 0, Turns.waits_for

    def counted(turns: Turns, instance: Instance) -> dict[str, list[Instance]]:
        nonlocal looks
        looks += 1
        assert looks < 1000
        return usual(turns, instance)

    monkeypatch.setattr(Turns, "waits_for", counted)
    top, lowest = stage["t0-0.1"], stage["t8-1.3"]
    assert not stage.supervisor.settled(top)
    assert lowest in list(stage.supervisor.behind(top))
    stage.cannot_start(str(lowest.name))
    stage.runs()
    assert stage.supervisor.settled(top)


def test_a_long_chain_is_looked_down_as_well() -> None:
    stage = layers(600, width=1, count=1)
    assert not stage.supervisor.settled(stage["t0-0.1"])
    stage.cannot_start("t599-0.1")
    assert stage.supervisor.settled(stage["t0-0.1"])


def test_it_ends_when_all_that_is_left_waits_for_what_was_given_up() -> None:
    rule = RestartRule(max_restarts=0)
    chain = ProcessType("c", depends_on=("web",)), WEB.but(restart=rule), DB.but(restart=rule)
    stage = Stage(*chain)
    stage.runs()
    assert stage.ends("db.1", CRASH) == ["quit 1"]


def test_it_does_not_end_while_somebody_else_runs() -> None:
    stage = Stage(WEB, DB.but(restart=RestartRule(max_restarts=0)), "other")
    stage.runs()
    assert stage.ends("db.1") == []
    assert stage.restart("db") == ["spawn db.1"]
    stage.runs()
    assert stage.becomes_ready("db.1") == ["spawn web.1"]


def test_a_rolling_restart_takes_nobody_down_who_could_not_come_back() -> None:
    stage = Stage(WEB, DB.but(restart=RestartRule(max_restarts=0)), counts={"web": 2})
    stage.runs()
    stage.becomes_ready("db.1")
    stage.runs()
    stage.ends("db.1")
    assert stage.restart("web", rolling=True) == []
    assert stage.notices == [RollingHalted(named("web.1"), 2, spared=True)]
    assert not stage.supervisor.rolling
    assert stage.supervisor.halted == RollingHalted(named("web.1"), 2, spared=True)
    assert stage["web.1"].up


def test_a_rolling_restart_halts_when_what_it_needs_is_given_up_meanwhile() -> None:
    stage = Stage(WEB, DB.but(restart=RestartRule(max_restarts=0)), counts={"web": 2})
    stage.runs()
    stage.becomes_ready("db.1")
    stage.runs()
    assert stage.restart("web", rolling=True) == ["SIGTERM web.1"]
    stage.ends("db.1")
    assert stage.ends("web.1", BY_SIGTERM) == []
    assert stage.halted == named("web.1")
    assert stage["web.2"].up


def test_many_that_wait_are_spawned_in_turns() -> None:
    stage = Stage(WEB, "db", counts={"web": 100})
    assert len(stage.runs("db.1")) == 32
