"""Ends processes that no supervisor looks after any more, without an event loop: for the guardian, and at a start.

A pid that is read from /proc is held by a pidfd, looked at once more, and only then signalled.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from procsup.core.model import StopPlan
from procsup.runtime.census import Census, Member, hold

_LOOK_AGAIN = 0.05  # seconds between looks while something is being killed: it may have forked meanwhile


def end_leftovers(prefix: str, plan: StopPlan) -> tuple[list[Member], list[Member]]:
    """Stop all whose cookie begins with `prefix` by the plan, and look until two looks in a row find nothing.

    Returns who was found, and who outlived even SIGKILL. Blocks for as long as the plan takes.
    """
    found: dict[int, Member] = {}
    for step in plan:
        until = time.monotonic() + step.wait
        signalled: set[int] = set()
        empty_looks = 0
        while True:
            with _held(prefix) as held:
                found.update((member.pid, member) for member in held.values())
                if not held:
                    empty_looks += 1
                    if empty_looks == 2:
                        return list(found.values()), []
                    continue
                empty_looks = 0
                for pidfd, member in held.items():
                    if member.pid not in signalled or step.signal == signal.SIGKILL:
                        signalled.add(member.pid)
                        _send(pidfd, step.signal)
                left = until - time.monotonic()
                if left <= 0:
                    break
                _wait_for_one(held, min(left, _LOOK_AGAIN) if step.signal == signal.SIGKILL else left)
    return list(found.values()), Census().carriers(prefix)


@contextmanager
def _held(prefix: str) -> Iterator[dict[int, Member]]:
    """pidfd → member, for all that carry the cookie or descend from one that does."""
    held: dict[int, Member] = {}
    try:
        for member in Census().carriers(prefix):
            pidfd = hold(member)
            if pidfd is not None:
                held[pidfd] = member
        yield held
    finally:
        for pidfd in held:
            os.close(pidfd)


def _send(pidfd: int, number: int) -> None:
    for each in (number,) if number == signal.SIGKILL else (number, signal.SIGCONT):
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(pidfd, each)


def _wait_for_one(held: dict[int, Member], seconds: float) -> None:
    poll = select.poll()
    for pidfd in held:
        poll.register(pidfd, select.POLLIN)
    poll.poll(max(1, seconds * 1000))
