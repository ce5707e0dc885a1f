"""All that the core knows, as one frozen value, and a supervisor made of it again: for one who takes over from another.

The fields are what a version tells the next one, so each new one has a default. What follows from the instances (which
numbers are taken, who is being started or waited for, what is due when) is not among them: it is found out again. A
supervisor that was restored gives the same orders for whatever happens from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from procsup.core.actions import RollingHalted
from procsup.core.ending import Ending
from procsup.core.model import Exit, Exited, Failed, Instance, InstanceName, State, Wish
from procsup.core.rolling import Rolling, RollingRestart, Turn
from procsup.core.roster import Roster
from procsup.core.rules import ProcessType
from procsup.core.supervisor import Supervisor
from procsup.core.turns import Turns
from procsup.value import Value


class InstanceMemory(Value):
    """`type` is its place among the types of the snapshot."""

    name: InstanceName
    type: int
    port: int
    unique_int: int
    wish: Wish
    edition: int
    state: State
    streak: int
    restarts: int
    restarted_at: tuple[float, ...]
    last_exit: Exit | None


class RosterMemory(Value):
    """`types` are those of the project; `instances` are in the order in which they came."""

    types: Mapping[str, ProcessType]
    counts: Mapping[str, int]
    usual_most: int
    most: int
    instances: tuple[InstanceMemory, ...]
    base_port: int
    positions: Mapping[str, int]


class TurnsMemory(Value):
    """In the order in which they came."""

    queue: tuple[InstanceName, ...]
    waiting: Mapping[str, tuple[InstanceName, ...]]


class RollingMemory(Value):
    """Of the rolling restart that is under way."""

    waiting: tuple[Turn, ...]
    current: InstanceName | None
    spared: InstanceName | None


class EndingMemory(Value):
    exit_code: int | None
    provisional: bool
    reminder: float | None
    doubt: tuple[float, InstanceName, Exit] | None


class Snapshot(Value):
    """`types` are those of the instances, each once: of many instances the type is the same, and not small.

    `given_up` is in the order in which they were: the first that had failed has the exit code.
    """

    types: tuple[ProcessType, ...]
    roster: RosterMemory
    turns: TurnsMemory
    ending: EndingMemory
    keep_going: bool
    kept: Mapping[str, int]
    dice: int
    given_up: tuple[InstanceName, ...]
    quit: bool
    rolling: RollingMemory | None = None
    halted: RollingHalted | None = None
    halted_by: Exit | None = None


def take_snapshot(supervisor: Supervisor) -> Snapshot:
    roster, ending, rolling = supervisor._roster, supervisor._ending, supervisor._rolling
    types: dict[int, ProcessType] = {}
    for each in roster.by_name.values():
        types.setdefault(id(each.type), each.type)
    places = {one: place for place, one in enumerate(types)}
    instances = tuple(_remember(each, places[id(each.type)]) for each in roster.by_name.values())
    return Snapshot(
        types=tuple(types.values()),
        roster=RosterMemory(
            types=dict(roster.types),
            counts=roster.counts,
            usual_most=roster.usual_most,
            most=roster.most,
            instances=instances,
            base_port=roster._ports._base,
            positions=dict(roster._ports._positions),
        ),
        turns=_remember_turns(supervisor._turns),
        ending=EndingMemory(ending.exit_code, ending._provisional, ending._reminder, ending._doubt),
        keep_going=supervisor._keep_going,
        kept=dict(supervisor._kept),
        dice=supervisor._dice._state,
        given_up=tuple(supervisor._given_up),
        quit=supervisor._quit,
        rolling=_remember_rolling(rolling._restart),
        halted=rolling.halted,
        halted_by=rolling.halted_by,
    )


def restore(snapshot: Snapshot) -> Supervisor:
    """One that goes on where the other was."""
    supervisor = Supervisor(
        base_port=snapshot.roster.base_port,
        max_instances=snapshot.roster.usual_most,
        seed=snapshot.dice,
        keep_going=snapshot.keep_going,
    )
    _fill_roster(supervisor._roster, snapshot)
    everyone = supervisor._roster.by_name
    supervisor._kept = dict(snapshot.kept)
    supervisor._given_up = {
        name: state.exit for name in snapshot.given_up if isinstance(state := everyone[name].state, (Exited, Failed))
    }
    supervisor._quit = snapshot.quit
    _fill_turns(supervisor._turns, snapshot.turns, everyone)
    _fill_ending(supervisor._ending, snapshot.ending)
    _fill_rolling(supervisor._rolling, snapshot, everyone)
    for instance in everyone.values():
        supervisor._note(instance)
    return supervisor


def _remember(instance: Instance, type_: int) -> InstanceMemory:
    return InstanceMemory(
        instance.name,
        type_,
        instance.port,
        instance.unique_int,
        instance.wish,
        instance.edition,
        instance.state,
        instance.streak,
        instance.restarts,
        instance.restarted_at,
        instance.last_exit,
    )


def _remember_turns(turns: Turns) -> TurnsMemory:
    return TurnsMemory(tuple(turns._queue), {type_: tuple(there) for type_, there in turns._waiting.items()})


def _remember_rolling(restart: RollingRestart | None) -> RollingMemory | None:
    if restart is None:
        return None
    current, spared = restart._current, restart._spared
    return RollingMemory(
        tuple(restart._waiting),
        current.name if current is not None else None,
        spared.name if spared is not None else None,
    )


def _fill_roster(roster: Roster, snapshot: Snapshot) -> None:
    memory = snapshot.roster
    roster.most = memory.most
    roster._types, roster._counts = dict(memory.types), dict(memory.counts)
    roster._ports._positions = dict(memory.positions)
    # The same object where it is the same: there may be thousands of instances of a type.
    own = {each: each for each in memory.types.values()}
    types = [own.get(each, each) for each in snapshot.types]
    for each in memory.instances:
        instance = Instance(each.name, types[each.type], each.port, each.unique_int)
        instance.wish, instance.edition, instance.state = each.wish, each.edition, each.state
        instance.streak, instance.restarts, instance.restarted_at = each.streak, each.restarts, each.restarted_at
        instance.last_exit = each.last_exit
        roster.bring_back(instance)


def _fill_turns(turns: Turns, memory: TurnsMemory, everyone: Mapping[InstanceName, Instance]) -> None:
    def found(names: Iterable[InstanceName]) -> dict[InstanceName, Instance]:
        return {name: everyone[name] for name in names}

    turns._queue = found(memory.queue)
    turns._waiting = {type_: found(names) for type_, names in memory.waiting.items()}


def _fill_ending(ending: Ending, memory: EndingMemory) -> None:
    ending.exit_code, ending._provisional = memory.exit_code, memory.provisional
    ending._reminder, ending._doubt = memory.reminder, memory.doubt


def _fill_rolling(rolling: Rolling, snapshot: Snapshot, everyone: Mapping[InstanceName, Instance]) -> None:
    rolling.halted, rolling.halted_by = snapshot.halted, snapshot.halted_by
    memory = snapshot.rolling
    if memory is None:
        return
    rolling._restart = RollingRestart(rolling._settled)
    rolling._restart._waiting.extend(memory.waiting)
    rolling._restart._current = everyone[memory.current] if memory.current is not None else None
    rolling._restart._spared = everyone[memory.spared] if memory.spared is not None else None
