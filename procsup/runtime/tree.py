"""Who else belongs to an instance once its leader is gone: the members of its process group that live on.

While the leader lives (or is not reaped yet) its pid names the group safely. Afterwards the group is looked up in
/proc and each member is held by a pidfd, so that a pid which the kernel has given to somebody else is never signalled.
"""

from __future__ import annotations

import errno
import os
import signal
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

# Where there are no pidfds (left), the group is asked whether it still exists this often while remains are being
# stopped.
LOOK_AGAIN = 0.1
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})


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
    """One line of /proc/PID/stat; the name in it may contain anything, spaces and parentheses too.

    None where there is no such process. Raises OSError where that cannot be known: no descriptor is free.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError as error:
        if error.errno in _NO_DESCRIPTOR:
            raise
        return None
    opening, closing = text.index(b"("), text.rindex(b")")
    fields = text[closing + 2 :].split()
    name = text[opening + 1 : closing].decode(errors="replace")
    return Member(pid, name, fields[0].decode(), int(fields[2]), int(fields[3]))


def members_of(group: int) -> list[Member]:
    """The living members of a group (a zombie is not alive). Raises OSError where they cannot be looked up."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
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
        with suppress(OSError):
            self._hold()  # as many as can be held; the others get theirs when they are
        for pidfd in self._pidfds.values():
            with suppress(OSError):
                signal.pidfd_send_signal(pidfd, number)

    def close(self) -> None:
        for pid in tuple(self._pidfds):
            self._let_go(pid)
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        asks = self._portable
        try:
            alive = group_exists(self._group) if asks else self._hold()
        except OSError:
            alive = asks = True  # nobody is gone only because nobody could be looked up
        if not alive:
            self._loop.call_soon(self._on_gone)
        elif asks:
            self._timer = self._loop.call_later(LOOK_AGAIN, self._look)

    def _hold(self) -> bool:
        """Open a pidfd on each member that is not held yet, and make sure that it is still the member.

        Says whether any is alive. Raises OSError where there is no descriptor to hold it with.
        """
        for member in members_of(self._group):
            if member.pid in self._pidfds:
                continue
            try:
                pidfd = os.pidfd_open(member.pid)
            except ProcessLookupError:
                continue
            self._pidfds[member.pid] = pidfd
            self._loop.add_reader(pidfd, self._member_ended, member.pid)
            again = read_member(member.pid)
            if again is None or again.group != self._group:
                self._let_go(member.pid)
        return bool(self._pidfds)

    def _let_go(self, pid: int) -> None:
        pidfd = self._pidfds.pop(pid)
        self._loop.remove_reader(pidfd)
        os.close(pidfd)

    def _member_ended(self, pid: int) -> None:
        self._let_go(pid)
        if not self._pidfds and self._timer is None:
            self._look()
