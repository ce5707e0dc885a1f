"""How much memory whole instances take, for a supervisor that looks often: one small file of /proc for each process.

Memory that processes share counts in each of them there. So whoever seems to be over a limit is weighed once more, with
a share of what is shared: that costs the kernel a walk through all of its memory, and is not for every look.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache

from procsup.core.model import InstanceName
from procsup.runtime.trees.census import all_pids, cookie_of, possible

_PARENT, _SESSION, _RSS = 1, 3, 21  # in /proc/PID/stat, behind the name


def weigh(
    leaders: Mapping[int, InstanceName], limits: Mapping[str, int], cookie: Callable[[InstanceName], str]
) -> dict[InstanceName, int]:
    """Bytes of each that is over the limit of its type. Call it off the loop; raises OSError where it cannot look."""
    if not possible():
        return _by_psutil(leaders, limits)
    trees = _trees(leaders, {cookie(name): pid for pid, name in leaders.items()})
    over: dict[InstanceName, int] = {}
    for pid, members in trees.items():
        most = limits[leaders[pid].type]
        if sum(members.values()) > most:
            weight = sum(_with_its_share(member, rss) for member, rss in members.items())
            if weight > most:
                over[leaders[pid]] = weight
    return over


def _trees(leaders: Mapping[int, InstanceName], cookies: Mapping[str, int]) -> dict[int, dict[int, int]]:
    """For each leader: the processes that belong to it, with the bytes that each has in memory."""
    page, own = os.sysconf("SC_PAGESIZE"), os.getpid()
    parents: dict[int, int] = {}
    sessions: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
                text = file.readall()
        except OSError:
            continue  # gone meanwhile
        fields = text[text.rindex(b")") + 2 :].split()
        parents[pid], sessions[pid], sizes[pid] = int(fields[_PARENT]), int(fields[_SESSION]), int(fields[_RSS]) * page

    @cache
    def leader(pid: int) -> int | None:
        """By descent; who has lost its parents is our child, and known by its session or its cookie."""
        if pid in leaders or pid not in parents:
            return pid if pid in leaders else None
        if parents[pid] == own:
            return sessions[pid] if sessions[pid] in leaders else cookies.get(cookie_of(pid) or "")
        return leader(parents[pid])

    trees: dict[int, dict[int, int]] = {}
    for pid, size in sizes.items():
        found = leader(pid)
        if found is not None:
            trees.setdefault(found, {})[pid] = size
    return trees


def _with_its_share(pid: int, rss: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(b"Pss:"))
    except (OSError, StopIteration):
        return rss if os.path.exists(f"/proc/{pid}") else 0


def _by_psutil(leaders: Mapping[int, InstanceName], limits: Mapping[str, int]) -> dict[InstanceName, int]:
    from procsup.runtime.trees.usage import UsageMeter

    used = UsageMeter().measure(dict.fromkeys(leaders))
    weights = {leaders[pid]: each.memory for pid, each in used.items()}
    return {name: weight for name, weight in weights.items() if weight > limits[name.type]}
