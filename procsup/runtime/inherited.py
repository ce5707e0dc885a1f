"""What procsup was itself started with, and does not hand on: descriptors, blocked signals, what systemd says to us."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

# The signals that mean something to a supervisor; all of them would end a program that does not know them.
OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

# By these systemd says how the one that it has started may speak to it. A child that knew them would speak for us.
_BETWEEN_US_AND_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def for_children(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment, without what is meant for us alone."""
    return {key: value for key, value in environ.items() if key not in _BETWEEN_US_AND_SYSTEMD}


def undo_inherited_signals() -> None:
    """Whoever started us may have blocked some: we could not be stopped then. Or ignored SIGCHLD: the kernel would
    reap our children before we learn how they ended.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def hold_signals() -> None:
    """What would end us waits until `release_signals`: before the event loop runs, nobody could stop the children."""
    signal.pthread_sigmask(signal.SIG_BLOCK, OURS)


def hold_all_signals() -> set[signal.Signals | int]:
    """In a thread that has no business with them, or where this process is about to become another program.

    Returns what was held before.
    """
    return signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def prepare_descriptors() -> None:
    """Make sure that 0 to 2 are open, and that no child inherits what procsup itself inherited beyond them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    for descriptor in descriptors_in_use():
        if descriptor > 2:
            try:
                os.set_inheritable(descriptor, False)
            except OSError:
                continue  # the descriptor with which the folder was read


def descriptors_in_use() -> list[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return [int(name) for name in os.listdir(folder)]
        except OSError:
            continue
    return list(range(256))
