"""Those who ask procsup for something: some wait and are timed, some are killed, some never read what they are told.

Answers are timed at the socket, from the connection to the last byte, so that no client's own start is in it; and how
long procsup or we were ready to run meanwhile and had no processor, is known too.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import procfs
from benchmarks.soak.journal import Journal
from procsup.control import protocol

_CHUNK = 1 << 16
_TOO_LONG = 15.0  # seconds after which nobody waits for an answer any more
_NO_SUCH_NAME = 2  # the code of a command that names what is not there: it was scaled away meanwhile


class Refused(Exception):
    """The command was answered with an error."""


class Unanswered(Exception):
    """The command was not answered at all."""


class Answer(NamedTuple):
    """Seconds that it took, and those of them that are left when the waits for a processor are taken off."""

    took: float
    own: float


class _Order(NamedTuple):
    what: str
    connection: socket.socket
    answer: bytearray


class Clients:
    """`narrow` says that procsup has few descriptors just now: these answers are timed apart."""

    def __init__(
        self, supervisor: int, path: str, command: Path, environment: Mapping[str, str], folder: Path, journal: Journal
    ) -> None:
        self.answers: list[Answer] = []
        self.narrow_answers: list[Answer] = []
        self._supervisor = supervisor
        self.narrow = False
        self._path = path
        self._command = command
        self._environment = dict(environment)
        self._folder = folder
        self._journal = journal
        self._orders: list[_Order] = []
        self._hanging: list[socket.socket] = []
        self._commands: list[subprocess.Popen[bytes]] = []

    def ask(self, method: str, **params: object) -> Any:
        """The result. Raises Refused and Unanswered."""
        request = protocol.request(1, method, params)
        queued, since = self._queued(), time.monotonic()
        try:
            with self._connect() as connection:
                connection.sendall(request)
                answer = bytearray()
                while not answer.endswith(b"\n"):
                    chunk = connection.recv(_CHUNK)
                    if not chunk:
                        raise Unanswered(f"{method}: the connection was closed without an answer")
                    answer += chunk
        except OSError as error:
            raise Unanswered(f"{method}: {error}") from error
        took = time.monotonic() - since
        own = max(0.0, took - (self._queued() - queued))
        (self.narrow_answers if self.narrow else self.answers).append(Answer(took, own))
        return _result(answer)

    def order(self, method: str, **params: object) -> None:
        """Ask without waiting for the answer, which comes when it is done."""
        try:
            connection = self._connect()
            connection.sendall(protocol.request(1, method, params))
            connection.setblocking(False)
        except OSError as error:
            self._journal.wrong(f"{method} could not be sent: {error}")
            return
        self._orders.append(_Order(f"{method} {params.get('names', '')}", connection, bytearray()))

    def unanswered(self) -> list[str]:
        """The orders that are not done yet, after those that are have been looked at."""
        self._orders = [order for order in self._orders if not self._done(order)]
        return [f"{order.what} is not answered" for order in self._orders]

    def hang(self, how: str) -> None:
        """A client that sends half a message, or nonsense, or asks on and on and does not read."""
        message = protocol.request(1, "status", {})
        sent = {"half a message": message[: len(message) // 2], "nonsense": b"\0{]" * 300, "deaf": message * 300}[how]
        try:
            connection = self._connect()
            connection.setblocking(False)
            connection.send(sent)
        except OSError:
            return  # it had no room for one more
        self._hanging.append(connection)

    def start_command(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The installed command, as a person gives it; killed in its middle later on."""
        command = subprocess.Popen(
            [self._command, *arguments],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._commands.append(command)
        return command

    def leave(self) -> None:
        """All go but those that are still owed an answer."""
        for command in self._commands:
            command.kill()
            command.wait()
        for connection in self._hanging:
            connection.close()
        self._commands.clear()
        self._hanging.clear()

    def close(self) -> None:
        self.leave()
        for order in self._orders:
            order.connection.close()
        self._orders.clear()

    def _queued(self) -> float:
        return procfs.queued_seconds(self._supervisor) + procfs.queued_seconds(os.getpid())

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_TOO_LONG)
        try:
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _done(self, order: _Order) -> bool:
        try:
            while chunk := order.connection.recv(_CHUNK):
                order.answer.extend(chunk)
                if chunk.endswith(b"\n"):
                    break
            else:
                self._journal.wrong(f"{order.what} was never answered: its connection was closed")
                order.connection.close()
                return True
        except BlockingIOError:
            return False
        except OSError as error:
            self._journal.wrong(f"{order.what} was never answered: {error}")
            order.connection.close()
            return True
        order.connection.close()
        try:
            _result(order.answer)
        except Refused as refused:
            if refused.args[0] != _NO_SUCH_NAME and not _right_to_refuse(order.what, refused.args[1], self.narrow):
                self._journal.wrong(f"{order.what} was refused: {refused}")
        return True


def _right_to_refuse(what: str, why: str, narrow: bool) -> bool:
    """An upgrade waits for others only so long; and what a Python needs to begin with may not be there."""
    patience = "another upgrade is under way" in why or "try again when that is over" in why
    return what.startswith("upgrade") and (patience or narrow or "Too many open files" in why)


def _result(answer: bytes | bytearray) -> Any:
    message = json.loads(answer)
    if "error" in message:
        raise Refused(message["error"]["code"], message["error"]["message"])
    return message["result"]
