"""One log file: bytes are appended as they are, and at a line's end near its limit a new file begins.

Its descriptor may be closed between two writes; a thousand files need not all be open.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from procsup.output.rotation import Identity, identify, in_place, open_log, set_aside
from procsup.output.sink import Buffer


class LogFile:
    """`keep` older files stay beside it, `NAME.1` the youngest of them."""

    __slots__ = ("_at_line_start", "_fd", "_keep", "_limit", "_written", "path")

    def __init__(self, path: str, limit: int, keep: int) -> None:
        self.path = path
        self._limit = limit
        self._keep = keep
        self._fd: int | None = None
        self._written: Identity | None = None
        self._at_line_start = True

    @property
    def descriptor(self) -> int | None:
        return self._fd

    def append(self, buffers: Sequence[Buffer]) -> int:
        """How many bytes it took. Raises OSError where that is none of them."""
        fd, size = self._ready()
        if size + sum(map(len, buffers)) > self._limit:
            return self._append_in_turns(fd, b"".join(buffers), size)
        sent = os.writev(fd, buffers)
        self._at_line_start = buffers[-1][-1:] == b"\n"
        return sent

    def reopen(self) -> None:
        """If it is open: go on in the file that has its name now. Raises OSError."""
        if self._fd is not None:
            self.close()
            self._open()

    def close(self) -> None:
        """The next write opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _append_in_turns(self, fd: int, data: bytes, size: int) -> int:
        done = 0
        try:
            while done < len(data):
                cut = data.rfind(b"\n", done, max(done, done + self._limit - size)) + 1
                if not cut:
                    fresh = self._begin_anew() if size and self._at_line_start else None
                    if fresh is not None:
                        fd, size = fresh, 0
                        continue
                    # The rest of a line, or one that is longer than a whole file may be: lines are not torn.
                    cut = data.find(b"\n", done) + 1 or len(data)
                sent = os.write(fd, memoryview(data)[done:cut])
                self._at_line_start = done + sent == cut and data[cut - 1] == 0x0A
                size += sent
                done += sent
        except OSError:
            if not done:
                raise
        return done

    def _begin_anew(self) -> int | None:
        """None where the file cannot be set aside: it then grows, which is better than to lose what is said."""
        try:
            set_aside(self.path, self._keep)
        except OSError:
            return None
        self.close()
        return self._open()

    def _ready(self) -> tuple[int, int]:
        """The file that has the name now, which may be another one than before: its descriptor, and its size."""
        found = in_place(self.path, self._written)
        if found is None:
            self.close()
        if found is None or self._fd is None:
            fd = self._open()
            return fd, os.fstat(fd).st_size
        return self._fd, found.st_size

    def _open(self) -> int:
        fd, found = open_log(self.path)
        fresh = identify(found)
        if fresh != self._written:
            self._at_line_start = True
        self._fd, self._written = fd, fresh
        return fd
