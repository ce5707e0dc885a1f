"""A file as standard output that cannot fill the disk: at its limit it becomes `NAME.1`, and a new one begins.

For supervisors in the background, whose output nobody sees as it comes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from procsup.output.sink import Buffer, Sink

LIMIT = 10 * 1024 * 1024


class BoundedFile:
    """Stands behind `fd`, which whoever writes to it directly (a traceback, say) shares."""

    def __init__(self, path: str, fd: int, limit: int = LIMIT) -> None:
        self._path = path
        self._fd = fd
        self._limit = limit
        self._size = 0
        self.reopen()

    def reopen(self) -> None:
        """Go on in the file of that name, whatever became of the one before."""
        fresh = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.dup2(fresh, self._fd)
        os.close(fresh)
        self._size = os.fstat(self._fd).st_size

    def sink(self) -> Sink:
        return Sink(self._fd, self._send, False, lambda: None)

    def _send(self, buffers: Sequence[Buffer]) -> int:
        if self._size >= self._limit:
            os.replace(self._path, self._path + ".1")
            self.reopen()
        sent = os.writev(self._fd, buffers[:512])
        self._size += sent
        return sent
