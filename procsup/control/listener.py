"""A listening socket in the file system that only its owner can open, and the knowledge whether it is still there."""

from __future__ import annotations

import os
import socket
import stat

from procsup.control.address import make_private
from procsup.errors import AlreadyRunning, ProcsupError
from procsup.value import Value

# Commands that arrive while the loop is busy wait here; more than this many at once get EAGAIN.
_BACKLOG = 128


class Listener(Value):
    socket: socket.socket
    path: str
    inode: tuple[int, int]

    def in_place(self) -> bool:
        """True while the path still leads to this very socket."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        # The number cannot be reused for another file: our socket holds on to its inode after it lost its name.
        return (found.st_dev, found.st_ino) == self.inode

    def close(self, *, remove: bool) -> None:
        if remove and self.in_place():
            os.unlink(self.path)
        self.socket.close()


def listen(path: str) -> Listener:
    """A new socket at the path, in a private folder that is made if need be; non-blocking.

    A dead socket there is replaced. AlreadyRunning if somebody answers at it, ProcsupError for what else is in the way.
    """
    make_private(os.path.dirname(path))
    _clear(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mask, and not a chmod afterwards: between the two anybody could connect.
        mask = os.umask(0o177)
        try:
            listening.bind(path)
        finally:
            os.umask(mask)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
        found = os.lstat(path)
    except OSError as error:
        listening.close()
        raise ProcsupError(f"cannot open the control socket {path}: {error.strerror or error}") from error
    return Listener(listening, path, (found.st_dev, found.st_ino))


def adopt(descriptor: int, inode: tuple[int, int], path: str) -> Listener:
    """One that another has made, and handed over. Raises OSError where it is none."""
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    return Listener(listening, path, inode)


def _clear(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise ProcsupError(f"{path} is in the way of the control socket and is none of ours; remove it")
    if _answers(path):
        raise AlreadyRunning(f"another supervisor listens at {path}; end that one first, with: procsup shutdown")
    os.unlink(path)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:  # its queue is full, so somebody is there
            return True
        except OSError:
            return False
        return True
