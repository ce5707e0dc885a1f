"""Readiness: who is not ready in time, or answers no more, counts as failed; nobody calls a copy up before it is."""

from __future__ import annotations

import pytest

from procsup.core.actions import EndedUnasked, FoundAtFault, Ready, RollingHalted
from procsup.core.events import BecameReady, StoppedAnswering
from procsup.core.model import (
    BackingOff,
    Clearing,
    Exit,
    Failed,
    Fault,
    Queued,
    Running,
    Starting,
    Stopping,
    Warming,
)
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule
from tests.core.stage import BY_SIGTERM, OK, Stage, named, up

WEB = ProcessType("web", ready_within=30.0)
NOT_READY = Exit(1, fault=Fault.NOT_READY)


def warming(counts: int = 1, type_: ProcessType = WEB) -> Stage:
    stage = Stage(type_, counts={"web": counts})
    stage.runs()
    return stage


def test_a_copy_is_up_when_it_is_ready() -> None:
    stage = warming()
    assert stage.state("web.1") is Warming
    assert not stage["web.1"].up
    assert not stage["web.1"].settled
    stage.after(4.0)
    stage.becomes_ready("web.1")
    assert stage.notices == [Ready(named("web.1"), 4.0)]
    assert stage["web.1"].up
    assert stage.wait() is None, "what is ready has no deadline"


def test_what_nobody_checks_is_up_at_once() -> None:
    assert up("web").state("web.1") is Running


def test_a_copy_that_is_not_ready_in_time_is_stopped_in_its_way_and_counts_as_failed() -> None:
    stage = warming()
    assert stage.wait() == 30.0
    assert stage.after(29.999) == []
    assert stage.after(0.001) == ["SIGTERM web.1"]
    assert stage.notices == [FoundAtFault(named("web.1"), Fault.NOT_READY, 30.0)]
    assert stage.state("web.1") is Clearing
    assert stage.after(15.0) == ["SIGKILL web.1"]
    assert stage.ends("web.1", BY_SIGTERM) == ["spawn web.1"], "the first time at once, as after any failure"
    assert stage["web.1"].last_exit == NOT_READY
    assert stage.notices == [EndedUnasked(named("web.1"), NOT_READY, 30.0, 0.0)]


def test_time_without_being_ready_is_no_time_of_being_up_so_the_waits_grow() -> None:
    stage = warming()
    waits = []
    for _ in range(5):
        stage.after(30.0)
        stage.ends("web.1", OK)
        state = stage["web.1"].state
        waits.append(round(state.until - stage.now) if isinstance(state, BackingOff) else 0)
        stage.after(20.0)
        stage.runs()
    assert waits == [0, 1, 2, 4, 8]


@pytest.mark.parametrize(("ready_for", "at_once"), [(9.9, False), (10.0, True)])
def test_the_time_since_it_was_ready_counts(ready_for: float, at_once: bool) -> None:
    stage = warming()
    stage.after(20.0)
    stage.ends("web.1")
    stage.runs()
    stage.after(20.0)
    stage.becomes_ready("web.1")
    stage.after(ready_for)
    assert (stage.ends("web.1") == ["spawn web.1"]) == at_once


def test_what_ends_before_it_is_ready_has_simply_ended() -> None:
    stage = warming()
    assert stage.ends("web.1") == ["spawn web.1"]
    assert stage["web.1"].last_exit == Exit(1)


def test_the_rest_of_its_tree_goes_with_one_that_was_not_ready() -> None:
    stage = warming()
    stage.after(30.0)
    assert stage.ends("web.1", BY_SIGTERM, leaving_others=True) == []
    assert stage.state("web.1") is Clearing
    assert stage.others_gone("web.1") == ["spawn web.1"]


@pytest.mark.parametrize(
    ("rule", "becomes"),
    [
        (RestartRule(max_restarts=0), Failed),
        (RestartRule(RestartPolicy.ON_FAILURE), Starting),
    ],
)
def test_its_policy_decides_what_comes_of_it_even_if_it_ended_with_0(rule: RestartRule, becomes: type) -> None:
    stage = warming(type_=WEB.but(restart=rule))
    stage.after(30.0)
    stage.ends("web.1", OK)
    assert stage.state("web.1") is becomes


def test_news_of_a_copy_that_is_gone_is_no_news() -> None:
    stage = warming()
    old = stage["web.1"].pid
    assert old is not None
    stage.ends("web.1")
    stage.runs()
    stage.becomes_ready("web.1", old)
    assert stage.state("web.1") is Warming
    stage.tell(BecameReady(named("web.7"), 1))
    stage.tell(StoppedAnswering(named("web.7"), 1))
    stage.stop("web")
    stage.becomes_ready("web.1")
    assert stage.state("web.1") is Stopping


def test_ready_said_twice_is_heard_once() -> None:
    stage = warming()
    stage.becomes_ready("web.1")
    stage.becomes_ready("web.1")
    assert stage.notices == []


def test_what_answers_no_more_is_stopped_and_counts_as_failed() -> None:
    stage = warming()
    stage.becomes_ready("web.1")
    stage.after(100.0)
    assert stage.stops_answering("web.1") == ["SIGTERM web.1"]
    assert stage.stops_answering("web.1") == [], "once is enough"
    assert stage.ends("web.1", OK) == ["spawn web.1"]
    assert stage["web.1"].last_exit == Exit(1, fault=Fault.NO_ANSWER)


def test_a_person_comes_first_while_it_is_being_stopped_for_its_fault() -> None:
    stage = warming()
    stage.after(30.0)
    stage.stop("web")
    assert stage.ends("web.1", BY_SIGTERM) == []
    assert stage["web.1"].settled
    stage.start("web")
    assert stage.state("web.1") is Starting
    assert stage["web.1"].streak == 0


def test_who_waits_has_waited_long_enough_when_one_copy_was_not_ready_in_time() -> None:
    stage = warming()
    stage.after(30.0)
    stage.ends("web.1", OK)
    assert not stage["web.1"].settled
    stage.runs()
    assert stage["web.1"].settled
    assert not stage["web.1"].up


def test_what_crashed_once_on_its_way_is_waited_for() -> None:
    stage = warming()
    stage.ends("web.1")
    stage.runs()
    assert not stage["web.1"].settled


def test_a_reload_that_takes_the_check_away_makes_it_up() -> None:
    stage = warming()
    stage.read("web")
    assert stage["web.1"].up
    assert stage.wait() is None


def test_a_reload_that_brings_a_check_leaves_alone_what_runs() -> None:
    stage = up("web")
    assert stage.read(WEB) == []
    assert stage["web.1"].up


def test_start_leaves_alone_what_is_getting_ready() -> None:
    stage = warming()
    assert stage.start("web") == []
    assert stage.state("web.1") is Warming


# Rolling restart


def rolling(counts: int = 3) -> Stage:
    stage = warming(counts)
    for name in stage.names():
        stage.becomes_ready(name)
    stage.restart("web", rolling=True)
    stage.ends("web.1", BY_SIGTERM)
    stage.runs()
    return stage


def test_a_rolling_restart_goes_on_as_soon_as_the_new_copy_is_ready() -> None:
    stage = rolling()
    assert stage.after(20.0) == []
    assert stage.becomes_ready("web.1") == ["SIGTERM web.2"]
    stage.ends("web.2", BY_SIGTERM)
    stage.runs()
    assert stage.becomes_ready("web.2") == ["SIGTERM web.3"]
    stage.ends("web.3", BY_SIGTERM)
    stage.runs()
    stage.becomes_ready("web.3")
    assert not stage.supervisor.rolling
    assert stage.halted is None


def test_it_halts_when_the_new_copy_has_had_its_time() -> None:
    stage = rolling()
    assert stage.after(30.0) == ["SIGTERM web.1"]
    assert stage.notices == [
        FoundAtFault(named("web.1"), Fault.NOT_READY, 30.0),
        RollingHalted(named("web.1"), 2, Fault.NOT_READY),
    ]
    assert not stage.supervisor.rolling
    assert stage.halted == named("web.1")
    assert stage["web.2"].up
    assert stage.ends("web.1", OK) == ["spawn web.1"], "that one is tried again, the others are left alone"


def test_one_crash_on_its_way_does_not_halt_it_and_a_second_does() -> None:
    stage = rolling()
    stage.ends("web.1")
    stage.runs()
    assert stage.supervisor.rolling
    stage.ends("web.1")
    assert stage.halted == named("web.1")


def test_a_new_rolling_restart_forgets_what_the_last_has_stumbled_over() -> None:
    stage = rolling()
    stage.after(30.0)
    stage.ends("web.1", OK)
    stage.runs()
    stage.becomes_ready("web.1")
    assert stage.supervisor.halted_by is not None
    stage.restart("web", rolling=True)
    assert stage.halted is None
    assert stage.supervisor.halted_by is None


def test_it_passes_over_a_one_shot_that_has_done_what_it_is_for() -> None:
    job = ProcessType("job", restart=RestartRule(RestartPolicy.ON_FAILURE), one_shot=True)
    stage = up(job, "web")
    stage.ends("job.1", OK)
    assert stage.restart(rolling=True) == ["spawn job.1"]
    stage.runs()
    assert stage.ends("job.1", OK) == ["SIGTERM web.1"]
    assert stage.supervisor.rolling


def test_queued_is_not_yet_starting() -> None:
    stage = Stage(WEB.but(depends_on=("db",)), "db")
    assert stage.state("web.1") is Queued
