"""A real server on a real socket, clients that speak bytes, and the proof after every test that nothing was left."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from procsup.control.server import ControlServer


class Reports:
    """What the server told its owner, and a way to wait for the next word."""

    def __init__(self) -> None:
        self.told: list[tuple[str, BaseException | None]] = []
        self._something = asyncio.Event()

    def __call__(self, text: str, error: BaseException | None) -> None:
        self.told.append((text, error))
        self._something.set()

    async def next(self) -> str:
        await asyncio.wait_for(self._something.wait(), 10)
        self._something.clear()
        return self.told[-1][0]


class Raw:
    """A client that says exactly the bytes it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def hear(self) -> dict:
        line = await asyncio.wait_for(self.reader.readline(), 10)
        assert line.endswith(b"\n"), f"cut off: {line!r}"
        return json.loads(line)

    async def hear_end(self) -> None:
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(self.reader.read(), 10) == b""

    async def ask(self, method: str, request_id: object = 1, **params: object) -> dict:
        await self.say(request(method, request_id, **params))
        return await self.hear()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


def request(method: str, request_id: object = 1, **params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode() + b"\n"


async def echo(method: str, params: dict) -> object:
    return {"method": method, "params": params}


@pytest.fixture
def sock(tmp_path: Path) -> str:
    path = str(tmp_path / "run" / "app.sock")
    assert len(path) < 100
    return path


@pytest.fixture
def connect() -> Callable[[str], Awaitable[Raw]]:
    async def connect(path: str) -> Raw:
        return Raw(*await asyncio.open_unix_connection(path, limit=4 * 1024 * 1024))

    return connect


@pytest.fixture
def serving() -> Callable[..., contextlib.AbstractAsyncContextManager[Reports]]:
    @contextlib.asynccontextmanager
    async def serving(path: str, handler: object = echo, *, poll: bool = False) -> AsyncIterator[Reports]:
        reports = Reports()
        server = ControlServer(path, handler, reports, poll=poll)
        await server.start()
        try:
            yield reports
        finally:
            await asyncio.wait_for(server.close(), 5)

    return serving


@pytest.fixture(autouse=True)
def no_socket_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.rglob("app.sock")), "the socket's file was left"


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a scenario in a loop of its own and sees that it leaves no task."""

    def run(scenario: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            await asyncio.wait_for(scenario(), 60)
            assert asyncio.all_tasks() == {asyncio.current_task()}, "tasks were left"

        asyncio.run(whole())

    return run
