"""Learns that the reader of a pipe, socket or terminal has gone, without writing to it and without waking up before.

`procsup start | head -1` must end when head does, even if no child says another word.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


def watch(
    loop: asyncio.AbstractEventLoop, fd: int, on_gone: Callable[[], None], *, epoll: bool | None = None
) -> Callable[[], None]:
    """Calls `on_gone` at most once; returns what ends the watch. What cannot be watched is not: writes will tell."""
    if epoll is None:
        epoll = hasattr(select, "epoll")
    return _watch_by_epoll(loop, fd, on_gone) if epoll else _watch_by_reading(loop, fd, on_gone)


def _watch_by_epoll(loop: asyncio.AbstractEventLoop, fd: int, on_gone: Callable[[], None]) -> Callable[[], None]:
    # An epoll inside the loop's own, asked for no event: errors and hang-ups are told nevertheless, and only they.
    # Watched by the loop directly, each key pressed in a terminal would wake it up for ever.
    inner = select.epoll()
    try:
        inner.register(fd, 0)
    except OSError:  # a file
        inner.close()
        return _nothing_to_end

    def end() -> None:
        if not inner.closed:
            loop.remove_reader(inner.fileno())
            inner.close()

    def gone() -> None:
        end()
        on_gone()

    loop.add_reader(inner.fileno(), gone)
    return end


def _watch_by_reading(loop: asyncio.AbstractEventLoop, fd: int, on_gone: Callable[[], None]) -> Callable[[], None]:
    # The write end of a pipe becomes "readable" when its reader has gone; true of the BSDs, macOS and Linux.
    poll = select.poll()
    poll.register(fd, 0)

    def readable() -> None:
        loop.remove_reader(fd)
        if any(event & _GONE for _, event in poll.poll(0)):
            on_gone()
        # Else there is input: a terminal or a two-way socket. Then the watch is over; the next write will tell.

    try:
        loop.add_reader(fd, readable)
    except OSError:
        return _nothing_to_end

    def end() -> None:
        loop.remove_reader(fd)

    return end


def _nothing_to_end() -> None:
    pass
