"""Opens one socket for a process type: TCP, or a path in the file system, which an earlier run may have left there."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from contextlib import suppress

from procsup.errors import ProcsupError
from procsup.runtime.listening import holder_of

BACKLOG = 2048  # what waits while nobody accepts; the kernel's own bound (net.core.somaxconn) may be lower


def listen(name: str, address: str, root: str) -> socket.socket:
    """At `HOST:PORT`, or at a path from the root. Raises ProcsupError, which names the type and who has the address."""
    try:
        return _unix(os.path.join(root, address)) if "/" in address else _inet(address)
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE and "/" not in address:
            why = f"in use by {holder_of(int(address.rpartition(':')[2])) or 'somebody'}"
        raise ProcsupError(f"{name} cannot have its socket {address}: {why}") from error


def _inet(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # those of the last run may be in TIME_WAIT
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            # Nobody accepts before the request is there. A server that stops closes at once what has asked nothing yet,
            # and so uvicorn lost one in some thousands of requests while it was being replaced all the time.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        listening.bind((host, int(port)))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _unix(path: str) -> socket.socket:
    """One that is there and that nobody listens at is left from a run that was killed, and replaced."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "something else of that name is there", path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            outcome = probe.connect_ex(path)
            if outcome in (0, errno.EAGAIN):  # it listens, and perhaps more wait for it than there is room for
                raise OSError(errno.EADDRINUSE, f"in use by {_other_end(probe) or 'somebody'}", path)
            if outcome != errno.ECONNREFUSED:
                raise OSError(outcome, os.strerror(outcome), path)
        os.unlink(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _other_end(connected: socket.socket) -> str | None:
    """Who listens at the path: the kernel knows who it was that began to."""
    from procsup.runtime.wording import describe_process  # rarely needed

    if not hasattr(socket, "SO_PEERCRED"):
        return None
    pid = int.from_bytes(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4), sys.byteorder)
    return describe_process(pid) if pid else None
