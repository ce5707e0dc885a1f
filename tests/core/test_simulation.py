"""Random histories in a simulated world: whatever happens, the promises of the core hold.

The promises are in `world.py` and `checks.py`; what can happen is in `histories.py` and `fates.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from procsup.core.events import Event
from tests.core.fates import Fate
from tests.core.histories import (
    MANY,
    PAUSES,
    TYPES,
    Happens,
    History,
    Reload,
    Teller,
    come_true,
    commands,
    fates,
    histories,
)
from tests.core.world import World

SMALL_HISTORIES = 10_000
BIG_HISTORIES = 300
STEP_BY_STEP = 400

_relaxed = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def print_past_pytest(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}")

    return print_past_pytest


@pytest.mark.timeout(1200)
def test_the_promises_hold_in_ten_thousand_histories(say: Callable[[str], None]) -> None:
    ran = quits_by_itself = spawns = 0

    @settings(_relaxed, max_examples=SMALL_HISTORIES)
    @given(histories())
    def holds(history: History) -> None:
        nonlocal ran, quits_by_itself, spawns
        world = come_true(history)
        ran += 1
        spawns += len(world.spawns)
        quits_by_itself += not world.will.shutting_down

    begun = time.monotonic()
    holds()
    took = time.monotonic() - begun
    say(f"{ran} histories in {took:.0f} s; {spawns} processes spawned; {quits_by_itself} ended by themselves")
    assert ran >= SMALL_HISTORIES


@pytest.mark.timeout(600)
def test_the_promises_hold_for_formations_beyond_a_hundred_of_a_type(say: Callable[[str], None]) -> None:
    ran = most = 0

    @settings(_relaxed, max_examples=BIG_HISTORIES)
    @given(histories(MANY, longest=5))
    def holds(history: History) -> None:
        nonlocal ran, most
        world = come_true(history)
        ran += 1
        most = max(most, max((spawn.name.number for spawn in world.spawns), default=0))

    holds()
    say(f"{ran} big histories, with up to {most} instances of a type")
    assert ran >= BIG_HISTORIES
    assert most > 100


class StepByStep(RuleBasedStateMachine):
    """The same world, in which Hypothesis decides one step after the other, and shows a failure as a program."""

    world: World
    teller: Teller

    @initialize(some=st.lists(fates(), min_size=1, max_size=4), keep_going=st.booleans())
    def begin(self, some: list[Fate], keep_going: bool) -> None:
        self.world = World(some, keep_going=keep_going)
        self.teller = Teller(self.world)
        self.teller.read(Reload(tuple(TYPES)), {"web": 2, "job": 0})

    @precondition(lambda self: self.world.quit is None)
    @rule(what=commands())
    def command(self, what: Event | Reload | Happens) -> None:
        self.teller.do(what)

    @precondition(lambda self: self.world.quit is None)
    @rule()
    def next_thing_happens(self) -> None:
        self.world.step()

    @precondition(lambda self: self.world.quit is None)
    @rule(seconds=st.sampled_from(PAUSES))
    def time_passes(self, seconds: float) -> None:
        self.world.let_pass(seconds)

    @precondition(lambda self: self.world.quit is None and not self.world.will.shutting_down)
    @rule()
    def all_is_quiet(self) -> None:
        self.world.come_to_rest()
        self.world.be_restless()

    @precondition(lambda self: self.world.quit is not None)
    @rule()
    def it_has_quit(self) -> None:
        pass

    def teardown(self) -> None:
        if hasattr(self, "world") and self.world.quit is None:
            self.world.shut_down()


@pytest.mark.timeout(600)
def test_the_promises_hold_step_by_step() -> None:
    bounds = settings(_relaxed, max_examples=STEP_BY_STEP, stateful_step_count=40)
    run_state_machine_as_test(StepByStep, settings=bounds)
