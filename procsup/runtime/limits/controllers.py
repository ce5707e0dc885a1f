"""The kernel's limits for control groups: switched on for a folder of groups that is ours, set for one, and read back.

A group that shares out memory or processor time may hold no process itself. So whoever is in it, the supervisor and its
guardian, moves into a leaf beside the instances, and back when it is over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from procsup.runtime.limits.cgroups import LEAF, write
from procsup.value import Value

_CONTROL = "cgroup.subtree_control"
_PERIOD = 100_000  # microseconds, as the kernel's own default


class OutOfMemory(Value):
    """Since a group was made: how often it was at its own limit with nothing left to give, and how many were killed."""

    own_limit: int = 0
    killed: int = 0


def available(folder: str) -> frozenset[str]:
    """The controllers that could be switched on for the groups in `folder`."""
    return _words(f"{os.path.dirname(folder)}/cgroup.controllers")


def in_force(folder: str) -> frozenset[str]:
    """Those that are."""
    return _words(f"{folder}/{_CONTROL}")


def switch_on(folder: str, controllers: Iterable[str], residents: Iterable[int]) -> frozenset[str]:
    """For the groups in `folder`; which of these are in force then. `residents` are all who live in its parent."""
    above = os.path.dirname(folder)
    wanted = sorted(available(folder).intersection(controllers))
    if not wanted or in_force(folder).issuperset(wanted):
        return frozenset(wanted)
    try:
        for each in (folder, f"{folder}/{LEAF}"):
            with suppress(FileExistsError):
                os.mkdir(each)
        for pid in residents:
            with suppress(ProcessLookupError):
                write(f"{folder}/{LEAF}/cgroup.procs", pid)
        for each in (above, folder):
            for name in wanted:
                with suppress(OSError):  # somebody else lives in there, or it is taken; we look at what came of it
                    write(f"{each}/{_CONTROL}", f"+{name}")
    except OSError:
        pass
    found = in_force(folder).intersection(wanted)
    if not found:
        switch_off(folder)
    return found


def switch_off(folder: str) -> None:
    """Whoever is in the leaf goes back to where it came from; not while somebody else's groups need what we share."""
    above = os.path.dirname(folder)
    leaf = f"{folder}/{LEAF}"
    if not os.path.isdir(leaf):
        return  # it was never switched on
    with suppress(OSError):
        others = [each for each in os.scandir(above) if each.is_dir() and each.path != folder]
        for each in (folder, *([] if others else [above])):
            for name in _words(f"{each}/{_CONTROL}"):
                write(f"{each}/{_CONTROL}", f"-{name}")
        for pid in map(int, _words(f"{leaf}/cgroup.procs")):
            with suppress(ProcessLookupError):
                write(f"{above}/cgroup.procs", pid)
        os.rmdir(leaf)


def set_memory(group: str, most: int | None) -> None:
    """Raises OSError. Swap would only be a slow way over the limit; and whoever is over it goes as a whole."""
    write(f"{group}/memory.max", "max" if most is None else most)
    with suppress(OSError):  # there may be no swap to count
        write(f"{group}/memory.swap.max", "max" if most is None else 0)
    with suppress(OSError):  # Linux before 4.19
        write(f"{group}/memory.oom.group", 0 if most is None else 1)


def set_cpu(group: str, cores: float | None) -> None:
    """Raises OSError."""
    write(f"{group}/cpu.max", f"{'max' if cores is None else round(cores * _PERIOD)} {_PERIOD}")


def memory_of(group: str) -> int:
    """What its processes take now; 0 where it has none."""
    return max(map(int, _words(f"{group}/memory.current")), default=0)


def out_of_memory(group: str) -> OutOfMemory:
    try:
        with open(f"{group}/memory.events", "rb", buffering=0) as file:
            words = file.readall().split()
    except OSError:
        return OutOfMemory()
    counts = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return OutOfMemory(counts.get(b"oom", 0), counts.get(b"oom_kill", 0))


def _words(path: str) -> frozenset[str]:
    try:
        with open(path, "rb", buffering=0) as file:
            return frozenset(file.readall().decode().split())
    except OSError:
        return frozenset()  # there is no such group, or it is not ours
