"""The processes of the soak at one moment, as the kernel has them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks import procfs
from benchmarks.soak.project import AWAY


class Process(NamedTuple):
    pid: int
    parent: int
    session: int
    started: int  # in clock ticks since boot
    environment: dict[str, str]

    @property
    def name(self) -> str:
        return self.environment.get("PS", "")

    def still_lives(self) -> bool:
        fields = procfs.fields(self.pid)
        return bool(fields) and fields[0] not in "ZX" and int(fields[19]) == self.started


class Census:
    """`members` are the living processes with a cookie of the project, `zombies` the supervisor's dead children."""

    def __init__(self, supervisor: int, cookie: str) -> None:
        self.supervisor = supervisor
        self.zombies: set[int] = set()
        self.members: list[Process] = []
        for pid in (int(name) for name in os.listdir(procfs.PROC) if name.isdigit()):
            fields = procfs.fields(pid)
            if not fields:
                continue
            parent = int(fields[1])
            if fields[0] in "ZX":
                if parent == supervisor:
                    self.zombies.add(pid)
                continue
            environment = procfs.environment(pid)
            if environment.get("PROCSUP_COOKIE", "").startswith(cookie):
                self.members.append(Process(pid, parent, int(fields[3]), int(fields[19]), environment))

    def leaders(self) -> list[Process]:
        return [
            each
            for each in self.members
            if each.parent == self.supervisor and each.session == each.pid and AWAY not in each.environment
        ]

    def shared(self, what: Callable[[Process], str]) -> Iterator[tuple[str, list[int]]]:
        """Leaders that have the same at the same time: who was seen first still lives after the last was seen."""
        groups: dict[str, list[Process]] = {}
        for each in self.leaders():
            groups.setdefault(what(each), []).append(each)
        for value, group in groups.items():
            if len(group) > 1:
                alive = [each.pid for each in group if each.still_lives()]
                if len(alive) > 1:
                    yield value, alive
