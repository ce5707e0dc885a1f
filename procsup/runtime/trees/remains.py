"""What an instance left behind when its leader ended: the rest of its process group, and what got away from the group.

While the leader lives (or is not reaped yet) its pid names the group safely. Afterwards the others are looked up in
/proc, by group, by cookie and by descent (and in their control group, where there is one), and each is held by a
pidfd, so that a pid which the kernel has given to somebody else is never signalled.

What is killed could fork faster than it is looked up. So all are suspended first, until a look finds nobody new.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Container
from contextlib import suppress
from typing import TYPE_CHECKING

from procsup.runtime.limits.cgroups import Cgroup
from procsup.runtime.trees.census import Census, Member, hold

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle  # the guardian and the sweep before a start have no loop

# Where there are no pidfds (left), or something is being killed that may fork meanwhile, it is looked at so often.
LOOK_AGAIN = 0.1
# A control group says that somebody lives whom no look finds: he is most likely just about to be gone.
LOOK_SOON = 0.002
# So many looks may be called in question because somebody, perhaps of another instance, ended unseen meanwhile; and so
# long after each, in seconds, comes the next.
DOUBTS = 40
IN_DOUBT = 0.01
# So many looks in a row may each find somebody new to suspend; then those found are killed, and it begins anew.
ROUNDS = 20


_SUSPENDING = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def so_that_it_is_heard(number: int) -> tuple[int, ...]:
    """A signal together with SIGCONT, for a process that is suspended hears nothing.

    The kernel forgets a signal that suspends when SIGCONT comes behind it, so it stands in front of these.
    """
    if number in (signal.SIGKILL, signal.SIGSTOP):
        return (number,)
    return (signal.SIGCONT, number) if number in _SUSPENDING else (number, signal.SIGCONT)


def group_exists(group: int) -> bool:
    """Whether anybody is left in the group of a leader that has been reaped.

    If there is a process with the leader's pid, it is another: the kernel gives the number away only when the group is
    gone, and what is called so now is his.
    """
    try:
        os.kill(group, 0)
    except ProcessLookupError:
        pass
    except PermissionError:
        return False
    else:
        return False
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Remains:
    """Calls `on_gone` once, when two looks in a row have found nobody.

    `look` takes a census, and `chase` says whose processes it met that no census meets; several may share either that
    look at the same moment.
    `sent` is the last signal that the group was sent while the leader lived: who is outside the group gets it now.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        group: int | None,
        cookie: str,
        look: Callable[[], Census],
        on_gone: Callable[[], None],
        *,
        chase: Callable[[], Container[str]] = frozenset,
        cgroup: Cgroup | None = None,
        sent: int | None = None,
        portable: bool = False,
    ) -> None:
        self._loop = loop
        self._group = group  # None once it is gone: the number may be somebody else's from then on
        self._cookie = cookie
        self._census = look
        self._chase = chase
        self._on_gone = on_gone
        self._cgroup = cgroup
        self._portable = portable
        self._held: dict[int, tuple[int, Member]] = {}
        self._timer: TimerHandle | None = None
        self._killing = sent == signal.SIGKILL
        self._suspended: set[int] = set()
        self._rounds = 0
        self._doubts = DOUBTS
        self._empty_looks = 0
        self._pause = LOOK_SOON
        self._look()
        if sent is not None and not self._killing:
            self._signal(sent, outside_only=True)

    def send(self, number: int) -> None:
        if self._portable:
            group = self._look_at_group()
            if group is not None:
                with suppress(OSError):
                    os.killpg(group, number)
            return
        self._killing = number == signal.SIGKILL
        if self._killing:
            self._look_in(0)  # it kills all that it finds
            return
        with suppress(OSError):
            self._hold()  # as many as can be held; the others get theirs when they are
        self._signal(number)

    def close(self) -> None:
        for pid in tuple(self._held):
            self._let_go(pid)
        if self._timer is not None:
            self._timer.cancel()

    def _signal(self, number: int, *, outside_only: bool = False) -> None:
        for pidfd, member in self._held.values():
            if not (outside_only and member.group == self._group):
                _send(pidfd, number)

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        asks = self._portable
        try:
            alive = self._look_at_group() is not None if self._portable else self._hold()
        except OSError:
            alive = asks = True  # nobody is gone only because nobody could be looked up
        if not alive and self._cgroup is not None and self._cgroup.populated():
            alive = asks = True
        if not alive and self._in_doubt():
            self._empty_looks = 0
            self._look_in(IN_DOUBT)
            return
        self._empty_looks = 0 if alive else self._empty_looks + 1
        if self._empty_looks == 2:
            self._loop.call_soon(self._on_gone)
        elif not alive:
            self._look_in(0)
        elif self._killing:
            self._kill()
        elif asks:
            self._look_after_a_pause()

    def _in_doubt(self) -> bool:
        """Whether somebody may be there though nobody was found. Not for ever: others' ends make us doubt as well."""
        if self._portable or self._doubts == 0:
            return False
        doubt = not self._census().complete or (self._empty_looks == 0 and self._cookie in self._chase())
        self._doubts -= doubt
        return doubt

    def _look_after_a_pause(self) -> None:
        self._look_in(LOOK_AGAIN if self._held or self._portable else self._pause)
        self._pause = min(2 * self._pause, LOOK_AGAIN)

    def _kill(self) -> None:
        if self._cgroup is not None:
            self._cgroup.kill()
        running = self._held.keys() - self._suspended
        if running and self._rounds < ROUNDS:
            self._rounds += 1
            for pid in running:
                _send(self._held[pid][0], signal.SIGSTOP)
            self._suspended |= running
            self._look_in(0)
            return
        self._rounds = 0
        self._signal(signal.SIGKILL)
        self._look_after_a_pause()

    def _look_at_group(self) -> int | None:
        if self._group is not None and not group_exists(self._group):
            self._group = None
        return self._group

    def _hold(self) -> bool:
        """Open a pidfd on each member that is not held yet, and say whether any is alive.

        Raises OSError where there is no descriptor to hold it with.
        """
        census = self._census()
        group = self._look_at_group()  # after the census: a group that is still ours was ours in it, too
        for member in census.family(self._cookie, group, self._cgroup.pids() if self._cgroup is not None else ()):
            if member.pid not in self._held:
                pidfd = hold(member)
                if pidfd is not None:
                    self._held[member.pid] = (pidfd, member)
                    self._loop.add_reader(pidfd, self._member_ended, member.pid)
        return bool(self._held)

    def _let_go(self, pid: int) -> None:
        pidfd, _ = self._held.pop(pid)
        self._suspended.discard(pid)
        self._loop.remove_reader(pidfd)
        os.close(pidfd)

    def _member_ended(self, pid: int) -> None:
        self._let_go(pid)
        self._look_at_group()
        if not self._held:
            self._look_in(0)


def _send(pidfd: int, number: int) -> None:
    with suppress(OSError):  # gone meanwhile, or not ours to signal
        signal.pidfd_send_signal(pidfd, number)
