"""Carries what the children say from their pipes to whoever listens, in bulk, and fairly.

One read of at most 64 KiB for each time a pipe is found readable: nobody waits for more than one chunk of each of the
others. While the console is full, pipes are not read: the children block, as they would without a supervisor.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from procsup.output.console import Console
from procsup.output.source import Source
from procsup.output.speaker import SILENCE, Audience, Speaker, new_sanitizer

CHUNK = 64 * 1024  # measured: smaller pays more for each read, larger gets fresh pages from the kernel each time
_DRAIN_AT_MOST = 1024 * 1024  # the largest pipe: whatever the dead wrote is within it


class Tap(Protocol):
    """Takes the bytes as they come, before anybody has made lines of them."""

    def take(self, source: Source, chunk: bytes) -> None: ...


Watch = Callable[[bytes], None]


class PlainLines:
    """Takes back what a terminal does to a newline: it comes as CR LF where the child wrote LF."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        chunk = self._held + chunk
        self._held = b"\r" if chunk.endswith(b"\r") else b""
        return chunk.removesuffix(b"\r").replace(b"\r\n", b"\n")


class Stream:
    """One pipe, and who hears what comes through it."""

    __slots__ = ("cooked", "fd", "patient", "paused", "source", "speakers", "watch")

    def __init__(
        self, source: Source, fd: int, patient: bool, speakers: tuple[Speaker, ...], watch: Watch | None
    ) -> None:
        self.source = source
        self.fd = fd
        self.patient = patient  # waits while the console is full
        self.speakers = speakers
        self.watch = watch
        self.cooked = PlainLines() if watch is not None else None
        self.paused = False


class Pump:
    """`quiet`: types and instances that the console does not show; their pipes are emptied all the same.

    `audiences` hear everybody's lines, quiet ones too, and their unfiltered bytes; `taps` get the chunks themselves.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        console: Console,
        quiet: frozenset[str] = frozenset(),
        *,
        taps: Sequence[Tap] = (),
        audiences: Sequence[Audience] = (),
        silence: float = SILENCE,
    ) -> None:
        self._loop = loop
        self._console = console
        self._quiet = quiet
        self._taps: tuple[Tap, ...] = tuple(taps)
        self._audiences = tuple(audiences)
        self._silence = silence
        self._streams: dict[str, list[Stream]] = {}
        self._paused: deque[Stream] = deque()  # first come, first served; never any while the console takes more
        console.on_drained = self._resume

    def also_to(self, tap: Tap) -> None:
        self._taps += (tap,)

    def attach(
        self,
        name: str,
        type: str,  # noqa: A002 (the contract's word)
        stream: str,
        pid: int,
        fd: int,
        watch: Watch | None = None,
    ) -> None:
        """Takes over the descriptor, our own end of a pipe (or a terminal's master side), and closes it at its end.

        `watch`, for a terminal's, hears each chunk before anybody else, and an empty one at the end.
        """
        os.set_blocking(fd, False)
        self.listen(Source(name, type, stream, pid), fd, watch)

    def listen(self, source: Source, fd: int, watch: Watch | None) -> Stream:
        """Takes over a descriptor that does not block; see `attach`."""
        quiet = source.name in self._quiet or source.type in self._quiet
        new = Stream(source, fd, not quiet, tuple(self._speakers(source, quiet)), watch)
        self._streams.setdefault(source.name, []).append(new)
        self._loop.add_reader(fd, self._readable, new)
        return new

    def _speakers(self, source: Source, quiet: bool) -> list[Speaker]:
        speakers = []
        if not quiet:
            sanitizer = new_sanitizer() if self._console.style.filtered else None
            speakers.append(Speaker(self._loop, source, self._console, sanitizer, self._silence))
        speakers += [Speaker(self._loop, source, each, None, self._silence) for each in self._audiences]
        return speakers

    def ended(self, name: str) -> bool:
        """Every stream of the instance has come to its end and all of it was handed on."""
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
                    for speaker in stream.speakers:
                        speaker.say_all()
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

    def _readable(self, stream: Stream) -> None:
        if self._console.full and stream.patient:
            self._loop.remove_reader(stream.fd)
            stream.paused = True
            self._paused.append(stream)
            for speaker in stream.speakers:
                speaker.pause()
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
                for speaker in stream.speakers:
                    speaker.resume()
                self._loop.add_reader(stream.fd, self._readable, stream)
                self._readable(stream)

    def _read(self, stream: Stream) -> bytes | None:
        """None where there is nothing to read now, empty at the end."""
        try:
            return os.read(stream.fd, CHUNK)
        except BlockingIOError:
            return None
        except OSError:  # EIO: how a terminal's master side learns that the last slave was closed
            return b""

    def _take(self, stream: Stream, chunk: bytes) -> None:
        if stream.watch is not None and stream.cooked is not None:
            stream.watch(chunk)
            chunk = stream.cooked.feed(chunk)
        for tap in self._taps:
            tap.take(stream.source, chunk)
        for speaker in stream.speakers:
            speaker.say(chunk)

    def _end(self, stream: Stream) -> None:
        if stream.watch is not None:
            stream.watch(b"")
        for speaker in stream.speakers:
            speaker.end()
        stream.paused = False
        self._loop.remove_reader(stream.fd)
        os.close(stream.fd)
        name = stream.source.name
        self._streams[name].remove(stream)
        if not self._streams[name]:
            del self._streams[name]
