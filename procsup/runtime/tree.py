"""What an instance left behind when its leader ended: the rest of its process group, and what got away from the group.

While the leader lives (or is not reaped yet) its pid names the group safely. Afterwards the others are looked up in
/proc, by group, by cookie and by descent, and each is held by a pidfd, so that a pid which the kernel has given to
somebody else is never signalled.
"""

from __future__ import annotations

import os
import signal
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from contextlib import suppress

from procsup.runtime.census import Census, Member, hold

# Where there are no pidfds (left), or something is being killed that may fork meanwhile, it is looked at so often.
LOOK_AGAIN = 0.1


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Remains:
    """Calls `on_gone` once, when two looks in a row have found nobody.

    `look` takes a census, which several may share that look at the same moment.
    `sent` is the last signal that the group was sent while the leader lived: who is outside the group gets it now.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        group: int,
        cookie: str,
        look: Callable[[], Census],
        on_gone: Callable[[], None],
        *,
        sent: int | None = None,
        portable: bool = False,
    ) -> None:
        self._loop = loop
        self._group = group
        self._cookie = cookie
        self._census = look
        self._on_gone = on_gone
        self._portable = portable
        self._held: dict[int, tuple[int, Member]] = {}
        self._timer: TimerHandle | None = None
        self._killing = sent == signal.SIGKILL
        self._empty_looks = 0
        self._look()
        if sent is not None:
            self._signal(sent, outside_only=True)

    def send(self, number: int) -> None:
        if self._portable:
            with suppress(OSError):
                os.killpg(self._group, number)
            return
        self._killing = number == signal.SIGKILL
        with suppress(OSError):
            self._hold()  # as many as can be held; the others get theirs when they are
        self._signal(number)
        if self._killing and self._timer is None:
            self._timer = self._loop.call_later(LOOK_AGAIN, self._look)

    def close(self) -> None:
        for pid in tuple(self._held):
            self._let_go(pid)
        if self._timer is not None:
            self._timer.cancel()

    def _signal(self, number: int, *, outside_only: bool = False) -> None:
        for pidfd, member in self._held.values():
            if not (outside_only and member.group == self._group):
                with suppress(OSError):
                    signal.pidfd_send_signal(pidfd, number)

    def _look(self) -> None:
        self._timer = None
        asks = self._portable
        try:
            alive = group_exists(self._group) if self._portable else self._hold()
        except OSError:
            alive = asks = True  # nobody is gone only because nobody could be looked up
        self._empty_looks = 0 if alive else self._empty_looks + 1
        if self._empty_looks == 2:
            self._loop.call_soon(self._on_gone)
        elif not alive:
            self._loop.call_soon(self._look)
        elif asks or self._killing:
            if self._killing:
                self._signal(signal.SIGKILL)
            self._timer = self._loop.call_later(LOOK_AGAIN, self._look)

    def _hold(self) -> bool:
        """Open a pidfd on each member that is not held yet, and say whether any is alive.

        Raises OSError where there is no descriptor to hold it with.
        """
        for member in self._census().family(self._cookie, self._group):
            if member.pid not in self._held:
                pidfd = hold(member)
                if pidfd is not None:
                    self._held[member.pid] = (pidfd, member)
                    self._loop.add_reader(pidfd, self._member_ended, member.pid)
        return bool(self._held)

    def _let_go(self, pid: int) -> None:
        pidfd, _ = self._held.pop(pid)
        self._loop.remove_reader(pidfd)
        os.close(pidfd)

    def _member_ended(self, pid: int) -> None:
        self._let_go(pid)
        if not self._held and self._timer is None:
            self._look()
