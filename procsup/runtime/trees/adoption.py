"""Children that are ours without our having started them: what lost its parent comes to us, not to init.

As a sub-reaper (or as PID 1 of a container) the supervisor is the new parent of whatever its instances leave behind,
so one look at our own children says whether anybody got away; and it reaps them when they end.
"""

from __future__ import annotations

import os
import signal
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Container, Set
from contextlib import suppress

from procsup.runtime.trees.census import Census, cookie_of

_PR_SET_CHILD_SUBREAPER = 36
# A zombie that is not an instance's waits so long for others that may end with it.
_REAP_TOGETHER = 0.05


def be_subreaper(wanted: bool) -> bool:
    """Whether it worked: on Linux only. Counts for the children that are there already, too."""
    import ctypes  # after the first children have been started: it is not light

    try:
        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


class Adoption:
    """`known` are the pids that somebody else waits for; `cookie` is that of this run."""

    def __init__(self, loop: AbstractEventLoop, known: Container[int], cookie: str) -> None:
        self._loop = loop
        self._known = known
        self._children = f"/proc/self/task/{os.getpid()}/children"
        self._timer: TimerHandle | None = None
        self.buried = 0  # how many have ended that came to us, so far
        self.works = be_subreaper(True) and os.path.exists(self._children)
        self._reaping = False
        self._escaped = _escaped(cookie) if self.works else set()

    def begin_to_reap(self) -> None:
        """Once `known` knows the first children. As PID 1 we may have some already that ended before we listened."""
        if self.works and not self._reaping:
            self._reaping = True
            self._loop.add_signal_handler(signal.SIGCHLD, self._some_child_ended)
            self._some_child_ended()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.works:
            be_subreaper(False)
            self._loop.remove_signal_handler(signal.SIGCHLD)

    def go_on(self, escaped: Set[str]) -> None:
        """In the place of another, who knew who has escaped; somebody may have ended meanwhile."""
        self._escaped |= escaped
        self.begin_to_reap()

    def strangers(self) -> list[int]:
        """Our children that nobody waits for, but for those that are dead: these are reaped."""
        return [pid for pid in self._adopted() if not self._bury(pid)]

    def owners(self) -> set[str] | None:
        """The cookies of those that got away from their instance; None where somebody has ended before he was asked."""
        before = self.buried
        found = set(self._escaped)
        for pid in self._adopted():
            cookie = cookie_of(pid)
            if cookie is not None:
                found.add(cookie)
            else:
                self._bury(pid)
        return found if self.buried == before else None

    def end_strangers(self) -> int:
        """SIGKILL to those that are left, which nothing else could find; how many they were.

        Not to the suspected unkillable: who carries a cookie was found before.
        """
        strangers = [pid for pid in self.strangers() if cookie_of(pid) is None]
        for pid in strangers:
            with suppress(ProcessLookupError, PermissionError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)  # our own child and not reaped: the pid is its own
                os.waitpid(pid, 0)
        return len(strangers)

    def _adopted(self) -> list[int]:
        if not self.works:
            return []
        with open(self._children, "rb") as file:
            return [pid for pid in map(int, file.read().split()) if pid not in self._known]

    def _bury(self, pid: int) -> bool:
        """Whether it was dead."""
        try:
            dead = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None
        except ChildProcessError:
            return True
        self.buried += dead
        return dead

    def _some_child_ended(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_REAP_TOGETHER, self._reap)

    def _reap(self) -> None:
        self._timer = None
        with suppress(OSError):
            self.strangers()


def _escaped(cookie: str) -> set[str]:
    """The cookies of those that lost their parent to init, in the moment before we became their sub-reaper."""
    try:
        family = {member.pid: member for member in Census().carriers(cookie)}
    except OSError:
        return set()
    lost = (pid for pid, member in family.items() if member.parent != os.getpid() and member.parent not in family)
    return {found for pid in lost if (found := cookie_of(pid)) is not None}
