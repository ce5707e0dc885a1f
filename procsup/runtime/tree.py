"""Who else belongs to an instance once its leader is gone: the members of its process group that live on.

While the leader lives (or is not reaped yet) its pid names the group safely. Afterwards the group is looked up in
/proc and each member is held by a pidfd, so that a pid which the kernel has given to somebody else is never signalled.
"""

from __future__ import annotations

import os
import signal
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

# Where there are no pidfds, the group is asked whether it still exists this often while remains are being stopped.
LOOK_AGAIN = 0.1


class Member(NamedTuple):
    pid: int
    name: str
    state: str
    group: int
    session: int


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read_member(pid: int) -> Member | None:
    """One line of /proc/PID/stat; the name in it may contain anything, spaces and parentheses too."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    opening, closing = text.index(b"("), text.rindex(b")")
    fields = text[closing + 2 :].split()
    name = text[opening + 1 : closing].decode(errors="replace")
    return Member(pid, name, fields[0].decode(), int(fields[2]), int(fields[3]))


def members_of(group: int) -> list[Member]:
    """The living members of a group (a zombie is not alive)."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    found = (read_member(pid) for pid in pids)
    return [member for member in found if member and member.group == group and member.state not in "ZX"]


class Remains:
    """What an instance left behind when its leader ended; calls `on_gone` once, when the last of it is gone."""

    def __init__(self, loop: AbstractEventLoop, group: int, on_gone: Callable[[], None], portable: bool) -> None:
        self._loop = loop
        self._group = group
        self._on_gone = on_gone
        self._portable = portable
        self._pidfds: dict[int, int] = {}
        self._timer: TimerHandle | None = None
        self._look()

    def send(self, number: int) -> None:
        if self._portable:
            with suppress(OSError):
                os.killpg(self._group, number)
            return
        self._hold()
        for pidfd in self._pidfds.values():
            with suppress(OSError):
                signal.pidfd_send_signal(pidfd, number)

    def close(self) -> None:
        for pidfd in self._pidfds.values():
            self._loop.remove_reader(pidfd)
            os.close(pidfd)
        self._pidfds.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._portable:
            alive = group_exists(self._group)
        else:
            self._hold()
            alive = bool(self._pidfds)
        if not alive:
            self._loop.call_soon(self._on_gone)
        elif self._portable:
            self._timer = self._loop.call_later(LOOK_AGAIN, self._look)

    def _hold(self) -> None:
        """Open a pidfd on each member that is not held yet, and make sure that it is still the member."""
        for member in members_of(self._group):
            if member.pid in self._pidfds:
                continue
            try:
                pidfd = os.pidfd_open(member.pid)
            except OSError:
                continue
            again = read_member(member.pid)
            if again is None or again.group != self._group:
                os.close(pidfd)
                continue
            self._pidfds[member.pid] = pidfd
            self._loop.add_reader(pidfd, self._member_ended, member.pid)

    def _member_ended(self, pid: int) -> None:
        pidfd = self._pidfds.pop(pid)
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        if not self._pidfds:
            self._look()
