"""The end of a supervisor: whether it has begun, with which exit code, and whom it waits for."""

from __future__ import annotations

from procsup.core.actions import Action, StillWaiting, Tell
from procsup.core.events import ShutdownRequested
from procsup.core.lifecycle import MAYBE_SHUTDOWN
from procsup.core.model import Exit, Instance, InstanceName

FIRST_REMINDER = 2.0
REMINDER_EVERY = 5.0


class Ending:
    """`exit_code` is None until a shutdown has begun. What a person asks for counts before what began by itself."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._provisional = True
        self._reminder: float | None = None
        self.awaited: dict[InstanceName, Instance] = {}  # something of them may be running, and may yet end
        # A failure that ends all, but may have been our own stop that was faster: when it counts, and whose it is.
        self._doubt: tuple[float, InstanceName, Exit] | None = None

    @property
    def deadline(self) -> float | None:
        return self._doubt[0] if self._doubt is not None else self._reminder

    @property
    def in_doubt(self) -> bool:
        return self._doubt is not None

    def note(self, instance: Instance) -> None:
        """Its state may have changed."""
        if instance.alive and not instance.unkillable:
            self.awaited[instance.name] = instance
        else:
            self.awaited.pop(instance.name, None)

    def ask(self, request: ShutdownRequested, now: float) -> bool:
        """Whether a shutdown begins with this request."""
        self._doubt = None
        begins = self.exit_code is None
        if begins:
            self._reminder = now + FIRST_REMINDER
        if begins or (self._provisional and not request.provisional):
            self.exit_code, self._provisional = request.exit_code, request.provisional
        return begins

    def fail_all(self, name: InstanceName, exit_: Exit, now: float) -> None:
        """One failed that must not, so the others go too: at once, or when it is clear that it was not our own stop."""
        if self._doubt is None:
            wait = MAYBE_SHUTDOWN if exit_.perhaps_our_own_stop else 0.0
            self._doubt = (now + wait, name, exit_)

    def take_back(self, name: InstanceName) -> None:
        """It runs again, because a person asked for it: how it failed before ends nobody."""
        if self._doubt is not None and self._doubt[1] == name:
            self._doubt = None

    def failed_for_good(self, now: float) -> tuple[InstanceName, Exit] | None:
        """The failure that has come to count by now."""
        return self._doubt[1:] if self._doubt is not None and self._doubt[0] <= now else None

    def remind(self, now: float) -> list[Action]:
        """Now and then, while it waits: the one that is killed first, and how many more there are."""
        if self._reminder is None or now < self._reminder:
            return []
        self._reminder = now + REMINDER_EVERY
        waiting = [
            (each.kill_at - now, each.name, each.pid)
            for each in self.awaited.values()
            if each.kill_at is not None and each.pid is not None
        ]
        if not waiting:
            return []
        kill_in, name, pid = min(waiting)
        return [Tell(StillWaiting(name, pid, kill_in, len(waiting) - 1))]
