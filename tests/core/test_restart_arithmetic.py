"""When the next copy comes, to the millisecond: what random histories do not catch."""

from __future__ import annotations

import pytest

from procsup.core.actions import EndedUnasked
from procsup.core.lifecycle import backoff
from procsup.core.model import BackingOff, Exit, Exited, Failed, Fault, Running
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule
from tests.core.stage import BY_SIGKILL, BY_SIGTERM, CRASH, OK, Stage

FIFTH_OF_A_SECOND = 0.2
IN_A_ROW = [(0, 0), (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (20, 60), (10_000, 60)]


def crashing(*, rule: RestartRule | None = None) -> Stage:
    stage = Stage(ProcessType("web", restart=rule or RestartRule()), "other")
    stage.runs()
    return stage


def crash(stage: Stage, after: float = FIFTH_OF_A_SECOND, exit_: Exit = CRASH) -> float | None:
    """Let web.1 live for so long and die; the wait that is announced."""
    stage.after(after)
    stage.ends("web.1", exit_)
    (notice,) = (each for each in stage.notices if isinstance(each, EndedUnasked))
    assert notice.uptime == pytest.approx(after)
    if notice.next_try_in == 0.0:
        assert stage.orders == ["spawn web.1"]
        stage.runs()
    elif notice.next_try_in is not None:
        assert stage.orders == []
        assert stage.wait() == pytest.approx(notice.next_try_in)
    return notice.next_try_in


def wait_it_out(stage: Stage) -> None:
    wait = stage.wait()
    assert wait is not None
    assert stage.after(wait) == ["spawn web.1"]
    stage.runs()


@pytest.mark.parametrize(("streak", "seconds"), IN_A_ROW)
def test_the_wait_after_so_many_restarts_in_a_row(streak: int, seconds: float) -> None:
    assert backoff(streak, 0.0) == seconds


@pytest.mark.parametrize(("streak", "seconds"), IN_A_ROW)
def test_jitter_is_ten_per_cent_at_most(streak: int, seconds: float) -> None:
    assert backoff(streak, 1.0) == pytest.approx(seconds * 1.1)
    assert backoff(streak, -1.0) == pytest.approx(seconds * 0.9)


def test_a_crash_loop_waits_longer_and_longer() -> None:
    stage = crashing()
    waits: list[float] = []
    for _ in range(10):
        wait = crash(stage)
        assert wait is not None
        waits.append(wait)
        if wait:
            wait_it_out(stage)
    assert waits == [pytest.approx(wait, rel=0.1) for wait in (0, 1, 2, 4, 8, 16, 32, 60, 60, 60)]
    assert stage["web.1"].restarts == 10


def test_the_jitter_is_thrown_anew_each_time_and_stays_within_its_bounds() -> None:
    stage = crashing()
    factors: list[float] = []
    for expected in (0, 1, 2, 4, 8, 16, 32, *[60] * 40):
        wait = crash(stage)
        assert wait is not None
        if wait:
            factors.append(wait / expected)
            wait_it_out(stage)
    assert all(0.9 <= factor <= 1.1 for factor in factors)
    assert len(set(factors)) == len(factors)
    assert min(factors) < 0.95
    assert max(factors) > 1.05


@pytest.mark.parametrize(
    ("uptime", "at_once"), [(9.9, False), (9.999, False), (10.0, True), (10.001, True), (1e6, True)]
)
def test_ten_seconds_up_and_the_next_restart_is_at_once_again(uptime: float, at_once: bool) -> None:
    stage = crashing()
    assert crash(stage) == 0.0
    assert crash(stage) == pytest.approx(1, rel=0.1)
    wait_it_out(stage)
    stage.now = 0.0  # so that the sums of the clock are exact
    stage["web.1"].state = Running(99, 0.0, stage["web.1"].edition)
    wait = crash(stage, after=uptime)
    assert wait == (0.0 if at_once else pytest.approx(2, rel=0.1))
    if at_once:
        assert crash(stage) == pytest.approx(1, rel=0.1), "and then it counts from the beginning"


def test_the_wait_begins_when_the_last_of_its_tree_is_gone() -> None:
    stage = crashing()
    assert crash(stage) == 0.0
    stage.after(FIFTH_OF_A_SECOND)
    assert stage.ends("web.1", leaving_others=True) == ["SIGTERM web.1"]
    stage.after(3.0)
    assert stage.others_gone("web.1") == []
    (notice,) = (each for each in stage.notices if isinstance(each, EndedUnasked))
    assert notice.uptime == pytest.approx(FIFTH_OF_A_SECOND), "what it left behind does not count as staying up"
    assert stage.wait() == pytest.approx(1, rel=0.1)


def test_a_copy_that_cannot_be_started_waits_like_one_that_crashes() -> None:
    stage = Stage("web", "other")
    stage.runs("other.1")
    assert stage.cannot_start("web.1") == ["spawn web.1"]
    for seconds in (1, 2, 4):
        assert stage.cannot_start("web.1") == []
        assert stage.wait() == pytest.approx(seconds, rel=0.1)
        assert stage.after(stage.wait() or 0.0) == ["spawn web.1"]
    assert stage["web.1"].last_exit == Exit(127, error="no such file")


# Too much memory, where only we hold it to its limit


def outgrow(stage: Stage, after: float, seen: float | None = None) -> float | None:
    """Let web.1 be found too large after so long (`seen` so long after its start), and end; the wait that follows."""
    begun = stage.now
    stage.after(after)
    assert stage.outgrows("web.1", None if seen is None else begun + seen) == ["SIGTERM web.1"]
    assert stage.outgrows("web.1") == [], "once is enough"
    stage.after(3.0)
    stage.ends("web.1", OK)
    (notice,) = (each for each in stage.notices if isinstance(each, EndedUnasked))
    assert notice.exit == Exit(1, fault=Fault.TOO_LARGE, because="300 MiB, the limit is 256 MiB")
    if notice.next_try_in == 0.0:
        stage.runs()
    return notice.next_try_in


def test_a_type_whose_start_alone_is_too_large_waits_longer_and_longer() -> None:
    stage = crashing()
    waits: list[float] = []
    for _ in range(9):
        wait = outgrow(stage, after=5.0)
        assert wait is not None
        waits.append(wait)
        if wait:
            wait_it_out(stage)
    assert waits == [pytest.approx(wait, rel=0.1) for wait in (0, 1, 2, 4, 8, 16, 32, 60, 60)]
    assert stage["web.1"].restarts == 9


@pytest.mark.parametrize(
    ("after", "seen", "at_once"),
    [
        (9.9, None, False),
        (10.0, None, True),
        (500.0, None, True),
        (500.0, 9.9, False),  # it had to wait until another was back
        (500.0, 10.0, True),
    ],
)
def test_who_was_within_its_limit_for_ten_seconds_comes_back_at_once(
    after: float, seen: float | None, at_once: bool
) -> None:
    stage = crashing()
    assert outgrow(stage, after=5.0) == 0.0
    assert outgrow(stage, after=5.0) == pytest.approx(1, rel=0.1)
    wait_it_out(stage)
    stage.now = 0.0  # so that the sums of the clock are exact
    stage["web.1"].state = Running(99, 0.0, stage["web.1"].edition)
    assert outgrow(stage, after, seen) == (0.0 if at_once else pytest.approx(2, rel=0.1))


def test_crashes_and_too_much_memory_are_counted_together() -> None:
    stage = crashing(rule=RestartRule(max_restarts=2, window=60.0))
    assert crash(stage) == 0.0
    assert outgrow(stage, after=5.0) == pytest.approx(1, rel=0.1)
    wait_it_out(stage)
    assert outgrow(stage, after=5.0) is None
    assert stage.state("web.1") is Failed


def test_who_is_not_to_be_restarted_is_not_for_its_memory_either() -> None:
    stage = Stage(ProcessType("web", restart=RestartRule(RestartPolicy.NEVER)), "other", keep_going=True)
    stage.runs()
    assert outgrow(stage, after=50.0) is None
    assert stage.state("web.1") is Exited


# 250 ms: whoever stops us may have stopped our children first


@pytest.mark.parametrize("exit_", [BY_SIGTERM, Exit(143), Exit(130, 2), Exit(130)])
def test_who_dies_of_sigterm_or_sigint_is_restarted_after_a_quarter_of_a_second(exit_: Exit) -> None:
    stage = crashing()
    assert crash(stage, exit_=exit_) == 0.25
    assert stage.after(0.2499) == []
    assert stage.after(0.0002) == ["spawn web.1"]


def test_who_dies_of_anything_else_is_restarted_at_once() -> None:
    for exit_ in (OK, CRASH, BY_SIGKILL, Exit(139, 11), Exit(129, 1)):
        assert crash(crashing(), exit_=exit_) == 0.0


@pytest.mark.parametrize("later", [0.0, 0.001, 0.249])
def test_a_shutdown_within_these_250_ms_finds_it_gone_for_good(later: float) -> None:
    stage = crashing()
    crash(stage, exit_=BY_SIGTERM)
    stage.after(later)
    assert stage.shut_down() == ["SIGTERM other.1"]
    stage.after(0.3)
    assert stage.ends("other.1", BY_SIGTERM) == ["quit 0"]


def test_a_wait_that_is_longer_anyway_is_not_made_longer() -> None:
    stage = crashing()
    crash(stage)
    assert crash(stage, exit_=BY_SIGTERM) == pytest.approx(1, rel=0.1)


# max_restarts within restart_window


def test_it_gives_up_after_max_restarts_within_the_window() -> None:
    stage = crashing(rule=RestartRule(max_restarts=2, window=60.0))
    assert crash(stage) == 0.0
    assert crash(stage) == pytest.approx(1, rel=0.1)
    wait_it_out(stage)
    assert crash(stage) is None
    assert stage.state("web.1") is Failed
    assert stage.supervisor.deadline is None
    assert stage.after(1e6) == []


def test_with_no_restarts_allowed_the_first_end_is_the_last() -> None:
    stage = crashing(rule=RestartRule(max_restarts=0))
    assert crash(stage) is None
    assert stage.state("web.1") is Failed


@pytest.mark.parametrize(("second_end_after", "gives_up"), [(59.0, True), (59.999, True), (60.0, False), (61.0, False)])
def test_what_lies_a_window_back_does_not_count(second_end_after: float, gives_up: bool) -> None:
    stage = crashing(rule=RestartRule(max_restarts=1, window=60.0))
    stage.now = 0.0
    stage["web.1"].state = Running(99, 0.0, stage["web.1"].edition)
    assert crash(stage, after=0.0) == 0.0
    wait = crash(stage, after=second_end_after)
    assert wait is None if gives_up else wait == 0.0


def test_without_max_restarts_it_never_gives_up() -> None:
    stage = crashing()
    for _ in range(1000):
        wait = crash(stage, after=0.001)
        assert wait is not None
        if wait:
            wait_it_out(stage)


# Policies


@pytest.mark.parametrize(
    ("policy", "exit_", "comes_back"),
    [
        (RestartPolicy.ALWAYS, OK, True),
        (RestartPolicy.ALWAYS, CRASH, True),
        (RestartPolicy.ON_FAILURE, OK, False),
        (RestartPolicy.ON_FAILURE, CRASH, True),
        (RestartPolicy.ON_FAILURE, BY_SIGKILL, True),
        (RestartPolicy.NEVER, OK, False),
        (RestartPolicy.NEVER, CRASH, False),
    ],
)
def test_the_policy_says_who_comes_back(policy: RestartPolicy, exit_: Exit, comes_back: bool) -> None:
    stage = Stage(ProcessType("web", restart=RestartRule(policy)), "other", keep_going=True)
    stage.runs()
    assert stage.ends("web.1", exit_) == (["spawn web.1"] if comes_back else [])
    assert comes_back or stage.state("web.1") is Exited


# A person comes first


@pytest.mark.parametrize("command", ["start", "restart"])
def test_a_command_cancels_the_wait_and_what_led_to_it(command: str) -> None:
    stage = crashing()
    for _ in range(4):
        if crash(stage):
            wait_it_out(stage)
    assert crash(stage) == pytest.approx(8, rel=0.1)
    assert stage.state("web.1") is BackingOff
    assert getattr(stage, command)("web") == ["spawn web.1"]
    assert stage.supervisor.deadline is None
    stage.runs()
    assert crash(stage) == 0.0, "the count begins anew"
    assert crash(stage) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("command", ["start", "restart"])
def test_a_command_brings_back_what_was_given_up_with_all_its_tries(command: str) -> None:
    stage = crashing(rule=RestartRule(max_restarts=1))
    assert crash(stage) == 0.0
    assert crash(stage) is None
    assert getattr(stage, command)("web.1") == ["spawn web.1"]
    stage.runs()
    assert crash(stage) == 0.0
    assert crash(stage) is None


def test_a_restart_asked_for_is_not_counted_as_one_of_its_own() -> None:
    stage = crashing()
    stage.restart("web")
    stage.ends("web.1", BY_SIGTERM)
    assert stage["web.1"].restarts == 0


def test_stopping_what_waits_cancels_the_wait() -> None:
    stage = crashing()
    crash(stage)
    crash(stage)
    assert stage.stop("web") == []
    assert stage.supervisor.deadline is None
    assert stage.after(100.0) == []
