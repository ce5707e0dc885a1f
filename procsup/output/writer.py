"""A queue of bytes in front of a sink that may stop taking them: never blocks, never loses, says when it is full.

Whoever produces bytes in bulk stops while it is full and goes on at `on_drained`. Small things (procsup's own lines, a
dead child's last words) may be written all the same.

A reader that is slow is waited for. A file that cannot be written to (the disk is full, say) is not, for nobody knows
how long that lasts: what the queue holds is tried again each second, what does not fit into it is lost and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from procsup.output import hangup
from procsup.output.lost import lost_bytes
from procsup.output.sink import Buffer, Sink

FULL = 256 * 1024  # bytes waiting: several chunks, so that a reader who comes back finds something to read at once
DRAINED = 64 * 1024
_BUFFERS_AT_ONCE = 64
_RETRY = 1.0  # seconds; somebody makes room on a disk at a human pace


class Writer:
    """`on_broken` is called once, from the loop, when nobody will ever read again; from then on all is dropped.

    `on_trouble` is told, from the loop as well, when a file cannot be written to, when it can be again, and at the end
    what was lost if it still cannot; each time once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sink: Sink,
        on_drained: Callable[[], None],
        on_broken: Callable[[], None],
        on_trouble: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.full = False
        self.waiting_bytes = 0
        self._loop = loop
        self._sink: Sink | None = sink
        self._on_drained = on_drained
        self._on_broken = on_broken
        self._on_trouble = on_trouble
        self._name = sink.name
        self._failure: str | None = None  # why the file cannot be written to
        self._lost = 0  # bytes, since then; they are told when it can be
        self._queue: deque[Buffer] = deque()
        self._blocked = False
        self._retry: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None
        self._may_break = sink.pollable and not sink.lasting
        self._unwatch = hangup.watch(loop, sink.fd, self._break) if self._may_break else None

    @property
    def trouble(self) -> str | None:
        """Why what is written does not arrive, as a sentence for people; None while all is well."""
        return f"{self._cannot()}; {lost_bytes(self._lost)} so far" if self._failure is not None else None

    def write(self, *buffers: Buffer) -> None:
        """The buffers are kept as they are, not copied: the caller must not change them."""
        if self._sink is None:
            return
        if self._failure is not None and self.waiting_bytes >= FULL:
            self._lose(buffers)
            return
        for buffer in buffers:
            if buffer:
                self._queue.append(buffer)
                self.waiting_bytes += len(buffer)
        if not self._blocked:
            self._push()
        if self.waiting_bytes >= FULL and self._failure is None:
            self.full = True

    async def flush(self, timeout: float) -> bool:
        """Waits until all is written; False if the time was over before. A broken sink has nothing to wait for.

        Nor has a file that cannot be written to: it is tried once more, and what it does not take is lost.
        """
        if not self._queue:
            return True
        self._empty = self._loop.create_future()
        if self._failure is not None:
            self._unblock()
            self._push()
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
        failed = False
        try:
            sent = self._sink.send(list(islice(queue, _BUFFERS_AT_ONCE)))
        except BlockingIOError:
            sent = 0
        except OSError as error:
            if self._may_break:
                self._break()
                return
            self._fail(error)  # a file has no reader who could have gone, and the journal comes back
            failed = True
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
            self._block(_RETRY if stuck else 0, failed)
        else:
            self._unblock()
            if (self._failure is not None or self._lost) and not failed:
                self._recover()
            self._tell_empty()
        if self.full and (self.waiting_bytes <= DRAINED or self._failure is not None):
            self.full = False
            self._on_drained()

    def _block(self, delay: float, failed: bool) -> None:
        if self._sink is None:
            return
        if failed or not self._sink.pollable:
            self._unblock()
            self._retry = self._loop.call_later(delay, self._push)
        elif self._retry is not None or not self._blocked:
            self._retry = None
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

    def _fail(self, error: OSError) -> None:
        first = self._failure is None
        self._failure = error.strerror or str(error)
        if self._empty is not None:  # it is the end: there will be no better time
            self._lost += self.waiting_bytes
            self._queue.clear()
            self.waiting_bytes = 0
            self._tell(f"{self._cannot()}; {lost_bytes(self._lost)}")
        elif first:
            self._tell(f"{self._cannot()}; what does not fit is lost until it can be written to again")

    def _recover(self) -> None:
        self._failure = None
        self._tell(f"{self._name} can be written to again; {lost_bytes(self._lost)}")
        self._lost = 0

    def _lose(self, buffers: Sequence[Buffer]) -> None:
        self._lost += sum(map(len, buffers))
        if self._queue[-1][-1:] != b"\n":  # what comes after the gap begins a line
            self._queue.append(b"\n")
            self.waiting_bytes += 1

    def _cannot(self) -> str:
        return f"cannot write to {self._name}: {self._failure}"

    def _tell(self, text: str) -> None:
        # Not at once: we are in the middle of a write, and whoever is told may want to write as well.
        self._loop.call_soon(self._on_trouble, text)

    def _tell_empty(self) -> None:
        if self._empty and not self._empty.done():
            self._empty.set_result(None)
