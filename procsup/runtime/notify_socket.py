"""Hears what processes say of themselves, as sd_notify(3) describes it: `READY=1`, `STATUS=loading the model`.

One socket for all. The kernel says with each message which process has sent it; whose it is is read from the cookie,
its own or that of those it descends from, so nobody can speak for somebody else's instance.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from procsup.runtime.census import cookie_of, read_member

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop  # which is not loaded yet when the first child is started

_LONGEST = 4096  # bytes of a message; the kernel cuts off the rest
_MOST_DESCRIPTORS = 64  # that come with a message, which we only close: who waits for that (BARRIER=1) is let go
_CREDENTIALS = 12  # struct ucred: pid, uid, gid
_AT_ONCE = 64  # messages, before others have their turn
_ANCESTORS = 64

Heard = Callable[[str, Mapping[str, str]], None]


class NotifySocket:
    """`cookie` is what the cookies of this run begin with. The socket is there from the first `address()` on.

    It has a name in no folder: a process that runs as another user can reach it, too.
    """

    def __init__(self, cookie: str) -> None:
        self._cookie = cookie
        self._socket: socket.socket | None = None
        self._loop: AbstractEventLoop | None = None

    def address(self) -> str:
        """For NOTIFY_SOCKET. Raises OSError where there can be none."""
        import socket  # not where nobody has one

        if self._socket is None:
            if not hasattr(socket, "SO_PASSCRED"):
                raise OSError(0, 'ready = "notify" works on Linux only')
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            try:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                opened.bind(f"\0procsup-notify-{os.getpid()}-{os.urandom(8).hex()}")
            except OSError:
                opened.close()
                raise
            self._socket = opened
        return "@" + bytes(self._socket.getsockname()[1:]).decode()

    def listen(self, loop: AbstractEventLoop, heard: Heard) -> None:
        """From now on `heard` gets the name of the instance and what it says; before that, messages wait."""
        if self._loop is None and self._socket is not None:
            self._loop = loop
            loop.add_reader(self._socket, self._readable, self._socket, heard)

    def close(self) -> None:
        if self._socket is not None:
            if self._loop is not None:
                self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _readable(self, opened: socket.socket, heard: Heard) -> None:
        import socket

        room = socket.CMSG_SPACE(_CREDENTIALS) + socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS)
        for _ in range(_AT_ONCE):
            try:
                message, extra, _, _ = opened.recvmsg(_LONGEST, room)
            except OSError:
                return
            sender = 0
            for level, kind, data in extra:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                    sender = memoryview(data).cast("i")[0]
            # Whose it is has to be seen while the sender lives: some wait for their descriptor to be closed.
            name = self._owner(sender)
            for level, kind, data in extra:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    for descriptor in memoryview(data[: len(data) // 4 * 4]).cast("i"):
                        os.close(descriptor)
            if name is not None:
                heard(name, _said(message))

    def _owner(self, pid: int) -> str | None:
        """The instance to whose tree a process belongs."""
        try:
            for _ in range(_ANCESTORS):
                cookie = cookie_of(pid)
                if cookie is not None and cookie.startswith(self._cookie):
                    return cookie.removeprefix(self._cookie).removesuffix(";")
                member = read_member(pid)
                if member is None or member.parent in (0, 1, os.getpid()):
                    return None
                pid = member.parent
        except OSError:  # no descriptor to look with
            pass
        return None


def _said(message: bytes) -> dict[str, str]:
    lines = (line.partition("=") for line in message.decode(errors="replace").split("\n"))
    return {key: "".join(each if each.isprintable() else " " for each in value) for key, _, value in lines if key}
