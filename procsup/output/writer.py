"""A queue of bytes in front of a sink that may stop taking them: never blocks, never loses, says when it is full.

Whoever produces bytes in bulk stops while it is full and goes on at `on_drained`. Small things (procsup's own lines, a
dead child's last words) may be written all the same.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from itertools import islice

from procsup.output import hangup
from procsup.output.sink import Buffer, Sink

FULL = 256 * 1024  # bytes waiting: several chunks, so that a reader who comes back finds something to read at once
DRAINED = 64 * 1024
_BUFFERS_AT_ONCE = 64
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_RETRY = 1.0  # seconds; somebody makes room on a disk at a human pace


class Writer:
    """`on_broken` is called once, from the loop, when nobody will ever read again; from then on all is dropped."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sink: Sink,
        on_drained: Callable[[], None],
        on_broken: Callable[[], None],
    ) -> None:
        self.full = False
        self.waiting_bytes = 0
        self._loop = loop
        self._sink: Sink | None = sink
        self._on_drained = on_drained
        self._on_broken = on_broken
        self._queue: deque[Buffer] = deque()
        self._blocked = False
        self._retry: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None
        self._unwatch = hangup.watch(loop, sink.fd, self._break) if sink.pollable else None

    def write(self, *buffers: Buffer) -> None:
        """The buffers are kept as they are, not copied: the caller must not change them."""
        if self._sink is None:
            return
        for buffer in buffers:
            if buffer:
                self._queue.append(buffer)
                self.waiting_bytes += len(buffer)
        if not self._blocked:
            self._push()
        if self.waiting_bytes >= FULL:
            self.full = True

    async def flush(self, timeout: float) -> bool:
        """Waits until all is written; False if the time was over before. A broken sink has nothing to wait for."""
        if not self._queue:
            return True
        self._empty = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._empty
        except TimeoutError:
            return False
        finally:
            self._empty = None
        return True

    def close(self) -> None:
        """Drops what is still waiting. Inherited descriptors stay open."""
        if self._sink is None:
            return
        self._unblock()
        if self._unwatch:
            self._unwatch()
        self._sink.close()
        self._sink = None
        self._queue.clear()
        self.waiting_bytes = 0
        self.full = False
        self._tell_empty()

    def _push(self) -> None:
        if self._sink is None:
            return
        queue = self._queue
        try:
            sent = self._sink.send(list(islice(queue, _BUFFERS_AT_ONCE)))
        except BlockingIOError:
            sent = 0
        except OSError as error:
            if error.errno not in _DISK_FULL:
                self._break()
                return
            sent = 0
        stuck = not sent
        self.waiting_bytes -= sent
        while sent:
            length = len(queue[0])
            if sent < length:
                queue[0] = memoryview(queue[0])[sent:]
                break
            queue.popleft()
            sent -= length
        if queue:
            self._block(_RETRY if stuck else 0)
        else:
            self._unblock()
            self._tell_empty()
        if self.full and self.waiting_bytes <= DRAINED:
            self.full = False
            self._on_drained()

    def _block(self, delay: float) -> None:
        if self._sink is None:
            return
        if not self._sink.pollable:
            self._retry = self._loop.call_later(delay, self._push)
        elif not self._blocked:
            self._loop.add_writer(self._sink.fd, self._push)
        self._blocked = True

    def _unblock(self) -> None:
        if not self._blocked or self._sink is None:
            return
        self._blocked = False
        if self._retry:
            self._retry.cancel()
            self._retry = None
        if self._sink.pollable:
            self._loop.remove_writer(self._sink.fd)

    def _break(self) -> None:
        """The reader has gone. Readers that we paused go on, and what they read goes nowhere."""
        if self._sink is None:
            return
        paused = self.full
        self.close()
        self._loop.call_soon(self._on_broken)
        if paused:
            self._loop.call_soon(self._on_drained)

    def _tell_empty(self) -> None:
        if self._empty and not self._empty.done():
            self._empty.set_result(None)
