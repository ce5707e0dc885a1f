"""The history as the control socket carries it: a notification for each chunk.

To those who ask for that, the chunk's bytes follow their notification. To all others they are its text, in which bytes
that are no UTF-8 travel as lone surrogates (Python's surrogateescape), so that the other side gets them back.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from procsup.control.protocol import Notification
from procsup.control.server import Stream
from procsup.output.history import Entry, Lost


async def tell(
    said: Sequence[Entry], more: AsyncGenerator[Entry | Lost, None] | None, number: int, raw: bool
) -> Stream:
    """What was said, and then what is said from now on, if that is wanted; `number` is where that begins."""
    for entry in said:
        yield _output(entry, raw)
    if more is not None:
        yield Notification("place", {"number": number})
    if more is not None:
        async with aclosing(more):
            async for each in more:
                yield _lost(each) if isinstance(each, Lost) else _output(each, raw)


def _lost(told: Lost) -> Notification:
    return Notification("lost", {"instance": told.name, "bytes": told.missed})


def _output(entry: Entry, raw: bool) -> Notification:
    source = entry.source
    params: dict[str, object] = {
        "number": entry.number,
        "instance": source.name,
        "type": source.type,
        "stream": source.stream,
        "pid": source.pid,
        "time": entry.time,
    }
    if raw:
        return Notification("output", params, entry.text)
    params["text"] = entry.text.decode(errors="surrogateescape")
    return Notification("output", params)
