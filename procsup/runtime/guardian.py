"""A process of its own that sleeps until the supervisor is gone, and ends what it left if it went without a word.

It waits on a pipe whose other end only the supervisor holds: the kernel closes that however the supervisor ends. It
has a session of its own and is deaf to the signals that a whole group or cgroup may get at once.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NamedTuple, NoReturn

from procsup.core.model import StopPlan
from procsup.runtime.inherited import OURS, descriptors_in_use
from procsup.runtime.leftovers import end_leftovers

_GOODBYE = b"."


class Guardian(NamedTuple):
    pid: int
    pipe: int

    def dismiss(self) -> None:
        """All is down: it has nothing to do any more."""
        with suppress(BrokenPipeError):
            os.write(self.pipe, _GOODBYE)
        os.close(self.pipe)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def alarm(self) -> None:
        """We end in error: it shall see to what is left, as if we had been killed."""
        os.close(self.pipe)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def post_guardian(prefix: str, plan: StopPlan) -> Guardian:
    """Fork one that will end, by the plan, all processes whose cookie begins with `prefix`."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        _guard(ours, prefix, plan)
    os.close(ours)
    return Guardian(pid, theirs)


def _guard(pipe: int, prefix: str, plan: StopPlan) -> NoReturn:
    try:
        os.setsid()
        for number in (*OURS, signal.SIGPIPE, signal.SIGTSTP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)
        for descriptor in descriptors_in_use():
            if descriptor not in (2, pipe):
                with suppress(OSError):
                    os.close(descriptor)
        if not os.read(pipe, 1):
            found, left = end_leftovers(prefix, plan)
            if found:
                print(
                    f"procsup: the supervisor was killed; stopped the {len(found)} processes it left"
                    + (f", {len(left)} of them outlive SIGKILL" if left else ""),
                    file=sys.stderr,
                )
    finally:
        os._exit(0)
