"""Counts what a shutdown comes to, for a last line that tells the truth."""

from __future__ import annotations

from procsup.core.actions import Notice, ShutdownBegun, StopDone
from procsup.core.model import Instance, InstanceName
from procsup.runtime.wording import describe_process, seconds

_NAMED_AT_MOST = 3


class Tally:
    def __init__(self) -> None:
        self._stopped = 0
        self._killed: dict[InstanceName, float] = {}
        self._victims: dict[InstanceName, str] = {}

    def before_kill(self, instance: Instance | None) -> None:
        """Note who it is while it can still be asked."""
        if instance is not None and instance.pid is not None:
            self._victims[instance.name] = f"{instance.name}, {describe_process(instance.pid)}"

    def note(self, notice: Notice) -> None:
        match notice:
            case ShutdownBegun():
                self._stopped, self._killed = 0, {}
            case StopDone(name, _, killed_after):
                if killed_after is None:
                    self._stopped += 1
                else:
                    self._killed[name] = killed_after
            case _:
                pass

    def line(self, left: int) -> str | None:
        """`12 stopped, 1 killed after 15 s (worker.2, pid 812, celery), 0 left`; None if nothing had to be stopped."""
        if not (self._stopped or self._killed or left):
            return None
        killed = f"{len(self._killed)} killed"
        if self._killed:
            names = [self._victims.get(name, str(name)) for name in list(self._killed)[:_NAMED_AT_MOST]]
            more = [f"{len(self._killed) - len(names)} more"] if len(self._killed) > len(names) else []
            killed += f" after {seconds(max(self._killed.values()))} ({'; '.join(names + more)})"
        return f"{self._stopped} stopped, {killed}, {left} left"
