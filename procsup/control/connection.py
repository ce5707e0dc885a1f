"""One client's conversation: lines in, lines out, one at a time, in bounded memory however the client behaves.

Nothing is read while a request is carried out or its answer is not taken, so a client that floods us or never reads
stops itself. A stream of notifications goes on until it ends, the client says something, or it stops reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from procsup.control.peer import Peer
from procsup.control.protocol import MAX_MESSAGE, Refused, error_answer, too_long

STALLED = 10.0  # seconds in which a stream's client took nothing of what was there for it, and is cut off

_CHUNK = 64 * 1024

# Carries one line out and gives the lines to answer.
Serve = Callable[["Connection", bytes], Awaitable[Iterable[bytes]]]


class Connection:
    """`unsent` is to be told to it before anything else, and `unread` is what it has said so far.

    `may_go_on` holds back whoever asks while it is not set.
    """

    def __init__(
        self,
        client: socket.socket,
        peer: Peer,
        serve: Serve,
        may_go_on: asyncio.Event | None = None,
        unsent: bytes = b"",
        unread: bytes = b"",
    ) -> None:
        self.client = client
        self.peer = peer
        self.working = False  # a command is under way; its connection is not given up for another's sake
        self.request: bytes | None = None  # from when it was read until its answer has left
        self.unsent = memoryview(unsent)  # of what it is being told
        self.streaming = False
        self.unread = bytearray(unread)
        self._serve = serve
        self._may_go_on = may_go_on
        self._loop = asyncio.get_running_loop()
        self.last_moved = self._loop.time()

    async def converse(self) -> None:
        """Until the client goes, or sends what cannot be gone on from."""
        try:
            await self.send(self.unsent)
            while (line := await self._next_line()) is not None:
                self.request = line
                await self.send(b"".join(await self._serve(self, line)))
                self.request = None
                # Sockets that are ready are used without giving way: without this a flood would be all that runs.
                await asyncio.sleep(0)
        except Refused as refused:
            with contextlib.suppress(OSError):
                await self.send(error_answer(refused.request_id, refused.code, refused.message))
        except OSError:
            pass  # the client is gone; what it asked for goes on
        finally:
            self.client.close()

    @property
    def answering(self) -> bool:
        return self.request is not None

    async def stream(self, messages: AsyncIterator[bytes]) -> None:
        """Until they end, or the client says something or goes; TimeoutError when it has stopped reading."""
        self.streaming = True
        turn = asyncio.Lock()  # held while a message leaves: none is cut off in its middle
        sending = self._loop.create_task(self._send_all(messages, turn))
        heard = self._loop.create_future()
        self._loop.add_reader(self.client, _wake, heard)
        try:
            await asyncio.wait({sending, heard}, return_when=asyncio.FIRST_COMPLETED)
            async with turn:
                pass
        finally:
            self._loop.remove_reader(self.client)
            heard.cancel()
            sending.cancel()
            await asyncio.wait({sending})
            self.streaming = False
        if not sending.cancelled():
            sending.result()

    async def _send_all(self, messages: AsyncIterator[bytes], turn: asyncio.Lock) -> None:
        async for message in messages:
            async with turn, asyncio.timeout(STALLED):
                await self.send(message)

    async def send(self, message: bytes | memoryview) -> None:
        """Returns when the kernel has it all; waits for as long as the client does not read."""
        self.unsent = memoryview(message)
        while self.unsent:
            try:
                self.unsent = self.unsent[self.client.send(self.unsent) :]
            except BlockingIOError:
                writable: asyncio.Future[None] = self._loop.create_future()
                self._loop.add_writer(self.client, _wake, writable)
                try:
                    await writable
                finally:
                    self._loop.remove_writer(self.client)
        self.last_moved = self._loop.time()

    async def _next_line(self) -> bytes | None:
        """None at the end; what has no newline then was cut off and is not carried out."""
        searched = 0
        while True:
            end = self.unread.find(b"\n", searched) + 1
            if end > MAX_MESSAGE or (not end and len(self.unread) >= MAX_MESSAGE):
                raise too_long()
            if end:
                if self._may_go_on is not None:
                    await self._may_go_on.wait()
                line = bytes(self.unread[:end])
                del self.unread[:end]
                if line.strip():
                    return line
                searched = 0
                await asyncio.sleep(0)
                continue
            searched = len(self.unread)
            chunk = await self._receive()
            if not chunk:
                return None
            self.last_moved = self._loop.time()
            self.unread += chunk

    async def _receive(self) -> bytes:
        """Not the loop's own, which holds what it has read for a moment in which nobody could hand it over."""
        while True:
            with contextlib.suppress(BlockingIOError):
                return self.client.recv(_CHUNK)
            readable: asyncio.Future[None] = self._loop.create_future()
            self._loop.add_reader(self.client, _wake, readable)
            try:
                await readable
            finally:
                self._loop.remove_reader(self.client)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
