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
    def __init__(self, client: socket.socket, peer: Peer, serve: Serve) -> None:
        self.peer = peer
        self.working = False  # a command is under way; its connection is not given up for another's sake
        self.answering = False  # from a whole request until its answer has left
        self._client = client
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._unread = bytearray()
        self.last_moved = self._loop.time()

    async def converse(self) -> None:
        """Until the client goes, or sends what cannot be gone on from."""
        try:
            while (line := await self._next_line()) is not None:
                self.answering = True
                for message in await self._serve(self, line):
                    await self.send(message)
                self.answering = False
                # Sockets that are ready are used without giving way: without this a flood would be all that runs.
                await asyncio.sleep(0)
        except Refused as refused:
            with contextlib.suppress(OSError):
                await self.send(error_answer(refused.request_id, refused.code, refused.message))
        except OSError:
            pass  # the client is gone; what it asked for goes on
        finally:
            self._client.close()

    async def stream(self, messages: AsyncIterator[bytes]) -> None:
        """Until they end, or the client says something or goes; TimeoutError when it has stopped reading."""
        turn = asyncio.Lock()  # held while a message leaves: none is cut off in its middle
        sending = self._loop.create_task(self._send_all(messages, turn))
        heard = self._loop.create_future()
        self._loop.add_reader(self._client, _wake, heard)
        try:
            await asyncio.wait({sending, heard}, return_when=asyncio.FIRST_COMPLETED)
            async with turn:
                pass
        finally:
            self._loop.remove_reader(self._client)
            heard.cancel()
            sending.cancel()
            await asyncio.wait({sending})
        if not sending.cancelled():
            sending.result()

    async def _send_all(self, messages: AsyncIterator[bytes], turn: asyncio.Lock) -> None:
        async for message in messages:
            async with turn, asyncio.timeout(STALLED):
                await self.send(message)

    async def send(self, message: bytes) -> None:
        """Returns when the kernel has it all; waits for as long as the client does not read."""
        await self._loop.sock_sendall(self._client, message)
        self.last_moved = self._loop.time()

    async def _next_line(self) -> bytes | None:
        """None at the end; what has no newline then was cut off and is not carried out."""
        searched = 0
        while True:
            end = self._unread.find(b"\n", searched) + 1
            if end > MAX_MESSAGE or (not end and len(self._unread) >= MAX_MESSAGE):
                raise too_long()
            if end:
                line = bytes(self._unread[:end])
                del self._unread[:end]
                if line.strip():
                    return line
                searched = 0
                await asyncio.sleep(0)
                continue
            searched = len(self._unread)
            chunk = await self._loop.sock_recv(self._client, _CHUNK)
            if not chunk:
                return None
            self.last_moved = self._loop.time()
            self._unread += chunk


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
