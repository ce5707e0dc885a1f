"""A rolling restart: one instance at a time, the next only when the new copy of the last one has stayed up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from procsup.core.model import Instance, InstanceName, Running, Wish

# Without a readiness check, a copy that lived so long is taken for good (supervisord's startsecs).
PROVEN_AFTER = 1.0


class RollingRestart:
    def __init__(self) -> None:
        self._waiting: deque[InstanceName] = deque()
        self._current: Instance | None = None

    def add(self, names: Iterable[InstanceName]) -> None:
        """These as well, behind those that wait already."""
        self._waiting.extend(name for name in names if name not in self._waiting)

    @property
    def over(self) -> bool:
        return self._current is None and not self._waiting

    @property
    def untouched(self) -> int:
        return len(self._waiting)

    @property
    def deadline(self) -> float | None:
        if self._current is not None and self._current.up and isinstance(self._current.state, Running):
            return self._current.state.since + PROVEN_AFTER
        return None

    def failed_at(self) -> Instance | None:
        """The instance whose new copy did not stay up."""
        current = self._current
        if current is None or current.wish is not Wish.UP or current.last_exit is None:
            return None
        return current if current.settled and not current.up else None

    def next_turn(self, now: float) -> InstanceName | None:
        """Whose turn it is to be restarted now, if anyone's; `now_restarting` has to follow."""
        due = self.deadline
        if self._current is not None and self._current.wish is Wish.UP and (due is None or due > now):
            return None
        self._current = None
        return self._waiting.popleft() if self._waiting else None

    def now_restarting(self, instance: Instance) -> None:
        self._current = instance
