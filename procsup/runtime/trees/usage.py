"""CPU and memory of whole instances, measured when somebody asks. psutil is loaded by the first who does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from procsup.value import Value

if TYPE_CHECKING:
    import psutil


class Usage(Value):
    """`cpu` in per cent of one core since the last time it was asked for (or since the start), `memory` in bytes."""

    cpu: float
    memory: int
    suspended: bool  # its first process was stopped by a signal


class UsageMeter:
    def __init__(self) -> None:
        self._last: dict[int, tuple[float, float]] = {}  # by leader: CPU seconds, and when

    def measure(self, leaders: Mapping[int, float | None]) -> dict[int, Usage]:
        """By the pid of each leader that is still there. Walks all our descendants: call it off the loop.

        `leaders` says how long each has run, where that is known: the time of day may have been set meanwhile.
        """
        import psutil

        trees: dict[int, list[psutil.Process]] = {pid: [] for pid in leaders}
        parents: dict[int, int] = {}
        processes = psutil.Process().children(recursive=True)
        for process in processes:
            parents[process.pid] = _parent(process)
        for process in processes:
            pid = process.pid
            while pid in parents and pid not in trees:
                pid = parents[pid]
            if pid in trees:
                trees[pid].append(process)
        found = {pid: self._sum(pid, tree, leaders[pid]) for pid, tree in trees.items() if tree}
        self._last = {pid: seen for pid, seen in self._last.items() if pid in found}
        return found

    def _sum(self, leader: int, tree: list[psutil.Process], age: float | None) -> Usage:
        import psutil

        spent, memory, suspended = 0.0, 0, False
        for process in tree:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    spent += times.user + times.system
                    memory += process.memory_info().rss
                    if process.pid == leader:
                        suspended = process.status() == psutil.STATUS_STOPPED
            except psutil.Error:
                continue  # gone meanwhile
        now = time.monotonic()
        before, at = self._last.get(leader, (spent, now) if age is None else (0.0, now - age))
        self._last[leader] = (spent, now)
        cpu = max(0.0, spent - before) / max(now - at, 0.01) * 100
        return Usage(round(cpu, 1), memory, suspended)


def _parent(process: psutil.Process) -> int:
    import psutil

    try:
        return process.ppid()
    except psutil.Error:
        return 0
