"""Looks through all processes of the machine for those that belong to us.

Every instance carries a cookie in its environment, which everything that it starts inherits: a new session, a double
fork and a changed parent do not shake it off. It names the project, the run of its supervisor, and the instance.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import NamedTuple

from procsup.errors import ProcsupError
from procsup.runtime.trees.disguise import read_as_owner

COOKIE = "PROCSUP_COOKIE"
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})


class Member(NamedTuple):
    pid: int
    name: str
    state: str
    parent: int
    group: int
    started: int  # in clock ticks since boot: with the pid, it is this process and no later one of the same pid

    @property
    def alive(self) -> bool:
        return self.state not in "ZX"


def project_cookie(identity: str) -> str:
    """What the cookies of all runs of a project begin with."""
    return f"{identity}:"


def run_cookie(identity: str) -> str:
    """What the cookies of a new run begin with; there is no other like it."""
    return f"{project_cookie(identity)}{os.urandom(8).hex()}:"


def instance_cookie(of_run: str, name: object) -> str:
    return f"{of_run}{name};"


def possible() -> bool:
    """Whether this system lets us look: Linux does. Raises ProcsupError where /proc tells of others by our pids."""
    try:
        ourselves = os.readlink("/proc/self")
    except OSError:
        return False
    if ourselves != str(os.getpid()):
        raise ProcsupError(
            "/proc is that of another PID namespace, so signals would reach the wrong processes; mount one that is "
            "this namespace's own, as unshare --mount-proc and all container engines do"
        )
    return True


def all_pids() -> list[int]:
    """Raises OSError where they cannot be looked up."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read_member(pid: int) -> Member | None:
    """One line of /proc/PID/stat; the name in it may contain anything, spaces and parentheses too.

    None where there is no such process. Raises OSError where that cannot be known: no descriptor is free.
    """
    text = _read(f"/proc/{pid}/stat")
    if not text:
        return None
    opening, closing = text.index(b"("), text.rindex(b")")
    fields = text[closing + 2 :].split()
    name = text[opening + 1 : closing].decode(errors="replace")
    return Member(pid, name, fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[19]))


def cookie_of(pid: int) -> str | None:
    """The cookie that a process was started with; None where it has none, or is not ours to look at."""
    start = f"{COOKIE}=".encode()
    text = _read(f"/proc/{pid}/environ")
    if start not in text:
        return None
    return next((entry[len(start) :].decode() for entry in text.split(b"\0") if entry.startswith(start)), None)


class Census:
    """All living processes but ourselves, at one moment, with their cookies. Raises OSError where it cannot look."""

    def __init__(self) -> None:
        self.complete = True  # False: some have ended unseen, and may have forked before
        read = (read_member(pid) for pid in all_pids())
        members = [member for member in read if member is not None and member.alive and member.pid != os.getpid()]
        self._members = {member.pid: member for member in members}
        self._children: dict[int, list[int]] = {}
        self._groups: dict[int, list[int]] = {}
        self._cookies: dict[str, list[int]] = {}
        for member in members:
            self._children.setdefault(member.parent, []).append(member.pid)
            self._groups.setdefault(member.group, []).append(member.pid)
            cookie = cookie_of(member.pid)
            if cookie is not None:
                self._cookies.setdefault(cookie, []).append(member.pid)

    def family(self, cookie: str, group: int | None, also: Iterable[int] = ()) -> list[Member]:
        """Who has this cookie, is in this group, or is one of `also`, and all their descendants.

        The pids of `also` are to be looked up after this census was taken: then they mean whom it has met by them.
        """
        grouped = self._groups.get(group, ()) if group is not None else ()
        return self._with_descendants([*self._cookies.get(cookie, ()), *grouped, *also])

    def carriers(self, prefix: str, also: Iterable[int] = ()) -> list[Member]:
        """Who has a cookie that begins so, or is one of `also` (see `family`), and all their descendants."""
        carriers = [pid for cookie, pids in self._cookies.items() if cookie.startswith(prefix) for pid in pids]
        return self._with_descendants([*carriers, *also])

    def still(self, members: Iterable[Member]) -> list[int]:
        """The pids of those that live on, and are no later ones of the same pid."""
        there = self._members
        return [each.pid for each in members if each.pid in there and there[each.pid].started == each.started]

    def _with_descendants(self, roots: list[int]) -> list[Member]:
        found = {pid for pid in roots if pid in self._members}
        waiting = list(found)
        while waiting:
            for child in self._children.get(waiting.pop(), ()):
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return [self._members[pid] for pid in found]


def hold(member: Member) -> int | None:
    """A pidfd on exactly this process; None if it is gone. Raises OSError where no descriptor is free."""
    try:
        pidfd = os.pidfd_open(member.pid)
    except ProcessLookupError:
        return None
    again = read_member(member.pid)
    if again is None or again.started != member.started:
        os.close(pidfd)
        return None
    return pidfd


def _read(path: str) -> bytes:
    """Empty where the process is gone, or not ours to look at."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except PermissionError:
        return read_as_owner(path)
    except OSError as error:
        if error.errno in _NO_DESCRIPTOR:
            raise
        return b""
