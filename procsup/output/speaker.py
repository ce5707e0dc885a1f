"""Makes lines of what one stream says, chunk by chunk: whole ones at once, an unfinished one after a silence.

Between whoever reads bytes (pump.py) and whoever wants lines (console.py, the log files). A timer exists only while a
part of a line waits for its end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from procsup.output.source import Source

if TYPE_CHECKING:
    from procsup.output.sanitize import Sanitizer

SILENCE = 0.2  # seconds after which a line without end is shown as far as it has come
HELD_AT_MOST = 64 * 1024  # of a line without end, before it is shown without waiting for silence


class Audience(Protocol):
    """Takes lines. `Console` is one, a file of lines another."""

    def lines(self, source: Source, head: bytes, data: bytes, end: int) -> None:
        """Whole lines: `head`, which has no newline, then `data` up to `end`, just after its last newline."""

    def partial(self, source: Source, text: bytes) -> None:
        """The next part of an unfinished line."""

    def ended(self, source: Source, rest: bytes, newline: bytes) -> None:
        """The source says no more than this rest of a line; `newline` is what would end it."""


class Speaker:
    """One stream's way to its audience. `sanitizer`: the filter that its bytes go through, if any."""

    __slots__ = ("_audience", "_deaf", "_heard", "_held", "_loop", "_sanitizer", "_silence", "_source", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: Source,
        audience: Audience,
        sanitizer: Sanitizer | None = None,
        silence: float = SILENCE,
    ) -> None:
        self._loop = loop
        self._source = source
        self._audience = audience
        self._sanitizer = sanitizer
        self._silence = silence
        self._held = b""  # the beginning of a line
        self._heard = 0.0  # when the last of it came
        self._timer: asyncio.TimerHandle | None = None
        self._deaf = False

    def say(self, chunk: bytes) -> None:
        sanitizer = self._sanitizer
        if sanitizer:
            if self._source.cut and not self._held:
                sanitizer.coloured = False  # whoever cut the line has reset the colours
            chunk = sanitizer.feed(chunk)
        end = chunk.rfind(b"\n") + 1
        if end:
            head, self._held = self._held, chunk[end:]
            self._audience.lines(self._source, head, chunk, end)
        else:
            self._held += chunk
        if sanitizer:
            self._source.coloured = sanitizer.coloured
        if len(self._held) >= HELD_AT_MOST:
            self._show_held()
        if self._held:
            self._await_more()

    def pause(self) -> None:
        """Nobody listens to the source for now: that it says nothing is no silence of its own."""
        self._deaf = True

    def resume(self) -> None:
        self._deaf = False
        if self._held:
            self._await_more()

    def say_all(self) -> None:
        """Show what is held, be the line finished or not."""
        self._show_held(whole=True)

    def end(self) -> None:
        """Nothing more will be said."""
        rest, newline = self._held, b"\n"
        self._held = b""
        if self._sanitizer:
            rest += self._sanitizer.flush()
            newline = self._sanitizer.feed(newline)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._audience.ended(self._source, rest, newline)

    def _await_more(self) -> None:
        # The time is noted and the timer left alone: a busy child would otherwise make a new one for each chunk.
        self._heard = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._silence, self._silent)

    def _silent(self) -> None:
        self._timer = None
        if not self._held or self._deaf:
            return
        wait = self._heard + self._silence - self._loop.time()
        if wait > 0.001:
            self._timer = self._loop.call_later(wait, self._silent)
        else:
            self._show_held()

    def _show_held(self, whole: bool = False) -> None:
        """All but a character whose rest is still to come, unless `whole`."""
        cut = len(self._held) if whole else _before_unfinished_character(self._held)
        text, self._held = self._held[:cut], self._held[cut:]
        if text:
            self._audience.partial(self._source, text)


def _before_unfinished_character(text: bytes) -> int:
    """Where a UTF-8 sequence begins that is not yet complete; the end where there is none."""
    for back in range(1, min(3, len(text)) + 1):
        byte = text[-back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4 if byte < 0xF8 else 1
            return len(text) - back if back < length else len(text)
        if byte < 0x80:
            break
    return len(text)


def new_sanitizer() -> Sanitizer:
    from procsup.output.sanitize import Sanitizer  # its expressions take milliseconds, which no first child waits for

    return Sanitizer()
