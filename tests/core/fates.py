"""What a simulated process is like: how long it lives, what it hears, what it leaves behind."""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass
from typing import Literal, NamedTuple

from procsup.core.model import Exit, InstanceName

Hearing = Literal["at once", "slowly", "deaf", "unkillable"]
Leaves = Literal["nobody", "some for a moment", "some that hear", "some that are deaf", "some unkillable"]

FOR_EVER = math.inf


class Fate(NamedTuple):
    """The lot of one copy, decided before it is born. Times are seconds."""

    lifetime: float = FOR_EVER
    code: int = 1
    hears: Hearing = "at once"
    leaves: Leaves = "nobody"
    spawn_fails: bool = False
    spawn_takes: float = 0.0
    ready_after: float = 0.0
    answers_for: float = FOR_EVER  # from then on, where it lives so long
    fits_for: float = FOR_EVER  # in its memory

    @property
    def exit(self) -> Exit:
        return Exit(self.code, self.code - 128 if self.code > 128 else None)

    @property
    def reaction(self) -> float | None:
        """Seconds from a stop signal to its end, None if it ignores it."""
        return {"at once": 0.001, "slowly": 1.5}.get(self.hears)

    @property
    def others_outlive_sigkill(self) -> bool:
        return self.leaves == "some unkillable"


# What runs when the world has gone quiet.
GOOD = Fate()
# A one-shot that does what it is for.
DONE = Fate(lifetime=0.5, code=0)

BY_SIGTERM = Exit(128 + signal.SIGTERM, signal.SIGTERM)
BY_SIGKILL = Exit(128 + signal.SIGKILL, signal.SIGKILL)
NOT_FOUND = Exit(127, error="no such command")

# What is sent to make a process end; TSTP and the like only tell it to take no more work.
ENDING_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})
# So long after SIGKILL even the unkillable end (the disk they waited for has answered).
UNKILLABLE_END_AFTER = 500.0
SLOWEST_SPAWN = 0.05


@dataclass(slots=True, eq=False)
class Copy:
    """One copy of an instance. It is there from the order to spawn it until the last of its tree is gone."""

    name: InstanceName
    pid: int
    fate: Fate
    phase: Literal["ordered", "led", "orphaned"] = "ordered"
    stop_begun: float | None = None
    killed_at: float | None = None
    heard: bool = False
    to_be_renewed: bool = False
    born: float = 0.0
    ready: bool = False
    silent: bool = False
    too_large: bool = False
    at_fault: bool = False

    @property
    def stuck(self) -> bool:
        """SIGKILL does not end it."""
        return self.fate.hears == "unkillable" if self.phase == "led" else self.fate.others_outlive_sigkill
