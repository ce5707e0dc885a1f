"""A file as standard output that cannot fill the disk: at its limit it becomes `NAME.1`, and a new one begins.

For supervisors in the background, whose output nobody sees as it comes. Whoever moves or removes the file finds a new
one in its place as soon as there is something to write.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from procsup.output.rotation import Identity, identify, in_place, open_log, set_aside
from procsup.output.sink import Buffer, Sink

LIMIT = 10 * 1024 * 1024


class BoundedFile:
    """Stands behind `fd`, which whoever writes to it directly (a traceback, say) shares, and behind those in `also`."""

    def __init__(self, path: str, fd: int, limit: int = LIMIT, *, also: Sequence[int] = ()) -> None:
        self._path = path
        self._all = (fd, *also)
        self._fd = fd
        self._limit = limit
        self._written: Identity | None = None  # the file that is being written to
        self.reopen()

    def reopen(self) -> None:
        """Go on in the file of that name, whatever became of the one before; if it cannot be, the next write tells."""
        with contextlib.suppress(OSError):
            self._open()

    def sink(self) -> Sink:
        return Sink(self._fd, self._send, False, lambda: None, f"the log {self._path}")

    def _send(self, buffers: Sequence[Buffer]) -> int:
        if not self._fit():
            self._open()
        return os.writev(self._fd, buffers[:512])

    def _fit(self) -> bool:
        """Whether the path leads to the file that is being written to, and there is room in it."""
        found = in_place(self._path, self._written)
        if found is None:
            return False
        if found.st_size < self._limit:
            return True
        set_aside(self._path, 1)
        return False

    def _open(self) -> None:
        self._written = None
        fresh, found = open_log(self._path)
        try:
            for fd in self._all:
                os.dup2(fresh, fd)
        finally:
            os.close(fresh)
        self._written = identify(found)
