"""What a supervisor knows, handed to another: whatever happened before and happens next, both give the same orders."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from procsup.core import agenda, ending, lifecycle, model, numbers, rolling, roster, turns
from procsup.core import supervisor as supervisor_module
from procsup.core.actions import Action
from procsup.core.events import Event, RestartRequested
from procsup.core.model import Instance, RequestRefused
from procsup.core.rolling import RollingRestart
from procsup.core.roster import Roster
from procsup.core.snapshot import Snapshot, restore, take_snapshot
from procsup.core.supervisor import Supervisor
from procsup.runtime.upgrade.document import FORMAT, Header, write
from procsup.runtime.upgrade.document_reader import read
from procsup.runtime.upgrade.handover import ALIASES
from procsup.runtime.upgrade.heirlooms import CLASSES
from tests.core import histories
from tests.core.stage import BY_SIGTERM, up
from tests.core.world import World

HISTORIES = 600
BIG_HISTORIES = 150


def through_a_document(snapshot: Snapshot) -> Snapshot:
    found = read(write(Header(FORMAT, "1", "python", (), ()), snapshot, ALIASES), CLASSES)
    assert isinstance(found, Snapshot)
    assert found == snapshot
    return found


def books(supervisor: Supervisor) -> dict[str, object]:
    """What a snapshot leaves out: it follows from the instances. Empty is the same as not there."""
    turns, roster = supervisor._turns, supervisor._roster
    return {
        "starting": set(turns._starting),
        "lacking": {type_: set(there) for type_, there in turns._lacking.items() if there},
        "awaited": set(supervisor._ending.awaited),
        "given up": list(supervisor._given_up.items()),
        "ports": roster._ports._taken,
        "unique ints": roster._unique_ints._taken,
        "lowest free": roster._unique_ints._lowest_free,
    }


class Relay(Supervisor):
    """Now and then replaced by one that was restored; beside it runs another, which is not, and says what is right."""

    def __init__(self, first: Supervisor, when: Sequence[bool]) -> None:
        self.__dict__ = first.__dict__
        self._unbroken = first
        self._runner = restore(through_a_document(take_snapshot(first)))
        self._when = list(when)
        self._count = 0

    def handle(self, event: Event, now: float) -> list[Action]:
        self._count += 1
        if self._when[self._count % len(self._when)]:
            snapshot = take_snapshot(self._runner)
            self._runner = restore(through_a_document(snapshot))
            assert take_snapshot(self._runner) == snapshot
            assert books(self._runner) == books(self._unbroken)
        try:
            expected = self._unbroken.handle(event, now)
        except RequestRefused as refused:
            with pytest.raises(type(refused), match=re.escape(str(refused))):
                self._runner.handle(event, now)
            raise
        assert self._runner.handle(event, now) == expected
        assert self._runner.deadline == self._unbroken.deadline
        return expected


_relaxed = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@settings(_relaxed, max_examples=HISTORIES)
@given(histories.histories(), st.lists(st.booleans(), min_size=1, max_size=7))
@pytest.mark.timeout(600)
def test_a_restored_supervisor_gives_the_same_orders_for_ever(history: histories.History, when: list[bool]) -> None:
    histories.come_true(history, lambda world: _relay(world, when))


@settings(_relaxed, max_examples=BIG_HISTORIES)
@given(histories.histories(histories.MANY, longest=5), st.integers(2, 60))
@pytest.mark.timeout(600)
def test_so_does_one_with_more_than_a_hundred_of_a_type(history: histories.History, every: int) -> None:
    histories.come_true(history, lambda world: _relay(world, [True, *[False] * every]))


def _relay(world: World, when: Sequence[bool]) -> None:
    world.supervisor = Relay(world.supervisor, when)


def test_all_that_the_core_remembers_is_in_the_snapshot_or_follows_from_it() -> None:
    """Whoever adds something to remember decides here what becomes of it in an upgrade."""
    remembered = {  # what is in the snapshot; what follows from the instances
        "Supervisor": ("_keep_going _roster _kept _dice _turns _given_up _rolling _ending _quit", "_agenda"),
        "Roster": ("usual_most most _types _counts _ports _unique_ints by_name", ""),
        "PortBook": ("_base _positions", "_taken _free_behind"),
        "UniqueInts": ("", "_taken _lowest_free"),
        "Turns": ("_queue _waiting", "_starting _lacking"),
        "Rolling": ("_roster _settled _lacks _settle _restart halted halted_by", ""),
        "RollingRestart": ("_settled _waiting _current _spared", ""),
        "Ending": ("exit_code _provisional _reminder _doubt", "awaited"),
        "Dice": ("_state", ""),
        "Agenda": ("", "_entries _noted"),
    }
    stage = up("web", counts={"web": 2})
    stage.supervisor.handle(RestartRequested(("web",), rolling=True), stage.now)
    top = stage.supervisor
    restart = top._rolling._restart
    assert isinstance(restart, RollingRestart)
    found = [top, top._roster, top._roster._ports, top._roster._unique_ints, top._turns, top._rolling, restart]
    for each in (*found, top._ending, top._dice, top._agenda):
        kept, following = (set(names.split()) for names in remembered.pop(type(each).__name__))
        assert set(vars(each)) == kept | following, type(each).__name__
    assert not remembered
    memory = set(take_snapshot(top).roster.instances[0]._fields)
    assert set(Instance.__slots__) == memory


def test_nobody_else_in_the_core_remembers_anything() -> None:
    rooms = (agenda, ending, lifecycle, model, numbers, rolling, roster, turns, supervisor_module)
    mutable = {
        name
        for room in rooms
        for name, each in inspect.getmembers(room, inspect.isclass)
        if each.__module__ == room.__name__ and "__init__" in vars(each) and not issubclass(each, Exception)
    }
    assert mutable == {
        *("Supervisor", "Roster", "PortBook", "UniqueInts", "Turns", "Rolling", "RollingRestart", "Ending", "Dice"),
        *("Agenda", "Instance"),
    }


def test_numbers_that_were_free_are_still_free() -> None:
    stage = up("web", "api", counts={"web": 102, "api": 102})
    stage.scale("web=99")
    for number in (100, 101, 102):
        stage.ends(f"web.{number}", BY_SIGTERM)
    stage.supervisor = restore(through_a_document(take_snapshot(stage.supervisor)))
    stage.scale("api=103", "web=100")
    assert [(stage[name].port, stage[name].unique_int) for name in ("web.100", "api.103")] == [(5099, 100), (5200, 101)]


def test_many_instances_of_a_type_have_one_type_between_them() -> None:
    supervisor = up("web", counts={"web": 500}).supervisor
    snapshot = through_a_document(take_snapshot(supervisor))
    assert len(snapshot.types) == 1
    roster: Roster = restore(snapshot)._roster
    assert len({id(each.type) for each in roster.by_name.values()}) == 1
    assert roster.by_name[model.InstanceName("web", 1)].type is roster.types["web"]
