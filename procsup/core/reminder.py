"""While a shutdown waits: says now and then who holds it up, and until when."""

from __future__ import annotations

from collections.abc import Iterable

from procsup.core.actions import Action, StillWaiting, Tell
from procsup.core.model import Instance

FIRST_REMINDER = 2.0
REMINDER_EVERY = 5.0


class Reminder:
    """`due` is the moment of the next reminder, once a shutdown has begun."""

    def __init__(self) -> None:
        self.due: float | None = None

    def begin(self, now: float) -> None:
        self.due = now + FIRST_REMINDER

    def remind(self, alive: Iterable[Instance], now: float) -> list[Action]:
        """If it is time: the one that is killed first, and how many more there are."""
        if self.due is None or now < self.due:
            return []
        self.due = now + REMINDER_EVERY
        waiting = [
            (each.kill_at - now, each.name, each.pid)
            for each in alive
            if each.kill_at is not None and each.pid is not None
        ]
        if not waiting:
            return []
        kill_in, name, pid = min(waiting)
        return [Tell(StillWaiting(name, pid, kill_in, len(waiting) - 1))]
