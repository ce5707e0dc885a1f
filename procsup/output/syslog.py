"""Forwards every line to a syslog receiver: `--syslog`.

Nobody ever waits for the receiver. While it is away, or slower than the lines come, a bounded queue holds them; what
does not fit is lost, counted and told.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from procsup.output.rfc5424 import Messages
from procsup.output.source import Source
from procsup.output.syslog_address import Receiver
from procsup.output.syslog_link import Link
from procsup.output.weave import Unfinished

QUEUE_AT_MOST = 1024 * 1024  # bytes
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0  # seconds between attempts to connect
_HASTY = 1.0  # seconds; whoever hangs up so soon is not called again at once
_AT_ONCE = 64  # messages in one write
# Over UDP nobody says that it is enough: a socket holds some hundred messages, and drops the others silently.
_UDP_BURST, _UDP_REST = 64, 0.005  # short messages, and seconds from the first of them to the next burst


class Syslog:
    """An audience. `tell` is told when the receiver is away, when lines are lost, and when all is well again."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receiver: Receiver,
        app: str,
        tell: Callable[[str], None],
        *,
        host: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._loop = loop
        self._address = receiver.address
        self._link = Link(loop, receiver, self._push, self._let_go)
        self._messages = Messages(host if host is not None else socket.gethostname(), app)
        self._tell = tell
        self._clock = clock
        self._counted = receiver.address.kind == "tcp"  # RFC 6587, 3.4.1: each message after its length
        self._unfinished = Unfinished()
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._sent = 0  # bytes of the first message
        self._unsure: bytes | None = None  # the last message sent, which the receiver may still refuse
        self._failure: str | None = None  # why the receiver cannot be reached
        self._full = False  # a message did not fit, and none has left since
        self._lost = 0  # messages
        self._pause = _FIRST_PAUSE
        self._since = 0.0  # when the connection was made
        self._hasty = False  # it did not last
        self._connecting: asyncio.Task[None] | None = None
        self._burst = 0
        self._empty: asyncio.Future[None] | None = None

    @property
    def trouble(self) -> str | None:
        """Why what is said does not arrive, as a sentence for people; None while all is well."""
        if self._failure is None and not self._lost:
            return None
        return f"{self._cannot()}; {_lines(self._lost)} lost so far"

    # What an audience hears

    def lines(self, source: Source, head: bytes, data: bytes, end: int) -> None:
        begun = self._unfinished.take(source)
        if self._full:
            self._push()
        if self._full:  # a flood that nobody takes should not cost the making of its messages
            self._lost += data.count(b"\n", 0, end)
        else:
            self._send(source, (begun + head + data[: end - 1]).split(b"\n"))

    def partial(self, source: Source, text: bytes) -> None:
        text = self._unfinished.add(source, text)
        if text:
            self._send(source, [text])

    def ended(self, source: Source, rest: bytes, newline: bytes) -> None:  # noqa: ARG002 (a message has its own end)
        rest = self._unfinished.take(source) + rest
        if rest:
            self._send(source, [rest])

    # The end

    async def finish(self, timeout: float) -> str | None:
        """Wait until all is sent, or the time is over; what could not be sent, as a sentence."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._queue:
            self._empty = self._loop.create_future()
            self._push()
            await asyncio.wait([self._empty], timeout=timeout)
            self._empty = None
        if self._connecting is not None:
            self._connecting.cancel()
        self._link.close()
        left = len(self._queue) + self._lost
        return f"{self._cannot()}; {_lines(left)} lost" if left else None

    # How it gets there

    def _send(self, source: Source, lines: list[bytes]) -> None:
        lost = self._lost
        for message in self._messages.make(source, lines, self._clock()):
            frame = b"%d %s" % (len(message), message) if self._counted else message
            if self._bytes + len(frame) > QUEUE_AT_MOST:
                self._push()  # a chunk of many short lines is more than the whole queue
                if self._bytes + len(frame) > QUEUE_AT_MOST:
                    self._full = True
                    self._lost += 1
                    continue
            self._queue.append(frame)
            self._bytes += len(frame)
        if self._lost and not lost:
            self._say(f"{self._cannot()}; {QUEUE_AT_MOST // 1024} KiB of lines wait for it, and further ones are lost")
        self._push()

    def _push(self) -> None:
        queue, link = self._queue, self._link
        while queue and not link.blocked and self._burst < _UDP_BURST:
            if not link.connected:
                if self._connecting is None:
                    self._connecting = self._loop.create_task(self._connect())
                return
            try:
                if self._counted:
                    self._take_off(link.send_stream([memoryview(queue[0])[self._sent :], *islice(queue, 1, _AT_ONCE)]))
                else:
                    link.send_datagram(queue[0])
                    self._note_datagram()
            except BlockingIOError:
                link.block()
            except OSError as error:
                self._let_go(error)
        if self._bytes <= QUEUE_AT_MOST // 2 and link.connected and (self._failure is not None or self._lost):
            self._recover()
        if not queue and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def _note_datagram(self) -> None:
        self._unsure = self._queue[0]
        self._take_off(len(self._unsure))
        if self._address.kind == "udp":
            if not self._burst:
                self._loop.call_later(_UDP_REST, self._rested)
            self._burst += 1 + len(self._unsure) // 512

    def _rested(self) -> None:
        self._burst = 0
        self._push()

    def _take_off(self, sent: int) -> None:
        queue = self._queue
        sent += self._sent
        while queue and sent >= len(queue[0]):
            sent -= len(queue[0])
            self._bytes -= len(queue.popleft())
            self._full = False
        self._sent = sent

    async def _connect(self) -> None:
        """Until it succeeds; there is something to send."""
        if self._hasty:
            await self._take_a_break()
        while True:
            try:
                # Over UDP a receiver that was away is trusted again when it has not refused a message for a while.
                probe = self._queue[0] if self._failure is not None and self._address.kind == "udp" else None
                await self._link.connect(probe)
            except OSError as error:
                self._be_away(error)
                await self._take_a_break()
            else:
                break
        if probe is not None:
            self._unsure = probe
            self._take_off(len(probe))
        self._since = self._loop.time()
        self._connecting = None
        self._push()

    async def _take_a_break(self) -> None:
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        await asyncio.sleep(pause)

    def _let_go(self, error: OSError | None) -> None:
        """The receiver has gone; what it took a part of it gets once more as a whole."""
        self._link.close()
        self._sent = 0
        self._hasty = self._loop.time() - self._since < _HASTY
        if not self._hasty:
            self._pause = _FIRST_PAUSE
        if isinstance(error, ConnectionRefusedError) and self._address.kind == "udp":
            if self._unsure is not None:
                self._queue.appendleft(self._unsure)
                self._bytes += len(self._unsure)
            self._be_away(error)
        self._unsure = None
        if self._queue:
            self._loop.call_soon(self._push)

    # When it does not get there

    def _be_away(self, error: OSError) -> None:
        first = self._failure is None
        # asyncio puts the address in the place of the reason.
        self._failure = os.strerror(error.errno) if error.errno else error.strerror or str(error)
        if first:
            self._say(f"{self._cannot()}; up to {QUEUE_AT_MOST // 1024} KiB of lines wait for it")

    def _recover(self) -> None:
        lost = f"{_lines(self._lost)} lost" if self._lost else "nothing is lost"
        self._say(f"syslog at {self._address} takes lines again; {lost}")
        self._failure = None
        self._lost = 0

    def _cannot(self) -> str:
        if self._failure is None:
            return f"syslog at {self._address} takes lines more slowly than they come"
        return f"syslog at {self._address} cannot be reached: {self._failure}"

    def _say(self, text: str) -> None:
        self._loop.call_soon(self._tell, text)  # not at once: what is told is a line for us, too


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"
