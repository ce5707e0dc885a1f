"""Carries what the children say from their pipes to the console, in bulk, and fairly.

One read of at most 64 KiB for each time a pipe is found readable: nobody waits for more than one chunk of each of the
others. While the console is full, pipes are not read: the children block, as they would without a supervisor.
Timers exist only while a part of a line waits for its end.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING

from procsup.output.console import Console
from procsup.output.source import Source

if TYPE_CHECKING:
    from procsup.output.sanitize import Sanitizer

CHUNK = 64 * 1024  # measured: smaller pays more for each read, larger gets fresh pages from the kernel each time
SILENCE = 0.2  # seconds after which a line without end is shown as far as it has come
_HELD_AT_MOST = CHUNK  # of a line without end, before it is shown without waiting for silence
_DRAIN_AT_MOST = 1024 * 1024  # the largest pipe: whatever the dead wrote is within it


class _Stream:
    """One pipe and what is not yet said of it."""

    __slots__ = ("fd", "heard", "held", "paused", "quiet", "sanitizer", "source", "timer")

    def __init__(self, source: Source, fd: int, quiet: bool, sanitizer: Sanitizer | None) -> None:
        self.source = source
        self.fd = fd
        self.quiet = quiet
        self.sanitizer = sanitizer
        self.held = b""  # the beginning of a line
        self.heard = 0.0  # when the last of it came
        self.timer: asyncio.TimerHandle | None = None
        self.paused = False


class Pump:
    """`quiet`: types and instances that are not shown; their pipes are emptied all the same."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        console: Console,
        quiet: frozenset[str] = frozenset(),
        *,
        silence: float = SILENCE,
    ) -> None:
        self._loop = loop
        self._console = console
        self._quiet = quiet
        self._silence = silence
        self._streams: dict[str, list[_Stream]] = {}
        self._paused: deque[_Stream] = deque()  # first come, first served; never any while the console takes more
        console.on_drained = self._resume

    def attach(self, name: str, type: str, stream: str, pid: int, fd: int) -> None:  # noqa: A002 (the contract's word)
        """Takes over the descriptor, our own end of a pipe (or a terminal's master side), and closes it at its end."""
        os.set_blocking(fd, False)
        style = self._console.style
        filtered = style.terminal and not style.raw and style.format == "text"
        quiet = name in self._quiet or type in self._quiet
        new = _Stream(Source(name, type, stream, pid), fd, quiet, _new_sanitizer() if filtered else None)
        self._streams.setdefault(name, []).append(new)
        self._loop.add_reader(fd, self._readable, new)

    def ended(self, name: str) -> bool:
        """Every stream of the instance has come to its end and all of it was handed to the console."""
        return name not in self._streams

    def drain(self, name: str) -> None:
        """Says at once all that the instance has written so far, unfinished lines too, be the console full or not.

        For the moment its leader is seen dead: last words come before the news. Streams that somebody of its tree still
        holds stay attached.
        """
        for stream in tuple(self._streams.get(name, ())):
            read = 0
            while read < _DRAIN_AT_MOST:
                chunk = self._read(stream)
                if chunk is None:
                    self._show_held(stream, whole=True)
                    break
                if not chunk:
                    self._end(stream)
                    break
                read += len(chunk)
                self._take(stream, chunk)

    def detach(self, name: str) -> None:
        """Drains and then forgets the instance, even where somebody still holds its pipes."""
        self.drain(name)
        for stream in tuple(self._streams.get(name, ())):
            self._end(stream)

    def detach_all(self) -> None:
        for name in tuple(self._streams):
            self.detach(name)

    def _readable(self, stream: _Stream) -> None:
        if self._console.full and not stream.quiet:
            self._loop.remove_reader(stream.fd)
            stream.paused = True
            self._paused.append(stream)
            return
        chunk = self._read(stream)
        if chunk:
            self._take(stream, chunk)
        elif chunk is not None:
            self._end(stream)

    def _resume(self) -> None:
        # Read here, not when the loop finds them readable: the loop would favour those that were not paused.
        while self._paused and not self._console.full:
            stream = self._paused.popleft()
            if stream.paused:
                stream.paused = False
                self._loop.add_reader(stream.fd, self._readable, stream)
                self._readable(stream)

    def _read(self, stream: _Stream) -> bytes | None:
        """None where there is nothing to read now, empty at the end."""
        try:
            return os.read(stream.fd, CHUNK)
        except BlockingIOError:
            return None
        except OSError:  # EIO: how a terminal's master side learns that the last slave was closed
            return b""

    def _take(self, stream: _Stream, chunk: bytes) -> None:
        if stream.quiet:
            return
        if stream.sanitizer:
            if stream.source.cut and not stream.held:
                stream.sanitizer.coloured = False  # whoever cut the line has reset the colours
            chunk = stream.sanitizer.feed(chunk)
        end = chunk.rfind(b"\n") + 1
        if end:
            head, stream.held = stream.held, chunk[end:]
            self._console.lines(stream.source, head, chunk, end)
        else:
            stream.held += chunk
        if stream.sanitizer:
            stream.source.coloured = stream.sanitizer.coloured
        if len(stream.held) >= _HELD_AT_MOST:
            self._show_held(stream)
        if stream.held:
            # The time is noted and the timer left alone: a busy child would otherwise make a new one for each chunk.
            stream.heard = self._loop.time()
            if stream.timer is None:
                stream.timer = self._loop.call_later(self._silence, self._silent, stream)

    def _silent(self, stream: _Stream) -> None:
        stream.timer = None
        if not stream.held:
            return
        wait = stream.heard + self._silence - self._loop.time()
        if wait > 0.001:
            stream.timer = self._loop.call_later(wait, self._silent, stream)
        else:
            self._show_held(stream)

    def _show_held(self, stream: _Stream, whole: bool = False) -> None:
        """All but a character whose rest is still to come, unless `whole`."""
        cut = len(stream.held) if whole else _before_unfinished_character(stream.held)
        text, stream.held = stream.held[:cut], stream.held[cut:]
        if text:
            self._console.partial(stream.source, text)

    def _end(self, stream: _Stream) -> None:
        newline = b"\n"
        if stream.sanitizer:
            stream.held += stream.sanitizer.flush()
            newline = stream.sanitizer.feed(newline)
        if stream.held or self._console.stands_at_end(stream.source):
            self._console.lines(stream.source, stream.held, newline, len(newline))
            stream.held = b""
        if stream.timer:
            stream.timer.cancel()
        stream.paused = False
        self._loop.remove_reader(stream.fd)
        os.close(stream.fd)
        name = stream.source.name
        self._streams[name].remove(stream)
        if not self._streams[name]:
            del self._streams[name]


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


def _new_sanitizer() -> Sanitizer:
    from procsup.output.sanitize import Sanitizer  # its expressions take milliseconds, which no first child waits for

    return Sanitizer()
