"""Histories for the simulated world, for Hypothesis to invent and, when one fails, to make small and readable."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

from hypothesis import strategies as st

from procsup.core.events import (
    DeadlineReached,
    Event,
    ProjectRead,
    RestartRequested,
    ScaleChange,
    ScaleRequested,
    ShutdownRequested,
    StartRequested,
    StopRequested,
)
from procsup.core.rules import ProcessType, RestartPolicy, RestartRule, StopStep, stop_plan
from tests.core.fates import FOR_EVER, SLOWEST_SPAWN, Fate, Hearing, Leaves
from tests.core.world import World

TYPES = {
    "web": ProcessType("web", depends_on=("db",)),
    "worker": ProcessType(
        "worker", restart=RestartRule(RestartPolicy.ON_FAILURE), stop=stop_plan(StopStep(signal.SIGINT, 2.0)), surge=1
    ),
    "db": ProcessType("db", ready_within=30.0, depends_on=("setup",)),
    "setup": ProcessType("setup", restart=RestartRule(RestartPolicy.ON_FAILURE), one_shot=True),
    "queue": ProcessType(
        "queue",
        ready_within=2.0,
        restart=RestartRule(max_restarts=3, window=30.0),
        stop=stop_plan(StopStep(signal.SIGTSTP, 10.0), StopStep(signal.SIGTERM, 15.0)),
        surge=2,
    ),
    "job": ProcessType("job", restart=RestartRule(RestartPolicy.NEVER), stop=stop_plan(StopStep(signal.SIGTERM, 0.0))),
}
NAMES = (
    "web",
    "worker",
    "queue",
    "job",
    "web.1",
    "web.2",
    "worker.1",
    "worker.2",
    "queue.1",
    "job.1",
    "nobody",
    "db",
    "setup",
    "db.1",
)
LIFETIMES = (FOR_EVER, 0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 9.999, 10.0, 60.0, 900.0, 86_400.0, 300_000.0)
FEW = (0, 1, 2, 3, 4)
MANY = (0, 1, 2, 20, 99, 100, 101, 130)
PAUSES = (0.0, 0.001, 0.05, 0.2, 0.25, 1.0, 3.0, 12.0, 20.0, 70.0, 3600.0, 200_000.0)


class Reload(NamedTuple):
    """The files have changed: these types, in this order, these of them with a new command."""

    types: tuple[str, ...]
    changed: str | None = None


class Happens(NamedTuple):
    """SIGTERM from somebody else, for all instances of a type."""

    sigterm_to: str


class Step(NamedTuple):
    """After a pause, or (None) at once after the next thing that happens by itself."""

    pause: float | None
    what: Event | Reload | Happens


@dataclass(frozen=True, slots=True)
class History:
    types: tuple[str, ...]
    counts: dict[str, int]
    kept: dict[str, int]
    fates: tuple[Fate, ...]
    steps: tuple[Step, ...]
    end: ShutdownRequested
    force_after: float | None = None
    keep_going: bool = True
    late: float = 0.0
    deadlines_first: bool = False
    seed: int = 0
    max_instances: int = 10_000


class Teller:
    """Lets a history come true in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._versions = dict.fromkeys(TYPES, 0)

    def read(self, reload: Reload, counts: dict[str, int] | None = None, kept: dict[str, int] | None = None) -> None:
        if reload.changed is not None:
            self._versions[reload.changed] += 1
        types = tuple(_version(TYPES[name], self._versions[name]) for name in reload.types)
        # The files say what a new type gets; they must not undo what was scaled.
        counts = dict.fromkeys(reload.types, 2) if counts is None else counts
        self.world.request(ProjectRead(types, counts, self.world.will.kept if kept is None else kept))

    def do(self, what: Event | Reload | Happens) -> None:
        match what:
            case Reload():
                self.read(what)
            case Happens(type_):
                self.world.signal_behind_our_back(type_)
            case _:
                self.world.request(what)


def _version(type_: ProcessType, version: int) -> ProcessType:
    return type_.but(version=str(version))


def come_true(history: History, begun: Callable[[World], None] = lambda _: None) -> World:
    """`begun` gets the world before anything has happened in it."""
    world = World(
        history.fates,
        seed=history.seed,
        keep_going=history.keep_going,
        late=history.late,
        deadlines_first=history.deadlines_first,
        max_instances=history.max_instances,
    )
    begun(world)
    teller = Teller(world)
    teller.read(Reload(history.types), history.counts, history.kept)
    for pause, what in history.steps:
        if pause is None:
            world.step()
        else:
            world.let_pass(pause)
        if world.quit is not None:
            return world
        teller.do(what)
    if world.quit is None and not world.will.shutting_down:
        world.come_to_rest()
    if world.quit is None and history.force_after is not None:
        world.request(history.end)
        world.let_pass(history.force_after)
    if world.quit is None:
        world.shut_down(history.end.exit_code, history.end.force or history.force_after is not None)
    return world


def fates() -> st.SearchStrategy[Fate]:
    return st.builds(
        Fate,
        st.sampled_from(LIFETIMES),
        st.sampled_from((1, 0, 3, 127, 143, 137)),
        st.sampled_from(get_args(Hearing)),
        st.sampled_from(("nobody", *get_args(Leaves))),
        st.sampled_from((False, False, False, False, True)),
        st.sampled_from((0.0, 0.001, SLOWEST_SPAWN)),
        st.sampled_from((0.0, 0.001, 0.5, 1.999, 2.0, 29.0, 40.0, FOR_EVER)),
        st.sampled_from((FOR_EVER, FOR_EVER, FOR_EVER, 0.7, 11.0)),
        st.sampled_from((FOR_EVER, FOR_EVER, FOR_EVER, 5.0, 12.0)),
    )


def _names() -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map(tuple)


def _changes(amounts: Sequence[int]) -> st.SearchStrategy[ScaleRequested]:
    type_ = st.sampled_from((*TYPES, *TYPES, "nobody"))
    absolute = st.builds(ScaleChange, type_, st.sampled_from(amounts))
    by = st.sampled_from([sign * amount for amount in amounts for sign in (1, -1)])
    relative = st.builds(ScaleChange, type_, by, st.just(True))
    return st.lists(absolute | relative, min_size=1, max_size=2).map(lambda changes: ScaleRequested(tuple(changes)))


def _types(least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(sorted(TYPES)), min_size=least, max_size=len(TYPES), unique=True).map(tuple)


def commands(amounts: Sequence[int] = FEW) -> st.SearchStrategy[Event | Reload | Happens]:
    kinds: Iterable[st.SearchStrategy[Event | Reload | Happens]] = (
        _changes(amounts),
        _changes(amounts),
        st.builds(StartRequested, _names()),
        st.builds(StopRequested, _names()),
        st.builds(RestartRequested, _names() | st.just(()), st.booleans()),
        st.builds(Reload, _types(), st.none() | st.sampled_from(sorted(TYPES))),
        st.builds(Happens, st.sampled_from(sorted(TYPES))),
        st.just(DeadlineReached()),  # too early, or late: it must not matter
        _shutdowns(),
    )
    return st.one_of(*kinds)


def _shutdowns() -> st.SearchStrategy[ShutdownRequested]:
    return st.builds(ShutdownRequested, st.sampled_from((0, 130)), st.booleans())


def histories(amounts: Sequence[int] = FEW, longest: int = 8) -> st.SearchStrategy[History]:
    step = st.builds(Step, st.none() | st.sampled_from(PAUSES), commands(amounts))
    counts = st.dictionaries(st.sampled_from(sorted(TYPES)), st.sampled_from(amounts), max_size=4)
    return st.builds(
        History,
        types=_types(least=1),
        counts=counts,
        kept=st.just({}) | counts,
        fates=st.lists(fates(), min_size=1, max_size=4).map(tuple),
        steps=st.lists(step, max_size=longest).map(tuple),
        end=_shutdowns(),
        force_after=st.sampled_from((None, None, 0.0, 1.0, 12.0)),
        keep_going=st.booleans(),
        late=st.sampled_from((0.0, 0.0, 0.004)),
        deadlines_first=st.booleans(),
        seed=st.integers(0, 3),
        max_instances=st.sampled_from((10_000, 10_000, 2 * max(amounts))),
    )
