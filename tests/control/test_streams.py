"""Streams of notifications: they come as they are made, end when the client has had enough, and wait for nobody."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from procsup.control import connection
from procsup.control.protocol import Notification
from procsup.control.server import ControlServer


class Hub:
    """Says what the test hands it, and knows whether somebody still listens."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[str | None] = asyncio.Queue()
        self.listening = 0
        self.complaints: list[str] = []

    async def handle(self, method: str, _params: dict[str, object]) -> object:
        return self._say() if method == "status" else {"method": method}

    async def _say(self) -> AsyncGenerator[Notification, None]:
        self.listening += 1
        try:
            while (word := await self.words.get()) is not None:
                yield Notification("word", {"text": word})
        finally:
            self.listening -= 1


def play(tmp_path: Any, act: Any) -> None:
    async def run() -> None:
        hub = Hub()
        folder = tmp_path / "sockets"
        server = ControlServer(str(folder / "a.sock"), hub.handle, lambda text, _error: hub.complaints.append(text))
        await server.start()
        try:
            reader, writer = await asyncio.open_unix_connection(server.path, limit=1 << 21)
            ask(writer, 1, "status")
            try:
                await asyncio.wait_for(act(hub, reader, writer), 20)
            finally:
                writer.close()
        finally:
            await server.close()

    asyncio.run(run())


def ask(writer: asyncio.StreamWriter, number: int, method: str) -> None:
    writer.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method}).encode() + b"\n")


async def next_message(reader: asyncio.StreamReader) -> Any:
    return json.loads(await reader.readline())


async def until_nobody_listens(hub: Hub) -> None:
    while hub.listening:
        await asyncio.sleep(0)


def test_what_is_said_comes_as_it_is_said_and_the_answer_at_its_end(tmp_path) -> None:
    async def act(hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for word in ("one", "two"):
            hub.words.put_nowait(word)
            assert await next_message(reader) == {"jsonrpc": "2.0", "method": "word", "params": {"text": word}}
        hub.words.put_nowait(None)
        assert await next_message(reader) == {"jsonrpc": "2.0", "id": 1, "result": None}

    play(tmp_path, act)


def test_the_next_request_ends_the_stream_and_is_answered(tmp_path) -> None:
    async def act(hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub.words.put_nowait("one")
        await next_message(reader)
        ask(writer, 2, "info")
        assert await next_message(reader) == {"jsonrpc": "2.0", "id": 1, "result": None}
        assert (await next_message(reader))["id"] == 2
        assert not hub.listening

    play(tmp_path, act)


def test_nothing_is_said_to_a_client_that_has_gone(tmp_path) -> None:
    async def act(hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub.words.put_nowait("one")
        await next_message(reader)
        writer.close()
        await until_nobody_listens(hub)

    play(tmp_path, act)


def test_who_takes_nothing_is_cut_off_and_that_is_told(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALLED", 0.1)

    async def act(hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(40):
            hub.words.put_nowait("x" * 100_000)
        while not hub.complaints:
            await asyncio.sleep(0.01)
        assert "took nothing" in hub.complaints[0]
        await until_nobody_listens(hub)

    play(tmp_path, act)
