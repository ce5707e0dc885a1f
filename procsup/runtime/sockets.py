"""Sockets that procsup itself listens on, for types that take one over: no connection is refused while copies change.

All instances of the type get the same socket as descriptor 3, with LISTEN_FDS and LISTEN_PID, as systemd's activation
has it. It stays open from the first start to the last stop, over restarts and reloads.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress

from procsup.config.project import Project
from procsup.errors import ProcsupError
from procsup.runtime.listening import holder_of

BACKLOG = 2048  # what waits while nobody accepts; the kernel's own bound (net.core.somaxconn) may be lower

# A program has to see its own pid in LISTEN_PID, which nobody knows before it is there: a shell passes its own on.
WRAPPER = ("/bin/sh", "-c", 'export LISTEN_PID=$$; exec "$0" "$@"')


class Sockets:
    """Those of a project's types. Types that name the same address share one."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}  # by type, as the project says it
        self._opened: dict[str, socket.socket] = {}  # by address

    def open(self, project: Project) -> None:
        """Listen where the project says so, and no longer where it does not. What has not changed stays as it is.

        Raises ProcsupError where somebody else listens already; then nothing has changed.
        """
        found = {each.name: project.settings.of(each.name).socket for each in project.types}
        addresses = {name: address for name, address in found.items() if address is not None}
        fresh: dict[str, socket.socket] = {}
        try:
            for name, address in addresses.items():
                if address not in self._opened and address not in fresh:
                    fresh[address] = _listen(name, address, project.root)
        except ProcsupError:
            for opened in fresh.values():
                _close(opened)
            raise
        self._opened |= fresh
        self._addresses = addresses
        for address in self._opened.keys() - addresses.values():
            _close(self._opened.pop(address))

    def of(self, type_: str) -> int | None:
        """The descriptor to hand to a copy, if its type has one."""
        address = self._addresses.get(type_)
        return self._opened[address].fileno() if address is not None else None

    def close(self) -> None:
        while self._opened:
            _close(self._opened.popitem()[1])
        self._addresses = {}


def activation(type_: str) -> Mapping[str, str]:
    """The variables that go with a socket; LISTEN_PID is the wrapper's to set."""
    return {"LISTEN_FDS": "1", "LISTEN_FDNAMES": type_}


def _listen(name: str, address: str, root: str) -> socket.socket:
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


def _close(listening: socket.socket) -> None:
    path = listening.getsockname() if listening.family == socket.AF_UNIX else None
    listening.close()
    if path:
        with suppress(OSError):
            os.unlink(path)
