"""The connection to a syslog receiver: made and lost, never waited for by anybody but itself."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from procsup.errors import UsageError
from procsup.output.sink import Buffer
from procsup.output.syslog_address import Place, Receiver, open_socket

_CONNECT = 10.0  # seconds
_REFUSAL = 0.2  # seconds in which a UDP port where nobody listens says so, if it ever does


class Link:
    """`on_ready` is called when it takes bytes again, `on_gone` when the receiver has closed it or refuses."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receiver: Receiver,
        on_ready: Callable[[], None],
        on_gone: Callable[[OSError | None], None],
    ) -> None:
        self.blocked = False
        self._loop = loop
        self._address, self._places = receiver.address, receiver.places
        self._on_ready = on_ready
        self._on_gone = on_gone
        self._socket: socket.socket | None = None
        self._asked: asyncio.Future[list[Place]] | None = None  # the host's addresses, which may have changed

    @property
    def connected(self) -> bool:
        return self._socket is not None

    @property
    def descriptor(self) -> int | None:
        return self._socket.fileno() if self._socket is not None else None

    def adopt(self, descriptor: int) -> None:
        """Go on with a connection that was made before."""
        self._socket = socket.socket(fileno=descriptor)
        self._watch(self._socket)

    def _watch(self, connected: socket.socket) -> None:
        if self._address.kind != "unix":  # there an error shows at the next write
            self._loop.add_reader(connected.fileno(), self._hear)

    async def connect(self, probe: bytes | None) -> None:
        """`probe` is sent, and must not be refused. Raises OSError."""
        self.close()
        failure: OSError | None = None
        for place in tuple(self._places):
            try:
                self._socket = await self._reach(place, probe)
            except OSError as error:
                failure = error
            else:
                self._watch(self._socket)
                return
        self._ask_again()
        raise failure or OSError("the host has no address")

    def send_stream(self, buffers: Sequence[Buffer]) -> int:
        """Raises OSError; also where the receiver has hung up, for what is sent after that is lost without a word."""
        if self._socket is None:
            return 0
        with suppress(BlockingIOError):
            if not self._socket.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return self._socket.sendmsg(buffers)

    def send_datagram(self, message: bytes) -> None:
        if self._socket is not None:
            self._socket.send(message)

    def block(self) -> None:
        """Until there is room again nothing is to be sent."""
        if self._socket is not None:
            self.blocked = True
            self._loop.add_writer(self._socket.fileno(), self._unblock)

    def close(self) -> None:
        self.blocked = False
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None

    async def _reach(self, place: Place, probe: bytes | None) -> socket.socket:
        opened = open_socket(place, self._address.type)
        try:
            async with asyncio.timeout(_CONNECT):
                await self._loop.sock_connect(opened, place.address)
            if probe is not None:
                opened.send(probe)
                await asyncio.sleep(_REFUSAL)
                refused = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if refused:
                    raise OSError(refused, os.strerror(refused))
        except TimeoutError:
            opened.close()
            raise TimeoutError(0, f"no answer within {_CONNECT:g} s") from None
        except BaseException:
            opened.close()
            raise
        return opened

    def _unblock(self) -> None:
        if self._socket is not None:
            self.blocked = False
            self._loop.remove_writer(self._socket.fileno())
            self._on_ready()

    def _hear(self) -> None:
        """Receivers say nothing: there is an end to see, or an error."""
        if self._socket is None:
            return
        try:
            heard = self._socket.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._on_gone(error)
            return
        if not heard and self._address.kind == "tcp":
            self._on_gone(None)

    def _ask_again(self) -> None:
        """For the next attempt. In a thread that nobody waits for: the resolver may take a minute, even at our end."""
        if self._address.kind == "unix" or self._asked is not None:
            return
        self._asked = self._loop.create_future()
        self._asked.add_done_callback(self._note_places)
        threading.Thread(target=self._ask, args=(self._asked,), daemon=True).start()

    def _ask(self, answer: asyncio.Future[list[Place]]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the loop's to hear
        try:
            found = self._address.resolve()
        except UsageError:
            found = []
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(answer.set_result, found)

    def _note_places(self, answer: asyncio.Future[list[Place]]) -> None:
        self._asked = None
        self._places = answer.result() or self._places
