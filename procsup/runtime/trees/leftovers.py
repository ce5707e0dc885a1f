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

from procsup.core.rules import StopPlan, StopStep
from procsup.runtime.limits.cgroups import Cgroups
from procsup.runtime.trees.census import Census, Member, hold
from procsup.runtime.trees.chase import meet_newcomers
from procsup.runtime.trees.remains import so_that_it_is_heard

_LOOK_AGAIN = 0.05  # seconds between looks while something is being killed: it may have forked meanwhile
_LOOK_SOON = 0.005  # a control group says that somebody lives whom no look finds: most likely he is just dying
_PATIENCE = 0.03  # seconds that a chase goes on for, as nobody tells us of those that end unseen
_ROUNDS = 20  # so many looks in a row may each find somebody new to suspend


def end_leftovers(prefix: str, plan: StopPlan, cgroups: Cgroups | None = None) -> tuple[list[Member], list[Member]]:
    """Stop all whose cookie begins with `prefix`, or who are in a control group of ours, by the plan, and look until
    two looks in a row find nothing.

    Returns who was found, and who outlived even SIGKILL. Blocks for as long as the plan takes.
    """
    search = _Search(prefix, cgroups or Cgroups())
    try:
        for step in plan:
            if search.end_by(step):
                return list(search.found.values()), []
        return list(search.found.values()), search.look()
    finally:
        search.cgroups.tidy()


class _Search:
    def __init__(self, prefix: str, cgroups: Cgroups) -> None:
        self._prefix = prefix
        self.cgroups = cgroups
        self.found: dict[int, Member] = {}

    def look(self) -> list[Member]:
        census = Census()
        grouped = [pid for each in self.cgroups.every() for pid in each.pids()]
        # Who cleared its environment is known by its parents only, and these may have heard what it does not.
        return census.carriers(self._prefix, [*grouped, *census.still(self.found.values())])

    def end_by(self, step: StopStep) -> bool:
        """Whether all are gone before the step is over."""
        killing = step.signal == signal.SIGKILL
        until = time.monotonic() + step.wait
        signalled: set[int] = set()
        empty_looks = 0
        while True:
            with self._held() as held:
                hidden = not held and any(each.populated() for each in self.cgroups.every())
                if not held and not hidden:
                    empty_looks += 1
                    if empty_looks == 2:
                        return True
                    if killing and self.found:  # a census finds them now
                        meet_newcomers(lambda cookie: cookie.startswith(self._prefix), _PATIENCE)
                    continue
                empty_looks = 0
                if killing:
                    self._suspend(held)
                for pidfd, member in held.items():
                    if member.pid not in signalled or killing:
                        signalled.add(member.pid)
                        _send(pidfd, step.signal)
                left = until - time.monotonic()
                if left <= 0:
                    return False
                _wait_for_one(held, min(left, _LOOK_SOON if hidden else _LOOK_AGAIN if killing else left))

    def _suspend(self, held: dict[int, Member]) -> None:
        """All that are to be killed, until a look finds nobody new: who forks could be faster than we look."""
        for each in self.cgroups.every():
            each.kill()  # these the kernel ends at once
        running = list(held)
        for _ in range(_ROUNDS):
            for pidfd in running:
                _send(pidfd, signal.SIGSTOP)
            running = self._hold_more(held)
            if not running:
                return

    @contextmanager
    def _held(self) -> Iterator[dict[int, Member]]:
        """pidfd → member, for all that belong to us or descend from one that does."""
        held: dict[int, Member] = {}
        try:
            self._hold_more(held)
            yield held
        finally:
            for pidfd in held:
                os.close(pidfd)

    def _hold_more(self, held: dict[int, Member]) -> list[int]:
        """The pidfds of those that were not held yet."""
        known = {member.pid for member in held.values()}
        for member in self.look():
            if member.pid not in known and (pidfd := hold(member)) is not None:
                held[pidfd] = self.found[member.pid] = member
        return list(held)[len(known) :]


def _send(pidfd: int, number: int) -> None:
    for each in so_that_it_is_heard(number):
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(pidfd, each)


def _wait_for_one(held: dict[int, Member], seconds: float) -> None:
    poll = select.poll()
    for pidfd in held:
        poll.register(pidfd, select.POLLIN)
    poll.poll(max(1, seconds * 1000))
