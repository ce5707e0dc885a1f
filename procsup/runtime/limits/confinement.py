"""Holds every instance to the memory and the processor time of its type: by its control group, where we may set limits.

Where we may not, its memory is watched (`memory_watch`), and its processor time is not limited at all.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress

from procsup.config.limits import UNLIMITED, describe, limits_of
from procsup.config.project import Project
from procsup.config.settings import Limits
from procsup.config.sizes import in_words
from procsup.core.model import InstanceName
from procsup.runtime.limits import controllers
from procsup.runtime.limits.cgroups import Cgroups
from procsup.runtime.limits.controllers import OutOfMemory
from procsup.runtime.trees.census import read_member
from procsup.value import Value

MEMORY, CPU = "memory", "cpu"


class Change(Value):
    """What other limits mean for an instance; `restart`: it can be held to them from its next start only."""

    why: str
    restart: bool


class Confinement:
    """`hard` are the controllers by which the kernel enforces limits, `by_type` the limits of the types that have any.

    `reasons` say of instances that are being stopped for their limits why that is; `restarts` counts for each how often
    it was restarted for its memory.
    """

    def __init__(self, cgroups: Cgroups) -> None:
        self._cgroups = cgroups
        self.by_type: dict[str, Limits] = {}
        self.hard: frozenset[str] = frozenset()
        self.reasons: dict[InstanceName, str] = {}
        self.restarts: Counter[InstanceName] = Counter()
        self._told = ""  # whose processor time is not limited
        self._before: dict[InstanceName, OutOfMemory] = {}

    def read(self, project: Project) -> list[str]:
        """Hold whoever starts from now on to the limits of this project; warnings about those that cannot be."""
        self.by_type = limits_of(project)
        wanted = self._controllers(self.by_type)
        folder = self._cgroups.folder
        if folder is not None and wanted - self.hard:
            residents = _residents(os.path.dirname(folder))
            if residents is not None:
                self.hard |= controllers.switch_on(folder, wanted, residents)
        self.go_on()
        names = ", ".join(name for name, limits in self.by_type.items() if limits.cpu is not None)
        if CPU in self.hard or names == self._told:
            return []
        self._told = names
        if not names:
            return []
        return [
            f"cpu of {names} is not limited: that needs a control group with the cpu controller that is ours to use, "
            "as in a systemd unit with Delegate=yes"
        ]

    def go_on(self) -> None:
        """From now on a group is prepared for each copy, where limits are in force."""
        self._cgroups.prepare = self._prepare if self.hard else None

    @property
    def watched(self) -> dict[str, int]:
        """The memory of the types that nobody but we hold to it."""
        if MEMORY in self.hard:
            return {}
        return {name: limits.memory for name, limits in self.by_type.items() if limits.memory is not None}

    def of(self, name: InstanceName) -> dict[str, object] | None:
        """For `status`."""
        limits = self.by_type.get(name.type)
        if limits is None:
            return None
        enforced = [key for key in (MEMORY, CPU) if key in self.hard and getattr(limits, key) is not None]
        return {**vars(limits), "enforced": enforced}

    def why_ended(self, name: InstanceName) -> str | None:
        """What is known of the end of a copy, as long as its group is still there."""
        reason = self.reasons.pop(name, None)
        group = self._cgroups.of(name) if MEMORY in self.hard else None
        if group is None:
            return reason
        now, before = controllers.out_of_memory(group.folder), self._before.pop(name, OutOfMemory())
        if now.killed <= before.killed:
            return reason
        most = self.by_type.get(name.type, UNLIMITED).memory
        if most is not None and now.own_limit > before.own_limit:
            return f"out of memory, limit {in_words(most)}"
        return "out of memory, not at its own limit"

    def differing(self, project: Project) -> list[str]:
        """The types whose limits are others in this project."""
        new = limits_of(project)
        names = {**self.by_type, **new}
        return [name for name in names if self.by_type.get(name, UNLIMITED) != new.get(name, UNLIMITED)]

    def change(self, project: Project, name: InstanceName, alive: bool) -> Change:
        """What the project's limits would mean for an instance, where they are others."""
        old, new = self.by_type.get(name.type, UNLIMITED), project.settings.limits(name.type)
        why = f"its limits change: {describe(old)} → {describe(new)}"
        if not alive:
            return Change(f"{why}, when it starts", restart=False)
        if new.memory is None or new.memory == old.memory or not self._can_limit(MEMORY):
            return Change(f"{why}, at once", restart=False)
        group = self._cgroups.of(name)
        if group is None or name not in self._before:  # what it has taken before was not counted in its group
            return Change(f"{why}, with a new start", restart=True)
        taken = controllers.memory_of(group.folder)
        if taken > new.memory:  # the kernel would kill it at once
            return Change(f"{why}, and it has {in_words(taken)}", restart=True)
        return Change(f"{why}, at once", restart=False)

    def apply(self, name: InstanceName) -> None:
        """Hold a running instance to its limits as they are now, unless the kernel would kill it for them."""
        group = self._cgroups.of(name)
        most = self.by_type.get(name.type, UNLIMITED).memory
        if group is not None and self.hard and (most is None or controllers.memory_of(group.folder) <= most):
            with suppress(OSError):  # it is just ending
                self._set(group.folder, name.type)

    def _can_limit(self, controller: str) -> bool:
        """Though nobody may have needed it so far."""
        folder = self._cgroups.folder
        if controller in self.hard or folder is None:
            return controller in self.hard
        return controller in controllers.available(folder) and _residents(os.path.dirname(folder)) is not None

    def _prepare(self, name: object, folder: str) -> None:
        """The group of a copy that is about to enter it."""
        if isinstance(name, InstanceName):
            self._set(folder, name.type)
            self._before[name] = controllers.out_of_memory(folder)

    def _set(self, folder: str, type_name: str) -> None:
        limits = self.by_type.get(type_name, UNLIMITED)
        if MEMORY in self.hard:
            controllers.set_memory(folder, limits.memory)
        if CPU in self.hard:
            controllers.set_cpu(folder, limits.cpu)

    @staticmethod
    def _controllers(by_type: dict[str, Limits]) -> set[str]:
        return {key for limits in by_type.values() for key in (MEMORY, CPU) if getattr(limits, key) is not None}


def _residents(folder: str) -> list[int] | None:
    """Of the group that we were started in: ourselves, and our children. None where there are others.

    These are not ours to move, and with them in it nothing can be shared out.
    """
    own = os.getpid()
    try:
        with open(f"{folder}/cgroup.procs", encoding="ascii") as file:
            pids = [int(pid) for pid in file]
        parents = {pid: member.parent for pid in pids if pid != own and (member := read_member(pid)) is not None}
    except OSError:
        return None
    return pids if all(parent == own for parent in parents.values()) else None
