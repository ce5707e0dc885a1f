"""Learn that a child has ended, and how: from a pidfd in the loop, or from SIGCHLD where there are no pidfds.

Nothing here waits for pipes: "ended" and "its output is drained" are two facts.
"""

from __future__ import annotations

import os
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Protocol

from procsup.core.model import Exit

# A dead child that its tracer holds back from us is asked for so often, in seconds.
_ASK_AGAIN = 0.2

OnExit = Callable[[int, Exit], None]


class ExitWatch(Protocol):
    """Calls `on_exit(pid, exit)` once for each pid that it watches, after reaping it."""

    def watch(self, pid: int, pidfd: int | None = None) -> None: ...
    def close(self) -> None: ...


def exit_of(code: int, status: int) -> Exit:
    """From the `si_code` and `si_status` of waitid."""
    if code == os.CLD_EXITED:
        return Exit(status)
    return Exit(128 + status, signal=status)


class PidfdWatch:
    """One pidfd per child: readable when the child has ended; a pid cannot be confused with its next owner."""

    def __init__(self, loop: AbstractEventLoop, on_exit: OnExit) -> None:
        self._loop = loop
        self._on_exit = on_exit
        self._pidfds: dict[int, int] = {}

    @staticmethod
    def available() -> bool:
        try:
            os.close(os.pidfd_open(os.getpid()))
        except (AttributeError, OSError):
            return False
        return True

    def watch(self, pid: int, pidfd: int | None = None) -> None:
        """Takes the pidfd over, if there is one already. Raises OSError where none is to be had."""
        if pidfd is None:
            pidfd = os.pidfd_open(pid)
        self._pidfds[pid] = pidfd
        self._loop.add_reader(pidfd, self._ended, pid, pidfd)

    def close(self) -> None:
        for pidfd in self._pidfds.values():
            self._loop.remove_reader(pidfd)
            os.close(pidfd)
        self._pidfds.clear()

    def _ask_again(self, pid: int, pidfd: int) -> None:
        if self._pidfds.get(pid) == pidfd:
            self._loop.add_reader(pidfd, self._ended, pid, pidfd)

    def _ended(self, pid: int, pidfd: int) -> None:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
        self._loop.remove_reader(pidfd)
        if result is None:  # dead, and held back from us by a tracer (strace, gdb) that has not taken note of it yet
            self._loop.call_later(_ASK_AGAIN, self._ask_again, pid, pidfd)
            return
        os.close(pidfd)
        del self._pidfds[pid]
        self._on_exit(pid, exit_of(result.si_code, result.si_status))


class SigchldWatch:
    """SIGCHLD says that some child ended; which one is asked of each, as several signals may come as one."""

    def __init__(self, loop: AbstractEventLoop, on_exit: OnExit) -> None:
        self._loop = loop
        self._on_exit = on_exit
        self._pids: set[int] = set()
        loop.add_signal_handler(signal.SIGCHLD, self._some_ended)

    def watch(self, pid: int, pidfd: int | None = None) -> None:
        if pidfd is not None:
            os.close(pidfd)
        self._pids.add(pid)
        self._loop.call_soon(self._ask, pid)  # it may have ended before it was known here

    def close(self) -> None:
        self._loop.remove_signal_handler(signal.SIGCHLD)
        self._pids.clear()

    def _some_ended(self) -> None:
        for pid in tuple(self._pids):
            self._ask(pid)

    def _ask(self, pid: int) -> None:
        if pid not in self._pids:
            return
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        if result is not None:
            self._pids.discard(pid)
            self._on_exit(pid, exit_of(result.si_code, result.si_status))


def choose_watch(loop: AbstractEventLoop, on_exit: OnExit, portable: bool) -> ExitWatch:
    """The best this machine has; `portable` asks for the one that works everywhere."""
    if PidfdWatch.available() and not portable:
        return PidfdWatch(loop, on_exit)
    return SigchldWatch(loop, on_exit)
