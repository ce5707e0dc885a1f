"""What must be true of a supervisor after every event, whatever has happened."""

from __future__ import annotations

from collections.abc import Mapping, Set

from procsup.core.lifecycle import MAYBE_SHUTDOWN, settle
from procsup.core.model import Ended, Instance, InstanceName, Running
from procsup.core.supervisor import Supervisor


def snapshot(supervisor: Supervisor) -> object:
    """All that can be seen of it from outside."""
    return (
        [{name: getattr(each, name) for name in Instance.__slots__} for each in supervisor.instances()],
        supervisor.formation,
        supervisor.deadline,
        supervisor.shutting_down,
        supervisor.rolling,
        supervisor.type_ports,
    )


def check_books(
    supervisor: Supervisor,
    now: float,
    alive: Mapping[InstanceName, int | None],
    formation: Set[InstanceName],
    *,
    quitting: bool = False,
) -> None:
    """`alive`: the names of which something runs, with the pid where it is known yet."""
    instances = supervisor.instances()
    assert {each.name for each in instances} == formation | set(alive), "the instances are not those there should be"
    assert len({each.port for each in instances}) == len(instances), "a PORT is shared"
    assert len({each.unique_int for each in instances}) == len(instances), "a UNIQUE_INT is shared"

    waits = min((each.deadline for each in instances if each.deadline is not None), default=None)
    deadline = supervisor.deadline
    if not supervisor.shutting_down and not supervisor.rolling:
        # A failure that may have been our own stop is waited for by nobody but the supervisor itself.
        in_doubt = deadline is not None and deadline <= now + MAYBE_SHUTDOWN and (waits is None or deadline < waits)
        assert deadline == waits or in_doubt, "the deadline is not the nearest moment that something waits for"
    elif not quitting:
        assert waits is None or (deadline is not None and deadline <= waits), "a moment is missed"

    for each in instances:
        assert each.alive == (each.name in alive), f"{each.name} is {each.state}, and that is not so"
        assert each.pid == alive.get(each.name), f"{each.name} has another pid"
        assert not isinstance(each.state, Ended), "nobody should ever see this state"
        assert not isinstance(each.state, Running) or each.state.since <= now
        before = each.state
        assert settle(each, now, 0.0) == [], f"settling {each.name} once more orders something"
        assert each.state == before, f"settling {each.name} once more moves it"
