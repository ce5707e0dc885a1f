"""The other terminal's end of the control socket: asks, and waits for the answer.

Every command but `start` goes through here, so it imports only what it cannot do without, and knows nothing of asyncio.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from types import TracebackType

from procsup.control import protocol
from procsup.control.address import check_private
from procsup.errors import AlreadyRunning, NotRunning, ProcsupError, UsageError

# Seconds. The kernel lets us in even if the supervisor was stopped (with Ctrl-Z, say), and what we send would wait
# until it goes on. So it gets no order before it has shown that it is awake, which takes it less than a millisecond.
PATIENCE = 3.0
_CHUNK = 64 * 1024


class SupervisorGone(ProcsupError):
    """The connection ended before the answer came."""


class Client:
    """A connection to one supervisor. `info` is what it says of itself."""

    info: object = None
    ended = False

    def __init__(self, connection: socket.socket, path: str) -> None:
        self._connection = connection
        self._path = path
        self._unread = bytearray()
        self._last_id = 0
        self._asked: tuple[str, dict[str, object]] = ("info", {})

    @classmethod
    def connect(cls, path: str, patience: float = PATIENCE) -> Client:
        """NotRunning if nobody listens there; ProcsupError if somebody does but does not let us in, or keeps silent."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client = cls(connection, path)
        try:
            check_private(os.path.dirname(path))
            _set_send_timeout(connection, patience)
            connection.connect(path)
            client.info = client._ask("info", {}, patience, patience)
        except (FileNotFoundError, ConnectionRefusedError, SupervisorGone):
            connection.close()
            raise NotRunning(f"no supervisor listens at {path}; start it with: procsup start") from None
        except BlockingIOError:  # so many wait before us that the kernel lets nobody else in
            client.close()
            raise client._silent() from None
        except OSError as error:
            connection.close()
            raise ProcsupError(f"cannot reach the supervisor at {path}: {error.strerror or error}") from None
        except BaseException:
            connection.close()
            raise
        return client

    def call(self, method: str, /, **params: object) -> object:
        """The result, however long it takes; its errors as the ProcsupError with the exit code to end in."""
        return self._ask(method, params, PATIENCE, None)

    def begin(self, method: str, /, **params: object) -> None:
        """Ask for a stream, whose messages `receive` gives; `ended` is true once its answer has come."""
        self.ended = False
        self._asked = method, params
        self._send(method, params, PATIENCE)
        self._connection.settimeout(None)

    def receive(self) -> list[tuple[str, dict[str, object]]]:
        """Wait for the next of the stream: each a notification's method and parameters. Raises what the answer says.

        A parameter `raw` is the bytes that came behind the notification.

        SupervisorGone where the connection breaks off before the stream's own end.
        """
        received: list[tuple[str, dict[str, object]]] = []
        while not self.ended and (not received or b"\n" in self._unread):
            match self._next_message():
                case {"method": "resumed"}:  # by another version of the supervisor, which wants to be asked
                    method, asked = self._asked
                    self.begin(method, **asked)
                case {"method": str(method), "params": dict(params)}:
                    if "raw" in params:
                        params["raw"] = self._next_bytes(params["raw"])
                    if "number" in params:
                        self._asked[1]["after"] = params["number"]
                    received.append((method, params))
                case {"error": {"code": int(code), "message": str(text)}}:
                    raise _error(code, text)
                case {"id": self._last_id}:
                    self.ended = True
                case _:
                    pass
        return received

    @property
    def owner(self) -> int | None:
        """The user that the supervisor runs as; None where this system does not tell."""
        return _credentials(self._connection)[1]

    def fileno(self) -> int:
        """Readable when `receive` has something to give."""
        return self._connection.fileno()

    def wait_until_gone(self) -> None:
        """Wait for the end of the supervisor, which is the end of its connections."""
        try:
            while True:
                self._next_message()
        except SupervisorGone:
            return

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, method: str, params: Mapping[str, object], to_send: float, to_answer: float | None) -> object:
        self._send(method, params, to_send)
        self._connection.settimeout(to_answer)
        return self._answer()

    def _send(self, method: str, params: Mapping[str, object], to_send: float) -> None:
        self._last_id += 1
        message = protocol.request(self._last_id, method, params)
        if len(message) > protocol.MAX_MESSAGE:
            raise UsageError(f"too much for one command: {len(message)} bytes, {protocol.MAX_MESSAGE} at most")
        self._connection.settimeout(to_send)
        try:
            self._connection.sendall(message)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have said why before it closed
        except TimeoutError:
            raise self._silent() from None

    def _answer(self) -> object:
        parts: list[str] = []
        while True:
            match self._next_message():
                case {"method": "part", "params": {"id": self._last_id, "text": str(text)}}:
                    parts.append(text)
                case {"error": {"code": int(code), "message": str(text)}, "id": self._last_id | None}:
                    raise _error(code, text)
                case {"id": self._last_id, "result": result}:
                    return protocol.decode("".join(parts).encode()) if parts else result
                case _:
                    pass  # no answer to this: a notification we did not ask for

    def _next_message(self) -> object:
        searched = 0
        while (end := self._unread.find(b"\n", searched)) < 0:
            searched = len(self._unread)
            if searched >= protocol.MAX_MESSAGE:
                raise ProcsupError(f"what listens at {self._path} is no supervisor: its answer has no end")
            self._unread += self._more(_CHUNK)
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        try:
            return protocol.decode(line)
        except ValueError:
            raise self._not_understood() from None

    def _next_bytes(self, size: object) -> bytes:
        if type(size) is not int or not 0 <= size <= protocol.MAX_MESSAGE:
            raise self._not_understood()
        pieces = [bytes(self._unread[:size])]
        del self._unread[:size]
        size -= len(pieces[0])
        while size:
            pieces.append(self._more(size))
            size -= len(pieces[-1])
        return b"".join(pieces)

    def _more(self, at_most: int) -> bytes:
        try:
            chunk = self._connection.recv(at_most)
        except TimeoutError:
            raise self._silent() from None
        except OSError:
            chunk = b""
        if not chunk:
            raise SupervisorGone(f"the supervisor at {self._path} ended before it answered")
        return chunk

    def _not_understood(self) -> ProcsupError:
        return ProcsupError(f"what listens at {self._path} is no supervisor: its answer is not understood")

    def _silent(self) -> ProcsupError:
        pid = _pid_behind(self._connection)
        who = f"pid {pid}, " if pid else ""
        return ProcsupError(
            f"the supervisor ({who}{self._path}) does not answer, and was told nothing; "
            f"if it is stopped, let it go on with: kill -CONT {pid or 'PID'}"
        )


def _set_send_timeout(connection: socket.socket, seconds: float) -> None:
    """A connect() that waits for its turn in a full queue at most so long; a non-blocking one would not wait at all."""
    timeval = memoryview(bytearray(16)).cast("l")
    timeval[0], timeval[1] = int(seconds), int(seconds % 1 * 1_000_000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


def _pid_behind(connection: socket.socket) -> int:
    """Of the process that listens there; 0 where it cannot be known."""
    return _credentials(connection)[0]


def _credentials(connection: socket.socket) -> tuple[int, int | None]:
    """The pid and the user of who listens there."""
    try:
        pid, uid, _ = memoryview(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)).cast("i")
    except (AttributeError, OSError):  # not on this system; closed, or never connected
        return 0, None
    return pid, uid


def _error(code: int, text: str) -> ProcsupError:
    if code in (UsageError.exit_code, protocol.INVALID_PARAMS):
        return UsageError(text)
    if code == AlreadyRunning.exit_code:
        return AlreadyRunning(text)
    if code == protocol.METHOD_NOT_FOUND:
        return ProcsupError(f"the supervisor that runs is of another version: {text}")
    return ProcsupError(text)
