"""Hears what processes say of themselves, as sd_notify(3) describes it: `READY=1`, `STATUS=loading the model`.

A socket for each copy of an instance: whose a message is shows where it came in, also when its sender has ended long
before it is read, as a short-lived program does; and a late word of one copy is none of the next one's.

Everybody on the machine can reach it. The kernel says with each message which process has sent it, as which user. One
that lives has to belong to the instance, by the cookie in its environment or that of those it descends from. Of one
that is gone nothing but its user can be known: it has to be the instance's own, or root, whose processes could read
the cookie as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from procsup.core.model import InstanceName
from procsup.runtime.trees.census import cookie_of, instance_cookie, read_member
from procsup.value import Value

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop  # which is not loaded yet when the first child is started

_LONGEST = 4096  # bytes of a message; the kernel cuts off the rest
_MOST_DESCRIPTORS = 253  # that may come with a message (SCM_MAX_FD); we close them: who waits for that is let go
_CREDENTIALS = 12  # struct ucred: pid, uid, gid
_AT_ONCE = 64  # messages, before others have their turn
_ANCESTORS = 64

Heard = Callable[[InstanceName, Mapping[str, str]], None]


class NotifySocket(Value):
    """`user` is who the instance runs as."""

    socket: socket.socket
    user: int


class NotifySockets:
    """`cookie` is what the cookies of this run begin with.

    They have names in no folder: a process that runs as another user can reach its own, too.
    """

    def __init__(self, cookie: str) -> None:
        self._cookie = cookie
        self._opened: dict[InstanceName, NotifySocket] = {}
        self._loop: AbstractEventLoop | None = None

    def open(self, name: InstanceName, user: int) -> str:
        """For NOTIFY_SOCKET of a copy that is about to be started. Raises OSError where there can be none."""
        import socket  # not where nobody has one

        if not hasattr(socket, "SO_PASSCRED"):
            raise OSError(0, 'ready = "notify" works on Linux only')
        self.close(name)
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            # What nobody can guess nobody can have taken.
            address = f"procsup-notify-{os.getpid()}-{os.urandom(8).hex()}"
            opened.bind(f"\0{address}")
        except OSError:
            opened.close()
            raise
        self._opened[name] = NotifySocket(opened, user)
        return f"@{address}"

    def listen(self, name: InstanceName, loop: AbstractEventLoop, heard: Heard) -> None:
        """From now on `heard` gets what its copy says; before that, messages wait."""
        mine = self._opened.get(name)
        if mine is not None:
            self._loop = loop
            loop.add_reader(mine.socket, self._readable, name, mine, heard)

    def listen_to_all(self, loop: AbstractEventLoop, heard: Heard) -> None:
        for name in self._opened:
            self.listen(name, loop, heard)

    def close(self, name: InstanceName) -> None:
        """Nothing is left of its copy. Who still waits to be let go, is."""
        mine = self._opened.pop(name, None)
        if mine is not None:
            if self._loop is not None:
                self._loop.remove_reader(mine.socket)
            mine.socket.close()

    def close_all(self) -> None:
        for name in list(self._opened):
            self.close(name)

    def _readable(self, name: InstanceName, mine: NotifySocket, heard: Heard) -> None:
        import socket

        room = socket.CMSG_SPACE(_CREDENTIALS) + socket.CMSG_SPACE(4 * _MOST_DESCRIPTORS)
        for _ in range(_AT_ONCE):
            try:
                message, extra, _, _ = mine.socket.recvmsg(_LONGEST, room, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return
            pid, user = 0, -1
            descriptors: list[int] = []
            for level, kind, data in extra:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                    pid, user, _ = memoryview(data).cast("i")
                elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    descriptors += memoryview(data[: len(data) // 4 * 4]).cast("i")
            try:
                if self._may_speak_for(name, mine.user, pid, user):
                    heard(name, _said(message))
            finally:  # BARRIER=1: whoever waits for this knows that all before was heard
                for each in descriptors:
                    os.close(each)

    def _may_speak_for(self, name: InstanceName, its_user: int, pid: int, user: int) -> bool:
        try:
            known = self._belongs_to(name, pid)
        except OSError:  # no descriptor to look with
            known = None
        return user in (0, its_user) if known is None else known

    def _belongs_to(self, name: InstanceName, pid: int) -> bool | None:
        """None where that cannot be seen any more: it has ended, or an ancestor, or all it has is that it is ours."""
        if pid == 0:  # none that we could see, so none of those that we have started
            return False
        for _ in range(_ANCESTORS):
            cookie = cookie_of(pid)
            if cookie is not None and cookie.startswith(self._cookie):
                return cookie == instance_cookie(self._cookie, name)
            member = read_member(pid)
            if member is None or member.parent == os.getpid():
                return None
            if member.parent in (0, 1):
                return False
            pid = member.parent
        return False


def _said(message: bytes) -> dict[str, str]:
    lines = (line.partition("=") for line in message.decode(errors="replace").split("\n"))
    return {key: "".join(each if each.isprintable() else " " for each in value) for key, _, value in lines if key}
