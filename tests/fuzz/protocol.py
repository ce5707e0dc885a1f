"""Any bytes as what a client sends: through a real connection and the server's whole path, in one piece or in many.

The limits are a small fraction of the real ones here, so that inputs of a few kilobytes reach what lies behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import zlib
from collections.abc import Iterator

from procsup.control import connection, protocol
from procsup.control.protocol import METHODS, Refused, parse_request
from procsup.control.server import ControlServer
from procsup.errors import UsageError

LONGEST = 16 * 1024
TOKENS = (
    *(b'{"jsonrpc":"2.0","id":1,"method":"', b'"method":', b'"params":{', b'"id":', b'"jsonrpc":"2.0"', b"}\n", b"\n"),
    *(f'"{name}"'.encode() for name in METHODS),
    *(f'"{key}":'.encode() for method in METHODS.values() for key in method.parameters),
    *(b'[{"type":"web","relative":true,"count":-1}]', b'"relative":', b'"count":', b'"type":', b'["web","worker.1"]'),
    *(b"true", b"false", b"null", b"NaN", b"1e999", b"1E400", b"-0", b"1.0", b"\\ud800", b"\\u0000", b"\xef\xbb\xbf"),
    *(b"9" * 64, b"[" * 64, b"x" * 64, b"\\\\" * 32, b"\xff", b"\r\n", b" " * 64),
)
_MAX_MESSAGE = 12 * 1024
_PART = 2 * 1024
_LONG_RESULT = {"text": '"\\é' * 1500, "rest": [None, True, 1.5, {}]}
_PATIENCE = 20  # seconds
_PIECES = 50


def one(data: bytes) -> None:
    size = 1 + zlib.crc32(data) % (2 * len(data) + 1)  # as good as any; half of all inputs are sent whole
    size = max(size, len(data) // _PIECES + 1)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    with _small_limits():
        _check(data, asyncio.run(_conversation(pieces)))


@contextlib.contextmanager
def _small_limits() -> Iterator[None]:
    before = protocol.MAX_MESSAGE, protocol._PART
    protocol.MAX_MESSAGE = connection.MAX_MESSAGE = _MAX_MESSAGE
    protocol._PART = _PART
    try:
        yield
    finally:
        protocol.MAX_MESSAGE, protocol._PART = before
        connection.MAX_MESSAGE = before[0]


class _Server(ControlServer):
    """Has no place to listen at: the connections are handed to it."""

    async def take(self, client: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._welcome(client)
        while self._connections:
            await asyncio.wait(set(self._connections))
        assert not self._commands
        await self.close()


async def _stub(method: str, params: dict[str, object]) -> object:
    """Answers in every way there is."""
    assert set(params) == set(METHODS[method].parameters)
    match method:
        case "formation":
            return _LONG_RESULT
        case "start":
            raise UsageError(f"there is no {params['names']}")
        case "stop":
            raise ArithmeticError("a bug in the handler")
        case "reload":
            return {"not": "json", "but": float("nan")}
        case "status":
            await asyncio.sleep(0)
    return {"method": method, "params": params}


async def _conversation(pieces: list[bytes]) -> bytes:
    """All that the server says to these bytes."""
    told: list[str] = []
    server = _Server("nowhere", _stub, lambda text, error: told.append(f"{text}: {error!r}"))
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        async with asyncio.timeout(_PATIENCE):
            _, answers, _ = await asyncio.gather(server.take(theirs), _hear(ours), _say(ours, pieces))
    meant = ("stop: ArithmeticError('a bug in the handler')", "reload: ValueError('Out of range float values")
    assert all(any(part in each for part in meant) for each in told), told
    return answers


async def _say(client: socket.socket, pieces: list[bytes]) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # sent away for too long a line
        for piece in pieces:
            await loop.sock_sendall(client, piece)
            await asyncio.sleep(0)
        client.shutdown(socket.SHUT_WR)


async def _hear(client: socket.socket) -> bytes:
    heard = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := await asyncio.get_running_loop().sock_recv(client, 1 << 16):
            heard += chunk
    return bytes(heard)


def _check(data: bytes, answers: bytes) -> None:
    assert answers == b"" or answers.endswith(b"\n"), "the last answer was cut off"
    messages = iter(answers.split(b"\n")[:-1])
    for line in data.split(b"\n")[:-1] if not _too_long(data) else []:
        if line.strip():
            _check_answer(line + b"\n", messages)
    if not _too_long(data):
        assert next(messages, None) is None, "something nobody asked for was said"
    for rest in messages:
        _strict(rest)


def _too_long(data: bytes) -> bool:
    """Then the connection ends in the middle, and what was answered before may be lost."""
    *lines, unfinished = data.split(b"\n")
    return any(len(line) >= _MAX_MESSAGE for line in lines) or len(unfinished) >= _MAX_MESSAGE


def _check_answer(line: bytes, messages: Iterator[bytes]) -> None:
    refused: Refused | None = None
    try:
        request = parse_request(line)
    except Refused as error:
        refused = error
    else:
        assert request.wants_answer == ("id" in json.loads(line))
        if not request.wants_answer:
            return
    request_id = _id_in(line)
    text = ""
    while (answer := _strict(next(messages))).get("method") == "part":
        assert answer.keys() == {"jsonrpc", "method", "params"}
        assert answer["params"]["id"] == request_id
        text += answer["params"]["text"]
    assert answer["id"] == request_id
    assert type(answer["id"]) is type(request_id)
    assert answer.keys() == {"jsonrpc", "id", "error" if "error" in answer else "result"}
    if refused is not None:
        assert answer["error"] == {"code": refused.code, "message": refused.message}
    elif request.method in ("start", "stop", "reload"):
        assert answer["error"]["code"] == {"start": 2, "stop": -32603, "reload": -32603}[request.method]
    elif request.method == "formation":
        assert answer["result"] is None
        assert json.loads(text) == _LONG_RESULT
    else:
        result = json.loads(text) if text else answer["result"]
        assert result == {"method": request.method, "params": request.params}
        given = json.loads(line).get("params", {})
        assert {key: request.params[key] for key in given} == given


def _strict(line: bytes) -> dict:
    assert len(line) < _MAX_MESSAGE, f"a message of {len(line) + 1} bytes"
    answer = json.loads(line.decode("ascii"), parse_constant=lambda text: int(f"no {text}"))
    assert answer["jsonrpc"] == "2.0"
    if "error" in answer:
        assert isinstance(answer["error"]["message"], str)
        assert type(answer["error"]["code"]) is int
    return answer


def _id_in(line: bytes) -> str | int | None:
    """What an answer must carry: the id wherever there is one that may be."""
    try:
        message = json.loads(line.decode(), parse_constant=lambda text: int(f"no {text}"))
    except (ValueError, RecursionError):
        return None
    value = message.get("id") if isinstance(message, dict) else None
    if type(value) is int:
        return value if len(str(value)) <= 256 else None
    return value if isinstance(value, str) and len(value) <= 256 else None
