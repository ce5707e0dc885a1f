"""Stopping: signal, grace, SIGKILL, and a shutdown that ends in bounded time whatever the children do."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from procsup.core.actions import KillFailed, LeftOthers, ShutdownBegun, StillWaiting, StopDone
from procsup.core.events import Event, ProjectRead, RestartRequested, ScaleChange, ScaleRequested, StartRequested
from procsup.core.model import RequestRefused, Stopped
from procsup.core.rules import UNKILLABLE_AFTER, ProcessType, RestartPolicy, RestartRule, StopStep, stop_plan
from tests.core.stage import BY_SIGKILL, BY_SIGTERM, CRASH, Stage, once, up

SEQUENCE = stop_plan(StopStep(signal.SIGTSTP, 10.0), StopStep(signal.SIGTERM, 15.0))


def test_sigterm_then_fifteen_seconds_then_sigkill() -> None:
    stage = up("web")
    assert stage.stop("web") == ["SIGTERM web.1"]
    assert stage["web.1"].kill_at == stage.now + 15.0
    assert stage.after(14.999) == []
    assert stage.after(0.002) == ["SIGKILL web.1"]
    assert stage["web.1"].kill_at is None
    stage.ends("web.1", BY_SIGKILL)
    (done,) = stage.notices
    assert isinstance(done, StopDone)
    assert done.killed_after == pytest.approx(15.0, abs=0.01)


def test_a_type_can_have_its_own_sequence() -> None:
    stage = up(ProcessType("web", stop=SEQUENCE))
    assert stage.stop("web") == ["SIGTSTP web.1"]
    assert stage["web.1"].kill_at == stage.now + 25.0
    assert stage.after(9.999) == []
    assert stage.after(0.001) == ["SIGTERM web.1"]
    assert stage.after(14.999) == []
    assert stage.after(0.002) == ["SIGKILL web.1"]


def test_asked_to_stop_twice_it_gets_one_signal() -> None:
    stage = up("web")
    stage.stop("web")
    assert stage.stop("web") == []
    stage.after(10.0)
    stage.stop("web.1")
    assert stage.after(5.0) == ["SIGKILL web.1"], "its grace does not begin anew"


def test_all_stop_in_parallel() -> None:
    stage = up("web", "worker", counts={"web": 2})
    assert sorted(stage.shut_down()) == ["SIGTERM web.1", "SIGTERM web.2", "SIGTERM worker.1"]


def test_it_is_stopped_only_when_nothing_of_its_tree_is_alive() -> None:
    stage = up("web")
    stage.stop("web")
    stage.ends("web.1", BY_SIGTERM, leaving_others=True)
    assert stage.state("web.1") is not Stopped
    assert stage.after(15.0) == ["SIGKILL web.1"], "its grace goes on for the rest of the tree"
    stage.others_gone("web.1")
    assert stage.state("web.1") is Stopped
    assert [type(each) for each in stage.notices] == [StopDone]


def test_what_a_crash_leaves_behind_is_stopped_before_the_next_copy() -> None:
    stage = up("web")
    assert stage.ends("web.1", CRASH, leaving_others=True) == ["SIGTERM web.1"]
    assert isinstance(stage.notices[0], LeftOthers)
    assert stage.after(14.9) == []
    assert stage.after(0.2) == ["SIGKILL web.1"]
    assert stage.others_gone("web.1") == ["spawn web.1"]


@pytest.mark.parametrize("unwanted", [lambda stage: stage.scale("web=0"), lambda stage: stage.stop("web")])
def test_what_was_not_wanted_any_more_has_stopped_and_did_not_end_unasked(unwanted: Callable[[Stage], object]) -> None:
    stage = up("web")
    stage.ends("web.1", CRASH, leaving_others=True)
    unwanted(stage)
    stage.others_gone("web.1")
    assert [type(each) for each in stage.notices] == [StopDone]

    stage = Stage("web")
    unwanted(stage)
    stage.cannot_start("web.1")
    assert [type(each) for each in stage.notices] == [StopDone]


def test_what_outlives_sigkill_is_reported_once_and_not_waited_for() -> None:
    stage = up("web")
    stage.stop("web")
    stage.after(15.0)
    stage.after(UNKILLABLE_AFTER)
    assert [type(each) for each in stage.notices] == [KillFailed]
    assert stage.wait() is None
    assert stage["web.1"].alive, "and there is no second copy of it"
    assert stage.start("web") == []
    assert stage.ends("web.1", BY_SIGKILL) == ["spawn web.1"]


# Shutdown


def test_it_quits_when_the_last_one_is_gone() -> None:
    stage = up("web", "worker")
    stage.shut_down(130)
    assert stage.ends("web.1", BY_SIGTERM) == []
    assert stage.ends("worker.1", CRASH) == ["quit 130"], "how they end does not matter when they were told to"


def test_with_nothing_alive_it_quits_at_once() -> None:
    assert Stage().shut_down() == ["quit 0"]


def test_what_is_about_to_start_is_stopped_as_soon_as_it_runs() -> None:
    stage = Stage("web", counts={"web": 17})
    assert stage.shut_down() == []
    assert stage.runs("web.1") == ["SIGTERM web.1"], "and the seventeenth is not spawned"


def test_the_first_word_says_the_exit_code() -> None:
    stage = up("web")
    stage.shut_down(0)
    stage.shut_down(130)
    assert stage.ends("web.1", BY_SIGTERM) == ["quit 0"]


def test_a_forced_shutdown_kills_at_once() -> None:
    stage = up("web", "worker")
    assert sorted(stage.shut_down(force=True)) == ["SIGKILL web.1", "SIGKILL worker.1"]


def test_a_second_word_forces_what_still_has_its_grace() -> None:
    stage = up(ProcessType("web", stop=SEQUENCE), "worker")
    stage.shut_down()
    stage.after(1.0)
    assert sorted(stage.shut_down(force=True)) == ["SIGKILL web.1", "SIGKILL worker.1"]
    assert stage.after(UNKILLABLE_AFTER) == ["quit 1"]


def test_a_forced_shutdown_kills_what_a_crash_left_behind() -> None:
    stage = up("web")
    stage.ends("web.1", CRASH, leaving_others=True)
    assert stage.shut_down(force=True) == ["SIGKILL web.1"]


def test_what_starts_during_a_forced_shutdown_is_killed() -> None:
    stage = Stage("web")
    stage.shut_down(force=True)
    assert stage.runs("web.1") == ["SIGKILL web.1"]


def test_an_impatient_person_does_not_put_the_end_off() -> None:
    stage = up("web")
    stage.shut_down(130)
    stage.shut_down(force=True)
    said = []
    for _ in range(20):
        said += stage.after(0.5)
        if not said:
            assert stage.shut_down(force=True) == []
    assert said == ["quit 1"]


def test_nothing_can_be_asked_for_during_a_shutdown() -> None:
    stage = up("web")
    stage.shut_down()
    refused: list[Event] = [
        ScaleRequested((ScaleChange("web", 2),)),
        StartRequested(("web",)),
        RestartRequested(),
        ProjectRead((ProcessType("web"),), {}, {}),
    ]
    for request in refused:
        with pytest.raises(RequestRefused, match="shutting down"):
            stage.tell(request)
    assert stage.stop("web") == []


def test_while_it_waits_it_says_for_whom_and_how_long() -> None:
    stage = up("web", ProcessType("worker", stop=SEQUENCE))
    stage.shut_down()
    assert isinstance(stage.notices[0], ShutdownBegun)
    stage.after(1.999)
    stage.notices = []
    stage.after(0.001)
    (first,) = stage.notices
    assert isinstance(first, StillWaiting)
    assert (str(first.name), first.others) == ("web.1", 1)
    assert first.kill_in == pytest.approx(13.0)
    stage.ends("web.1", BY_SIGTERM)
    stage.after(5.0)
    (second,) = stage.notices
    assert isinstance(second, StillWaiting)
    assert (str(second.name), second.others) == ("worker.1", 0)
    assert second.kill_in == pytest.approx(18.0)


def test_the_unkillable_make_the_exit_code_one() -> None:
    stage = up("web", "worker")
    stage.shut_down()
    stage.ends("web.1", BY_SIGTERM)
    assert stage.after(15.0 + UNKILLABLE_AFTER) == ["SIGKILL worker.1", "quit 1"]


def test_it_quits_once() -> None:
    stage = up("web")
    stage.shut_down()
    assert stage.after(20.0) == ["SIGKILL web.1", "quit 1"]
    assert stage.ends("web.1", BY_SIGKILL) == []
    assert stage.shut_down() == []


def test_a_failure_that_ends_all_gives_way_to_the_exit_code_a_person_asks_for() -> None:
    stage = up(once(), "web")
    assert stage.ends("job.1", CRASH) == ["SIGTERM web.1"]
    stage.shut_down(130)
    assert stage.ends("web.1", BY_SIGTERM) == ["quit 130"]


def test_a_failure_that_may_be_our_own_stop_ends_all_only_when_no_stop_follows() -> None:
    stage = up(once(), "web")
    assert stage.ends("job.1", BY_SIGTERM) == []
    assert stage.after(0.2) == []
    assert stage.after(0.06) == ["SIGTERM web.1"]
    assert stage.ends("web.1", BY_SIGTERM) == [f"quit {BY_SIGTERM.code}"]


def test_where_our_own_stop_follows_it_counts() -> None:
    stage = up(once(), "web")
    stage.ends("job.1", BY_SIGTERM)
    assert stage.shut_down() == ["SIGTERM web.1"]
    assert stage.ends("web.1", BY_SIGTERM) == ["quit 0"]


def test_a_restart_takes_back_what_was_in_doubt_and_how_the_new_copy_fails_counts() -> None:
    stage = up(ProcessType("job", restart=RestartRule(RestartPolicy.NEVER)), "web")
    stage.ends("job.1", BY_SIGTERM)
    stage.restart("job")
    stage.cannot_start("job.1")
    stage.ends("web.1", BY_SIGTERM)
    assert stage.orders == ["quit 127"]
