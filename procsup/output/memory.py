"""What the way of the output holds, to be handed to a supervisor that takes over: no byte is lost or said twice.

Pipes and terminals go as they are, with what has not been read from them; here is what was read and not yet written:
beginnings of lines, what a reader has not taken, and the histories. Which file, socket or terminal the lines go to is
opened anew by the one who takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from procsup.output.console import Console
from procsup.output.files import LogFiles
from procsup.output.history import Entry, History
from procsup.output.pump import Pump, Watch
from procsup.output.rotation import Identity
from procsup.output.sanitize import Sanitizer
from procsup.output.source import Source
from procsup.output.speaker import Speaker
from procsup.output.syslog import Syslog
from procsup.output.weave import Weave


class SanitizerMemory(NamedTuple):
    held: bytes
    c2: bytes
    carriage_return: bool
    at_start: bool
    coloured: bool


class SpeakerMemory(NamedTuple):
    held: bytes
    sanitizer: SanitizerMemory | None


class StreamMemory(NamedTuple):
    """`cooked` is what is held of a terminal's; None for a pipe."""

    source: Source
    descriptor: int
    speakers: tuple[SpeakerMemory, ...]
    cooked: bytes | None


class ConsoleMemory(NamedTuple):
    """`unfinished` has its line at the end of the output; `held` is that line, where entries are whole lines.

    `lost` bytes had no room while the output could not be written to, which has not been told yet; that it cannot, and
    why (`failure`), has.
    """

    pending: tuple[bytes, ...]
    unfinished: Source | None
    held: bytes
    lost: int = 0
    failure: str | None = None


class RingMemory(NamedTuple):
    """The entries of one instance, column by column: there may be tens of thousands."""

    numbers: list[int]
    times: list[float]
    sources: tuple[Source, ...]  # each once
    chosen: list[int]
    offsets: list[int]
    sizes: list[int]
    text: bytes
    said: int
    torn: tuple[Source, ...]
    dropped: int = 0


class HistoryMemory(NamedTuple):
    number: int
    rings: Mapping[str, RingMemory]


class WeaveMemory(NamedTuple):
    unfinished: Mapping[Source, bytes]
    open: Source | None
    waiting: tuple[bytes, ...]
    rests: tuple[bytes, ...]


class LogMemory(NamedTuple):
    """`failure` is why it cannot be written to, which has been told."""

    weave: WeaveMemory
    waiting: tuple[bytes, ...]
    written: tuple[int, int] | None
    at_line_start: bool
    failure: str | None = None


class SyslogMemory(NamedTuple):
    """`sent` bytes of the first message have left through the connection, whose `descriptor` goes with them.

    `failure` is why the receiver cannot be reached, which has been told.
    """

    unfinished: Mapping[Source, bytes]
    queue: tuple[bytes, ...]
    sent: int
    unsure: bytes | None
    lost: int
    descriptor: int | None
    failure: str | None = None


class LogsMemory(NamedTuple):
    logs: Mapping[str, LogMemory]
    lost: int


def remember_streams(pump: Pump) -> tuple[StreamMemory, ...]:
    return tuple(
        StreamMemory(
            each.source,
            each.fd,
            tuple(SpeakerMemory(one._held, _remember_sanitizer(one._sanitizer)) for one in each.speakers),
            each.cooked._held if each.cooked is not None else None,
        )
        for streams in pump._streams.values()
        for each in streams
    )


def recall_streams(pump: Pump, memory: tuple[StreamMemory, ...], watch: Callable[[StreamMemory], Watch | None]) -> None:
    """Listen to them again. `watch` is asked who watches a terminal's."""
    for each in memory:
        stream = pump.listen(each.source, each.descriptor, watch(each))
        if stream.cooked is not None and each.cooked is not None:
            stream.cooked._held = each.cooked
        for speaker, before in zip(stream.speakers, each.speakers, strict=True):
            _recall_speaker(speaker, before)


def _remember_sanitizer(sanitizer: Sanitizer | None) -> SanitizerMemory | None:
    if sanitizer is None:
        return None
    return SanitizerMemory(sanitizer._held, sanitizer._c2, sanitizer._return, sanitizer._at_start, sanitizer.coloured)


def _recall_speaker(speaker: Speaker, memory: SpeakerMemory) -> None:
    speaker._held = memory.held
    sanitizer, before = speaker._sanitizer, memory.sanitizer
    if sanitizer is not None and before is not None:
        sanitizer._held, sanitizer._c2, sanitizer._return = before.held, before.c2, before.carriage_return
        sanitizer._at_start, sanitizer.coloured = before.at_start, before.coloured
    speaker.resume()


def remember_console(console: Console) -> ConsoleMemory:
    writer = console._writer
    pending = tuple(map(bytes, writer._queue))
    return ConsoleMemory(pending, console._unfinished, console._format.held, writer._lost, writer._failure)


def recall_console(console: Console, memory: ConsoleMemory) -> None:
    """From here on bytes leave again."""
    console._unfinished = memory.unfinished
    console._format.held = memory.held
    console._writer._lost, console._writer._failure = memory.lost, memory.failure
    console._writer.write(*memory.pending)


def remember_history(history: History) -> HistoryMemory:
    rings = {}
    for name, ring in history._rings.items():
        entries = list(ring.entries)
        places: dict[Source, int] = {}
        chosen = [places.setdefault(each.source, len(places)) for each in entries]
        rings[name] = RingMemory(
            [each.number for each in entries],
            [each.time for each in entries],
            tuple(places),
            chosen,
            [each.offset for each in entries],
            [len(each.text) for each in entries],
            b"".join(each.text for each in entries),
            ring.said,
            tuple(ring.torn),
            ring.dropped,
        )
    return HistoryMemory(history.end(), rings)


def recall_history(history: History, memory: HistoryMemory) -> None:
    history._number = memory.number
    for name, before in memory.rings.items():
        ring, at = history.ring(name), 0
        columns = zip(before.numbers, before.times, before.chosen, before.offsets, before.sizes, strict=True)
        for number, time, chosen, offset, size in columns:
            ring.add(Entry(number, time, before.sources[chosen], offset, before.text[at : at + size]))
            at += size
        ring.said = before.said
        ring.torn, ring.dropped = set(before.torn), before.dropped
        history._size += ring.size


def remember_weave(weave: Weave) -> WeaveMemory:
    rests = tuple(map(bytes, weave._rests))
    return WeaveMemory(dict(weave._unfinished._held), weave._open, tuple(map(bytes, weave._waiting)), rests)


def recall_weave(weave: Weave, memory: WeaveMemory) -> None:
    weave._unfinished._held = dict(memory.unfinished)
    weave._open = memory.open
    weave._waiting, weave._rests = list(memory.waiting), list(memory.rests)
    weave._waiting_bytes = sum(map(len, memory.waiting))


def remember_logs(files: LogFiles) -> LogsMemory:
    return LogsMemory(
        {
            name: LogMemory(
                remember_weave(log.weave),
                tuple(map(bytes, log.waiting)),
                log.file._written,
                log.file._at_line_start,
                log.failure,
            )
            for name, log in files._logs.items()
        },
        files._lost,
    )


def recall_logs(files: LogFiles, memory: LogsMemory) -> None:
    for name, before in memory.logs.items():
        log = files.log(name)
        recall_weave(log.weave, before.weave)
        log.file._written = Identity(*before.written) if before.written is not None else None
        log.file._at_line_start = before.at_line_start
        if before.failure is not None:
            files.go_on_failing(name, log, before.failure, before.waiting)
        if log.weave.waiting:
            files._have_patience()
    files._lost += memory.lost


def remember_syslog(syslog: Syslog) -> SyslogMemory:
    return SyslogMemory(
        dict(syslog._unfinished._held),
        tuple(syslog._queue),
        syslog._sent,
        syslog._unsure,
        syslog._lost,
        syslog._link.descriptor,
        syslog._failure,
    )


def recall_syslog(syslog: Syslog, memory: SyslogMemory) -> None:
    syslog._unfinished._held = dict(memory.unfinished)
    syslog._queue.extend(memory.queue)
    syslog._bytes = sum(map(len, memory.queue))
    syslog._lost, syslog._failure = memory.lost, memory.failure
    if memory.descriptor is not None:
        syslog._link.adopt(memory.descriptor)
        syslog._sent, syslog._unsure = memory.sent, memory.unsure
    syslog._loop.call_soon(syslog._push)
