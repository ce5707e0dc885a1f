"""Meets those that a census cannot meet: who forks and ends at once is gone before a walk through all has come to it.

So only newcomers are looked at, the newest first; what is being killed is suspended the moment it is known, and does
not fork again.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from procsup.runtime.trees.census import all_pids, cookie_of

_LONGEST = 0.02  # seconds; elsewhere on the machine somebody may start processes all the time
_QUIET_ROUNDS = 3  # so many without any newcomer: nobody runs away


def meet_newcomers(suspend: Callable[[str], bool], patience: float = 0.0) -> set[str]:
    """The cookies of those that come into being while this looks; whose cookie `suspend` accepts is suspended.

    It looks for `patience` seconds at least, or until it is quiet. A census finds the suspended afterwards. Raises
    OSError where it cannot look.
    """
    met: set[str] = set()
    known = set(all_pids())
    begun = time.monotonic()
    quiet = 0
    while (passed := time.monotonic() - begun) < patience or (quiet < _QUIET_ROUNDS and passed < _LONGEST):
        newcomers = sorted(set(all_pids()) - known, reverse=True)
        known.update(newcomers)
        quiet = 0 if newcomers else quiet + 1
        met.update(cookie for pid in newcomers if (cookie := _meet(pid, suspend)) is not None)
    return met


def _meet(pid: int, suspend: Callable[[str], bool]) -> str | None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        cookie = cookie_of(pid)
        # It lives still, so its pid has been nobody else's meanwhile: the cookie is its own.
        if cookie is not None and suspend(cookie) and _lives(pidfd):
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
        return cookie
    finally:
        os.close(pidfd)


def _lives(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)
