"""Shows on this standard output what a supervisor elsewhere read from its children: same console, same rules."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from procsup.output.console import Console
from procsup.output.formats import OWN_NAME
from procsup.output.history import Entry
from procsup.output.lost import lost_bytes
from procsup.output.source import Source
from procsup.output.speaker import Speaker, new_sanitizer
from procsup.output.style import Style

_LAST_FLUSH = 5.0  # seconds for what is still to be written when the stream has ended


class Stream(Protocol):
    """What comes from the supervisor: notifications `output` and `lost`, until `ended`."""

    ended: bool

    def fileno(self) -> int: ...
    def receive(self) -> Sequence[tuple[str, Mapping[str, Any]]]: ...


def replay(stream: Stream, style: Style, names: Sequence[str], types: Sequence[str]) -> None:
    """Until the stream has ended or nobody reads any more; raises what `receive` raises."""
    asyncio.run(_replay(stream, style, names, types))


async def _replay(stream: Stream, style: Style, names: Sequence[str], types: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def nobody_reads() -> None:
        if not over.done():
            over.set_result(None)

    show = _Show(loop, style, names, types, nobody_reads)

    def readable() -> None:
        try:
            for method, params in stream.receive():
                show.take(method, params)
        except Exception as error:
            loop.remove_reader(stream.fileno())
            over.set_exception(error)
            return
        if stream.ended:
            loop.remove_reader(stream.fileno())
            over.set_result(None)
        elif show.console.full:
            loop.remove_reader(stream.fileno())

    show.console.on_drained = lambda: loop.add_reader(stream.fileno(), readable)
    loop.add_reader(stream.fileno(), readable)
    try:
        await over
    finally:
        show.end()
        with suppress(asyncio.CancelledError):
            await show.console.flush_pending(_LAST_FLUSH)
        show.console.close()


class _Show:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        style: Style,
        names: Sequence[str],
        types: Sequence[str],
        on_broken: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._names = [OWN_NAME, *names]
        self._types = list(types)
        self._now = 0.0
        self._speakers: dict[tuple[str, str, int], Speaker] = {}
        self._filtered = style.filtered
        self.console = Console(loop, 1, style, on_broken, clock=lambda: self._now)
        self.console.set_names(self._names, self._types)

    def take(self, method: str, params: Mapping[str, Any]) -> None:
        if method == "lost":
            self._tell_lost(params["instance"], params["bytes"])
        elif method == "output":
            self._now = params["time"]
            self._speaker(params).say(params["raw"])

    def end(self) -> None:
        for speaker in self._speakers.values():
            speaker.end()

    def _tell_lost(self, instance: str, count: int | None) -> None:
        """Between two lines: what is missing has torn those of the instance, and anybody's may be unfinished."""
        for (name, _stream, _pid), speaker in self._speakers.items():
            if name == instance:
                speaker.end()
        line = f"procsup: {lost_bytes(count, 'missing', instance)} here\n".encode()
        with suppress(OSError):
            if os.path.sameopenfile(1, 2):  # behind what waits to be shown, not in the middle of it
                self.console.end_line()
                self.console.pass_through(line)
            else:
                os.write(2, line)

    def _speaker(self, params: Mapping[str, Any]) -> Speaker:
        key = params["instance"], params["stream"], params["pid"]
        speaker = self._speakers.get(key)
        if speaker is None:
            source = Source(key[0], params["type"], key[1], key[2])
            sanitizer = new_sanitizer() if self._filtered else None
            speaker = self._speakers[key] = Speaker(self._loop, source, self.console, sanitizer)
            if source.name not in self._names:
                self._names.append(source.name)
                self.console.set_names(self._names, self._types)
        return speaker


def show_again(loop: asyncio.AbstractEventLoop, console: Console, entries: Sequence[Entry]) -> None:
    """On a console that had been put aside: what was said meanwhile, with the time at which it was."""
    speakers: dict[Source, Speaker] = {}
    for entry in entries:
        console.as_of(entry.time)
        if entry.source not in speakers:
            said = Source(entry.source.name, entry.source.type, entry.source.stream, entry.source.pid)
            speakers[entry.source] = Speaker(loop, said, console, new_sanitizer() if console.style.filtered else None)
        speakers[entry.source].say(entry.text)
    for speaker in speakers.values():
        speaker.end()
    console.as_of(None)
