"""Where output goes: a descriptor that takes bytes without ever blocking the loop.

O_NONBLOCK belongs to the open file description, which the shell and the pipeline's other programs share with us; set
there it would break them. So each kind of descriptor has its own way not to block; the inherited one stays as it is.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
from collections.abc import Callable, Sequence

from procsup.value import Value

Buffer = bytes | memoryview

_MOST_BUFFERS = 512  # IOV_MAX is 1024 on Linux and macOS, and 16 where nobody runs this
# Measured with four busy writers: up to a third less CPU than with the usual 64 KiB, and little more to win above.
_PIPE_SIZE = 256 * 1024
_PTMX = (5, 2)  # /dev/ptmx: opening a terminal's master side again would make a new terminal


class Sink(Value):
    """`send` takes what it can of the buffers and says how much; raises BlockingIOError where that is nothing."""

    fd: int
    send: Callable[[Sequence[Buffer]], int]
    pollable: bool  # the loop can tell when it takes bytes again (files cannot be asked: they always take them)
    close: Callable[[], None]
    name: str = "standard output"  # for people
    lasting: bool = False  # an error is not the end of it, though the loop can tell when it takes bytes again


def open_stdout(fd: int, reopen: Callable[[int], int] | None = None) -> Sink:
    """A sink for an inherited descriptor. `reopen` exists so that tests can refuse it."""
    status = os.fstat(fd)
    if stat.S_ISSOCK(status.st_mode):
        return _socket_sink(fd)
    if not stat.S_ISFIFO(status.st_mode) and not os.isatty(fd):
        # Files, /dev/null: they take everything at once. Not opened anew, for the offset is shared as well.
        return Sink(fd, lambda buffers: os.writev(fd, buffers[:_MOST_BUFFERS]), False, _leave_open)
    try:
        own = (reopen or reopen_nonblocking)(fd)
    except OSError:
        # No /proc, a pipe made by another user (after su or sudo), a terminal of another mount namespace.
        return Sink(fd, _cautious_writer(fd), True, _leave_open)
    if stat.S_ISFIFO(status.st_mode):
        _widen(own)
    return Sink(own, lambda buffers: os.writev(own, buffers[:_MOST_BUFFERS]), True, lambda: os.close(own))


def reopen_nonblocking(fd: int) -> int:
    """The same pipe or terminal under a new open file description, which nobody shares."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
    if os.path.exists(f"/proc/self/fd/{fd}"):
        device = os.fstat(fd).st_rdev
        if (os.major(device), os.minor(device)) == _PTMX:
            raise OSError("the master side of a terminal cannot be opened twice")
        return os.open(f"/proc/self/fd/{fd}", flags)
    return os.open(os.ttyname(fd), flags)  # macOS: only terminals have a name to open again; pipes raise OSError


def _socket_sink(fd: int) -> Sink:
    own = socket.socket(fileno=os.dup(fd))  # a blocking socket object does not touch O_NONBLOCK
    return Sink(
        own.fileno(),
        lambda buffers: own.sendmsg(buffers[:_MOST_BUFFERS], [], socket.MSG_DONTWAIT),
        True,
        own.close,
    )


def _cautious_writer(fd: int) -> Callable[[Sequence[Buffer]], int]:
    """Asks before each write, and writes no more than fits for certain into what says that it is writable."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    # A pipe that is writable takes PIPE_BUF bytes. A terminal promises less: Linux calls one writable when fewer than
    # 256 characters wait in it.
    at_once = 256 if os.isatty(fd) else select.PIPE_BUF

    def send(buffers: Sequence[Buffer]) -> int:
        rest = memoryview(b"".join(buffers[:_MOST_BUFFERS]))[: 16 * at_once]
        sent = 0
        while sent < len(rest) and poll.poll(0):
            sent += os.write(fd, rest[sent : sent + at_once])
        if not sent:
            raise BlockingIOError
        return sent

    return send


def _widen(pipe: int) -> None:
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            if fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) < _PIPE_SIZE:
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        except OSError:
            pass  # the user's share of pipe memory is used up; the pipe is good enough as it is


def _leave_open() -> None:
    pass
