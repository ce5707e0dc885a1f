"""Walks every pair of a state and a fact, and writes what comes of it to docs/states.md.

`python -m tests.core.states --write` writes the page; a test holds it against the code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import Signals
from typing import NamedTuple

from procsup.core.actions import Action, Kill, Signal
from procsup.core.events import (
    BecameReady,
    DeadlineReached,
    Fact,
    Finding,
    LeaderExited,
    Outgrew,
    Spawned,
    SpawnFailed,
    StoppedAnswering,
    TreeVanished,
)
from procsup.core.lifecycle import observe, settle
from procsup.core.model import (
    STATES,
    BackingOff,
    Clearing,
    Ended,
    Exit,
    Exited,
    Failed,
    Instance,
    InstanceName,
    Queued,
    Running,
    Starting,
    State,
    Stopped,
    Stopping,
    UnexpectedEvent,
    Warming,
    Wish,
)
from procsup.core.rules import DEFAULT_STOP, ProcessType

PAGE = Path(__file__).parents[2] / "docs" / "states.md"

NOW = 50.0
NAME = InstanceName("web", 1)
CRASH = Exit(1)
CHECKED = ProcessType("web", ready_within=30.0)
LATER, DUE = NOW + 1.0, NOW
SIGKILL_LEFT, NOTHING_LEFT = DEFAULT_STOP[1:], ()

EXAMPLES: dict[str, State] = {
    "Stopped": Stopped(),
    "Queued": Queued(),
    "Starting": Starting(1),
    "Warming": Warming(7, 1.0, LATER, 1),
    "Warming, time over": Warming(7, 1.0, DUE, 1),
    "Running": Running(7, 1.0, 1),
    "Stopping, in its grace": Stopping(7, 1.0, SIGKILL_LEFT, LATER),
    "Stopping, grace over": Stopping(7, 1.0, SIGKILL_LEFT, DUE),
    "Stopping, SIGKILL did not help": Stopping(7, 1.0, NOTHING_LEFT, DUE),
    "Stopping, unkillable": Stopping(7, 1.0, NOTHING_LEFT, None),
    "Stopping, leader gone": Stopping(7, 1.0, SIGKILL_LEFT, LATER, CRASH),
    "Clearing, leader alive": Clearing(7, 1.0, SIGKILL_LEFT, LATER, CRASH, 1.0, 1, led=True),
    "Clearing, in its grace": Clearing(7, 1.0, SIGKILL_LEFT, LATER, CRASH, 1.0, 1),
    "Clearing, grace over": Clearing(7, 1.0, SIGKILL_LEFT, DUE, CRASH, 1.0, 1),
    "Clearing, unkillable": Clearing(7, 1.0, NOTHING_LEFT, None, CRASH, 1.0, 1),
    "Ended": Ended(CRASH, 1.0, 1),
    "BackingOff": BackingOff(LATER, CRASH, 1),
    "BackingOff, wait over": BackingOff(DUE, CRASH, 1),
    "Exited": Exited(CRASH, 1),
    "Failed": Failed(CRASH, 1),
}
FACTS: dict[str, Fact | Finding | DeadlineReached] = {
    "Spawned": Spawned(NAME, 7),
    "SpawnFailed": SpawnFailed(NAME, CRASH),
    "LeaderExited": LeaderExited(NAME, CRASH),
    "LeaderExited, others remain": LeaderExited(NAME, CRASH, remaining=True),
    "TreeVanished": TreeVanished(NAME),
    "DeadlineReached": DeadlineReached(),
    "BecameReady": BecameReady(NAME, 7),
    "StoppedAnswering": StoppedAnswering(NAME, 7),
    "Outgrew": Outgrew(NAME, 7, NOW, "too much"),
}


def _wish(wish: Wish) -> Callable[[Instance], None]:
    def change(instance: Instance) -> None:
        instance.wish = wish

    return change


def _fresh(instance: Instance) -> None:
    instance.edition += 1


WISHES: dict[str, Callable[[Instance], None]] = {
    "wanted up": _wish(Wish.UP),
    "a fresh copy wanted": _fresh,
    "wanted down": _wish(Wish.DOWN),
    "to be forgotten": _wish(Wish.GONE),
}


class Outcome(NamedTuple):
    before: State
    after: State
    orders: list[Action]
    unexpected: bool = False

    def __str__(self) -> str:
        if self.unexpected:
            return "*unexpected*"
        orders = [
            "SIGKILL" if isinstance(order, Kill) else Signals(order.signal).name
            for order in self.orders
            if isinstance(order, (Signal, Kill))
        ]
        became = "·" if self.before == self.after else type(self.after).__name__
        if isinstance(self.after, (Stopping, Clearing)) and self.after.next_at is None and self.before != self.after:
            became += ", unkillable"
        return " ".join([became, *(f"({order})" for order in orders)])


def instance_in(state: State, wish: Wish = Wish.UP) -> Instance:
    instance = Instance(NAME, CHECKED if isinstance(state, Warming) else ProcessType("web"), 5000, 1)
    instance.wish, instance.state = wish, state
    return instance


def observed() -> Iterator[tuple[str, str, Outcome]]:
    """State, fact, and what the fact makes of it before anybody's wish comes into it."""
    for state_name, state in EXAMPLES.items():
        for fact_name, fact in FACTS.items():
            instance = instance_in(state)
            try:
                orders = observe(instance, fact, NOW)
            except UnexpectedEvent:
                yield state_name, fact_name, Outcome(state, instance.state, [], unexpected=True)
            else:
                yield state_name, fact_name, Outcome(state, instance.state, orders)


def settled() -> Iterator[tuple[str, str, Outcome]]:
    """State, wish, and what is done about the gap between them."""
    for state_name, state in EXAMPLES.items():
        for wish_name, change in WISHES.items():
            instance = instance_in(state)
            change(instance)
            orders = settle(instance, NOW, 0.0)
            yield state_name, wish_name, Outcome(state, instance.state, orders)


def page() -> str:
    missing = [each.__name__ for each in STATES if not any(isinstance(example, each) for example in EXAMPLES.values())]
    if missing:
        raise ValueError(f"no example of {', '.join(missing)}; add one to EXAMPLES")
    return "\n".join(
        [
            "# What an instance does",
            "",
            "Written by `python -m tests.core.states --write` from the code; a test fails when it is out of date.",
            "A dot: the state stays. In brackets: what is sent to it.",
            "",
            "## Facts",
            "",
            "What a fact makes of a state (`observe`). *unexpected*: it cannot be; `UnexpectedEvent`, nothing changes.",
            "`Ended` is never seen from outside: settling makes something else of it at once. Where readiness is",
            "checked, `Spawned` makes `Warming` of `Starting`. What is found out about a copy may come too late: then",
            "nothing changes.",
            "",
            *_table(list(FACTS), observed()),
            "",
            "## Wishes",
            "",
            "What is done about the gap between a state and what is wanted (`settle`), by the default restart policy,",
            "`always`, with no restart before. Queued becomes Starting when its turn comes, with the order to spawn.",
            "",
            *_table(list(WISHES), settled()),
            "",
        ]
    )


def _table(columns: list[str], cells: Iterator[tuple[str, str, Outcome]]) -> Iterator[str]:
    outcomes = {(row, column): str(outcome) for row, column, outcome in cells}
    rows = [["", *columns]]
    rows += [[row, *(outcomes[row, column] for column in columns)] for row in EXAMPLES]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns) + 1)]
    for number, row in enumerate(rows):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|-" + "-|-".join("-" * width for width in widths) + "-|"


def picture_of(instance: Instance) -> dict[str, object]:
    """All that it is at this moment."""
    return {name: getattr(instance, name) for name in Instance.__slots__}


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
