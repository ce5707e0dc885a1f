"""Every pair of a state and a fact: the page about them is what the code does, and what cannot be changes nothing."""

from __future__ import annotations

import pytest

from procsup.core.events import (
    BecameReady,
    DeadlineReached,
    Fact,
    LeaderExited,
    Outgrew,
    RestartRequested,
    ScaleChange,
    ScaleRequested,
    Spawned,
    SpawnFailed,
    StartRequested,
    StoppedAnswering,
    StopRequested,
    TreeVanished,
)
from procsup.core.lifecycle import observe, settle
from procsup.core.model import (
    STATES,
    BackingOff,
    Clearing,
    Ended,
    InstanceName,
    RequestRefused,
    Running,
    Starting,
    State,
    Stopping,
    UnexpectedEvent,
    UnknownName,
    Warming,
    Wish,
)
from procsup.core.rules import ProcessType, RestartRule
from tests.core.checks import snapshot
from tests.core.stage import CRASH, Stage
from tests.core.states import EXAMPLES, FACTS, NOW, PAGE, WISHES, instance_in, observed, page, picture_of

# All there is to it, by hand: which facts can be true in which state. The rest is unexpected.
POSSIBLE: dict[type[State], set[type[Fact]]] = {
    Starting: {Spawned, SpawnFailed},
    Warming: {LeaderExited},
    Running: {LeaderExited},
    Stopping: {LeaderExited, TreeVanished},
    Clearing: {LeaderExited, TreeVanished},
}
# What may come at any time, and change nothing.
ALWAYS = (DeadlineReached, BecameReady, StoppedAnswering, Outgrew)


def test_docs_states_md_is_what_the_code_does() -> None:
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    assert written == page(), "out of date; write it anew: python -m tests.core.states --write"


def test_every_state_is_walked() -> None:
    assert {type(state) for state in EXAMPLES.values()} == set(STATES)


def test_a_fact_is_unexpected_where_it_cannot_be_true_and_only_there() -> None:
    for state_name, fact_name, outcome in observed():
        state, fact = EXAMPLES[state_name], FACTS[fact_name]
        possible = isinstance(fact, ALWAYS) or type(fact) in POSSIBLE.get(type(state), set())
        if isinstance(state, (Stopping, Clearing)) and not isinstance(fact, ALWAYS):
            # Its leader ends once; the rest of its tree vanishes after that.
            led = state.led if isinstance(state, Clearing) else state.exit is None
            possible = isinstance(fact, LeaderExited if led else TreeVanished)
        assert outcome.unexpected != possible, f"{fact_name} in {state_name}"


@pytest.mark.parametrize("state_name", EXAMPLES)
@pytest.mark.parametrize("fact_name", FACTS)
def test_an_unexpected_event_changes_nothing(state_name: str, fact_name: str) -> None:
    instance = instance_in(EXAMPLES[state_name])
    before = picture_of(instance)
    try:
        observe(instance, FACTS[fact_name], NOW)
    except UnexpectedEvent:
        assert picture_of(instance) == before


@pytest.mark.parametrize("state_name", EXAMPLES)
@pytest.mark.parametrize("wish_name", WISHES)
def test_settling_twice_orders_nothing_new(state_name: str, wish_name: str) -> None:
    instance = instance_in(EXAMPLES[state_name])
    WISHES[wish_name](instance)
    settle(instance, NOW, 0.0)
    before = picture_of(instance)
    assert settle(instance, NOW, 0.0) == []
    assert picture_of(instance) == before
    assert not isinstance(instance.state, Ended)


def test_a_deadline_is_there_where_something_waits_and_nowhere_else() -> None:
    for name, state in EXAMPLES.items():
        waits = isinstance(state, (Warming, Stopping, Clearing, BackingOff)) and "unkillable" not in name
        assert (instance_in(state).deadline is not None) == waits, name


def test_an_early_deadline_changes_nothing() -> None:
    for name, state in EXAMPLES.items():
        instance = instance_in(state)
        if instance.deadline is not None and instance.deadline > NOW:
            assert observe(instance, DeadlineReached(), NOW) == []
            assert instance.state == state, name


def test_only_what_is_up_or_has_been_given_up_counts_as_settled_where_it_is_wanted() -> None:
    settled = {name for name, state in EXAMPLES.items() if instance_in(state).settled}
    assert settled == {"Running", "BackingOff", "BackingOff, wait over", "Exited", "Failed"}


def test_what_is_not_wanted_is_settled_once_nothing_of_it_is_alive() -> None:
    unsettled = {name for name, state in EXAMPLES.items() if not instance_in(state, Wish.DOWN).settled}
    alive = {name for name, state in EXAMPLES.items() if instance_in(state).alive}
    assert unsettled == {name for name in alive if "unkillable" not in name}


# The whole supervisor


def a_busy_stage() -> Stage:
    """One instance in each state that can be seen."""
    limited = ProcessType("limited", restart=RestartRule(max_restarts=0))
    stage = Stage("up", "waits", "stops", "clears", "down", limited, counts={"up": 20})
    while stage.outstanding():
        stage.runs()
    stage.ends("waits.1")
    stage.runs("waits.1")
    stage.ends("waits.1")
    stage.ends("limited.1")
    stage.ends("clears.1", leaving_others=True)
    stage.stop("down")
    stage.ends("down.1")
    stage.stop("stops")
    stage.restart("up", rolling=True)
    stage.ends("up.1")
    return stage


def test_an_unexpected_event_changes_nothing_of_the_whole() -> None:
    stage = a_busy_stage()
    names = [each.name for each in stage.supervisor.instances()] + [InstanceName("up", 99), InstanceName("ghost", 1)]
    refused = 0
    for name in names:
        for fact in (Spawned(name, 1), SpawnFailed(name, CRASH), LeaderExited(name, CRASH), TreeVanished(name)):
            instance = stage.supervisor.instance(name)
            if instance is not None and type(fact) in POSSIBLE.get(type(instance.state), set()):
                continue
            before = snapshot(stage.supervisor)
            with pytest.raises(UnexpectedEvent, match=str(name.number)):
                stage.supervisor.handle(fact, stage.now)
            assert snapshot(stage.supervisor) == before
            refused += 1
    assert refused > 60


@pytest.mark.parametrize(
    "request_",
    [
        ScaleRequested((ScaleChange("up", 3), ScaleChange("ghost", 1))),
        ScaleRequested((ScaleChange("up", 3), ScaleChange("waits", -2, relative=True))),
        ScaleRequested((ScaleChange("up", 10_001),)),
        StartRequested(("up", "ghost")),
        StopRequested(("up", "ghost")),
        StopRequested(("up.99",)),
        RestartRequested(("ghost.1", "up")),
        RestartRequested(("up", "ghost"), rolling=True),
    ],
)
def test_a_refused_request_changes_nothing(request_: ScaleRequested) -> None:
    stage = a_busy_stage()
    before = snapshot(stage.supervisor)
    with pytest.raises(RequestRefused):
        stage.supervisor.handle(request_, stage.now)
    assert snapshot(stage.supervisor) == before


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(UnknownName, match='no process type or instance "wroker"') as refusal:
        Stage("worker").stop("wroker")
    assert refusal.value.name == "wroker"


def test_running_is_up_only_in_the_edition_that_is_wanted() -> None:
    instance = instance_in(Running(7, 1.0, 1))
    assert instance.up
    instance.edition = 2
    assert not instance.up
