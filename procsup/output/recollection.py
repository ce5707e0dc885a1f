"""Gives the way of the output what another supervisor held of it, as `memory` has it: no byte is lost or said twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from procsup.output.console import Console
from procsup.output.history import Entry, History
from procsup.output.memory import (
    ConsoleMemory,
    HistoryMemory,
    LogsMemory,
    SpeakerMemory,
    StreamMemory,
    SyslogMemory,
    WeaveMemory,
)
from procsup.output.pump import Pump, Watch
from procsup.output.rotation import Identity
from procsup.output.speaker import Speaker

if TYPE_CHECKING:  # who has none of these need not load them
    from procsup.output.files import LogFiles
    from procsup.output.syslog import Syslog
    from procsup.output.weave import Weave


def recall_streams(pump: Pump, memory: tuple[StreamMemory, ...], watch: Callable[[StreamMemory], Watch | None]) -> None:
    """Listen to them again. `watch` is asked who watches a terminal's."""
    for each in memory:
        stream = pump.listen(each.source, each.descriptor, watch(each))
        if stream.cooked is not None and each.cooked is not None:
            stream.cooked._held = each.cooked
        for speaker, before in zip(stream.speakers, each.speakers, strict=True):
            _recall_speaker(speaker, before)


def _recall_speaker(speaker: Speaker, memory: SpeakerMemory) -> None:
    speaker._held = memory.held
    sanitizer, before = speaker._sanitizer, memory.sanitizer
    if sanitizer is not None and before is not None:
        sanitizer._held, sanitizer._c2, sanitizer._return = before.held, before.c2, before.carriage_return
        sanitizer._at_start, sanitizer.coloured = before.at_start, before.coloured
    speaker.resume()


def recall_console(console: Console, memory: ConsoleMemory) -> None:
    """From here on bytes leave again."""
    console._unfinished = memory.unfinished
    console._format.held = memory.held
    console._writer._lost, console._writer._failure = memory.lost, memory.failure
    console._writer.write(*memory.pending)


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


def recall_weave(weave: Weave, memory: WeaveMemory) -> None:
    weave._unfinished._held = dict(memory.unfinished)
    weave._open = memory.open
    weave._waiting, weave._rests = list(memory.waiting), list(memory.rests)
    weave._waiting_bytes = sum(map(len, memory.waiting))


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


def recall_syslog(syslog: Syslog, memory: SyslogMemory) -> None:
    syslog._unfinished._held = dict(memory.unfinished)
    syslog._queue.extend(memory.queue)
    syslog._bytes = sum(map(len, memory.queue))
    syslog._lost, syslog._failure = memory.lost, memory.failure
    if memory.descriptor is not None:
        syslog._link.adopt(memory.descriptor)
        syslog._sent, syslog._unsure = memory.sent, memory.unsure
    syslog._loop.call_soon(syslog._push)
