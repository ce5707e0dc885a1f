"""The last line of a terminal: how everybody is, always below what scrolls, and gone as soon as it would be in the way.

It is wiped before anything is written and drawn again when the output has paused for a moment, so a busy child is not
slowed down by it. No timer runs while nothing changes. Pinned, it keeps the last row to itself, and what is above it
belongs to another program.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_PAUSE = 0.05  # seconds after the last output
_WIPE = b"\r\x1b[2K"
_NO_WRAP, _WRAP = b"\x1b[?7l", b"\x1b[?7h"  # a line that is too long is cut by the terminal, not folded


class Foot:
    """`idle`: whether the line may stand there now; not, say, while a prompt waits for its answer at the end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, write: Callable[[bytes], None], idle: Callable[[], bool]
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._write = write
        self._idle = idle
        self._text = ""
        self._drawn = ""
        self._timer: asyncio.TimerHandle | None = None
        self._row = 0  # where it is pinned

    def show(self, text: str) -> None:
        """From now on this; an empty one takes the line away."""
        if text == self._text:
            return
        self._text = text
        self._later()

    def wipe(self) -> bytes:
        """What must be written before anything else is."""
        if self._text:
            self._later()
        if not self._drawn or self._row:
            return b""
        self._drawn = ""
        return _WIPE

    def pin(self, rows: int) -> None:
        """Keep the last of so many rows; the others scroll without it."""
        self._write(self.wipe() + b"\n\x1b7\x1b[1;%dr\x1b8\x1b[A" % (rows - 1))
        self._row = rows
        self.redraw()

    def unpin(self) -> None:
        if self._row:
            self._write(b"\x1b7\x1b[r\x1b[%d;1H\x1b[2K\x1b8" % self._row)
            self._row = 0
            self.redraw()

    def redraw(self) -> None:
        """The terminal has another size, or takes output again."""
        self._drawn = ""
        if self._text:
            self._later()

    def close(self) -> None:
        self._text = ""
        self.unpin()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._drawn:
            self._drawn = ""
            self._write(_WIPE)

    def _later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_PAUSE, self._draw)

    def _draw(self) -> None:
        self._timer = None
        if self._text == self._drawn or not self._idle():
            return
        self._drawn = self._text
        cut = self._text[: max(1, self._columns() - 1)]
        line = _WIPE + _NO_WRAP + cut.encode(errors="replace") + _WRAP
        self._write(b"\x1b7\x1b[%d;1H%s\x1b8" % (self._row, line) if self._row else line)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._fd).columns or 80
        except OSError:
            return 80
