"""The history as the control socket carries it: a notification for each chunk.

Bytes that are no UTF-8 travel as lone surrogates (Python's surrogateescape), so that the other side gets them back.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from procsup.control.server import Stream
from procsup.output.history import Entry, Lost


async def tell(said: Sequence[Entry], more: AsyncGenerator[Entry | Lost, None] | None) -> Stream:
    """What was said, and then what is said from now on, if that is wanted."""
    for entry in said:
        yield _notification(entry)
    if more is not None:
        async with aclosing(more):
            async for each in more:
                yield _notification(each)


def _notification(told: Entry | Lost) -> tuple[str, dict[str, object]]:
    if isinstance(told, Lost):
        return "lost", {"instance": told.name, "bytes": told.missed}
    source = told.source
    return "output", {
        "instance": source.name,
        "type": source.type,
        "stream": source.stream,
        "pid": source.pid,
        "time": told.time,
        "text": told.text.decode(errors="surrogateescape"),
    }
