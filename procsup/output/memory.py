"""What the way of the output holds, to be handed to a supervisor that takes over: no byte is lost or said twice.

Pipes and terminals go as they are, with what has not been read from them; here is what was read and not yet written:
beginnings of lines, what a reader has not taken, and the histories. Which file, socket or terminal the lines go to is
opened anew by the one who takes over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from procsup.output.console import Console
from procsup.output.history import History
from procsup.output.pump import Pump
from procsup.output.source import Source
from procsup.value import Value

if TYPE_CHECKING:  # who has none of these need not load them for an upgrade that may never come
    from procsup.output.files import LogFiles
    from procsup.output.sanitize import Sanitizer
    from procsup.output.syslog import Syslog
    from procsup.output.weave import Weave


class SanitizerMemory(Value):
    held: bytes
    c2: bytes
    carriage_return: bool
    at_start: bool
    coloured: bool


class SpeakerMemory(Value):
    held: bytes
    sanitizer: SanitizerMemory | None


class StreamMemory(Value):
    """`cooked` is what is held of a terminal's; None for a pipe."""

    source: Source
    descriptor: int
    speakers: tuple[SpeakerMemory, ...]
    cooked: bytes | None


class ConsoleMemory(Value):
    """`unfinished` has its line at the end of the output; `held` is that line, where entries are whole lines.

    `lost` bytes had no room while the output could not be written to, which has not been told yet; that it cannot, and
    why (`failure`), has.
    """

    pending: tuple[bytes, ...]
    unfinished: Source | None
    held: bytes
    lost: int = 0
    failure: str | None = None


class RingMemory(Value):
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


class HistoryMemory(Value):
    number: int
    rings: Mapping[str, RingMemory]


class WeaveMemory(Value):
    unfinished: Mapping[Source, bytes]
    open: Source | None
    waiting: tuple[bytes, ...]
    rests: tuple[bytes, ...]


class LogMemory(Value):
    """`failure` is why it cannot be written to, which has been told."""

    weave: WeaveMemory
    waiting: tuple[bytes, ...]
    written: tuple[int, int] | None
    at_line_start: bool
    failure: str | None = None


class SyslogMemory(Value):
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


class LogsMemory(Value):
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


def _remember_sanitizer(sanitizer: Sanitizer | None) -> SanitizerMemory | None:
    if sanitizer is None:
        return None
    return SanitizerMemory(sanitizer._held, sanitizer._c2, sanitizer._return, sanitizer._at_start, sanitizer.coloured)


def remember_console(console: Console) -> ConsoleMemory:
    writer = console._writer
    pending = tuple(map(bytes, writer._queue))
    return ConsoleMemory(pending, console._unfinished, console._format.held, writer._lost, writer._failure)


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


def remember_weave(weave: Weave) -> WeaveMemory:
    rests = tuple(map(bytes, weave._rests))
    return WeaveMemory(dict(weave._unfinished._held), weave._open, tuple(map(bytes, weave._waiting)), rests)


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
