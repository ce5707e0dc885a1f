"""Sockets that procsup itself listens on, for types that take one over: no connection is refused while copies change.

All instances of the type get the same socket as descriptor 3, with LISTEN_FDS and LISTEN_PID, as systemd's activation
has it. It stays open from the first start to the last stop, over restarts and reloads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from procsup.config.project import Project
from procsup.errors import ProcsupError

if TYPE_CHECKING:
    import socket  # which is not loaded before the first child is started, where no type has one

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
        wanted: dict[str, str] = {}
        for name, address in addresses.items():
            if address not in self._opened:
                wanted.setdefault(address, name)
        if wanted:
            self._opened |= _all_or_none(wanted, project.root)
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


def _all_or_none(wanted: Mapping[str, str], root: str) -> dict[str, socket.socket]:
    """By address; `wanted` has the type that is to be named where that cannot be. Raises ProcsupError."""
    from procsup.runtime.server_socket import listen

    fresh: dict[str, socket.socket] = {}
    try:
        for address, name in wanted.items():
            fresh[address] = listen(name, address, root)
    except ProcsupError:
        for opened in fresh.values():
            _close(opened)
        raise
    return fresh


def _close(listening: socket.socket) -> None:
    where = listening.getsockname()  # a path, or an address and a port
    listening.close()
    if isinstance(where, str) and where:
        with suppress(OSError):
            os.unlink(where)
