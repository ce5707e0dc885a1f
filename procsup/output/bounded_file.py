"""A file as standard output that cannot fill the disk: at its limit it becomes `NAME.1`, and a new one begins.

For supervisors in the background, whose output nobody sees as it comes. Whoever moves or removes the file finds a new
one in its place as soon as there is something to write.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from procsup.output.sink import Buffer, Sink

LIMIT = 10 * 1024 * 1024


class BoundedFile:
    """Stands behind `fd`, which whoever writes to it directly (a traceback, say) shares, and behind those in `also`."""

    def __init__(self, path: str, fd: int, limit: int = LIMIT, *, also: Sequence[int] = ()) -> None:
        self._path = path
        self._fd = fd
        self._all = (fd, *also)
        self._limit = limit
        self._written: tuple[int, int] | None = None  # device and inode of the file that is being written to
        self.reopen()

    def reopen(self) -> None:
        """Go on in the file of that name, whatever became of the one before; if it cannot be, the next write tells."""
        with contextlib.suppress(OSError):
            self._open()

    def sink(self) -> Sink:
        return Sink(self._fd, self._send, False, lambda: None, f"the log {self._path}")

    def _send(self, buffers: Sequence[Buffer]) -> int:
        if not self._in_place():
            self._open()
        return os.writev(self._fd, buffers[:512])

    def _in_place(self) -> bool:
        """Whether the path leads to the file that is being written to, and there is room in it."""
        try:
            found = os.stat(self._path)  # a microsecond; and it knows the size after somebody has emptied the file, too
            if (found.st_dev, found.st_ino) != self._written:
                return False
            if found.st_size < self._limit:
                return True
            os.replace(self._path, self._path + ".1")
        except FileNotFoundError:
            pass
        return False

    def _open(self) -> None:
        self._written = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            fresh = os.open(self._path, flags, 0o600)
        except FileNotFoundError:
            _make_folders(os.path.dirname(os.path.abspath(self._path)))
            fresh = os.open(self._path, flags, 0o600)
        try:
            for fd in self._all:
                os.dup2(fresh, fd)
            found = os.fstat(fresh)
        finally:
            os.close(fresh)
        self._written = (found.st_dev, found.st_ino)


def _make_folders(folder: str) -> None:
    """Not os.makedirs, which leaves those in between to the umask."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        _make_folders(os.path.dirname(folder))
        _make_folders(folder)
