"""A terminal whose keys all go to somebody else: Ctrl-C too, and nothing is echoed here."""

from __future__ import annotations

import os
import termios
import tty
from contextlib import suppress
from types import TracebackType

LEAVE = b"\x1d"  # Ctrl-], as with telnet: no program needs it
TIDY = b"\x1b[0m\x1b[?25h"  # colours off, cursor on: who was cut off in the middle may have left it otherwise


class RawMode:
    """While this is entered. Leaving twice does no harm."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[object] | None = None

    def __enter__(self) -> RawMode:
        self._before = termios.tcgetattr(self._fd)
        tty.setraw(self._fd, termios.TCSANOW)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        with suppress(OSError):  # the terminal is gone
            os.write(self._fd, TIDY)

    def leave(self) -> None:
        """Without a word: to say TIDY is left to one who may not wait."""
        if self._before is None:
            return
        before, self._before = self._before, None
        with suppress(OSError, termios.error):  # the terminal is gone
            termios.tcsetattr(self._fd, termios.TCSANOW, before)  # type: ignore[arg-type]
