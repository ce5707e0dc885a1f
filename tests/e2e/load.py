"""Somebody who asks a web server so many times a second, come what may, and keeps count of what went wrong."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

PATIENCE = 30.0  # of one who waits for a page: who is served late by a busy machine was not turned away
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Failed(NamedTuple):
    begun: float
    kept_alive: bool
    why: str


class Load:
    """Half of the requests on connections of their own, half on those that are kept alive.

    A server may close a connection that is idle at any time; who writes into it just then asks again on another, as
    every client does, if no byte of an answer has come (`asked_again`). That is not for a connection of one's own.
    """

    def __init__(self, address: tuple[str, int] | str, rate: float) -> None:
        self._address = address
        self._pause = 1 / rate
        self._idle: list[Connection] = []
        self._enough = False
        self.requests = self.under_way = self.asked_again = 0
        self.failed: list[Failed] = []
        self.slowest = 0.0
        self.answers: Counter[str] = Counter()

    @property
    def summary(self) -> str:
        slowest, again = f"{self.slowest * 1000:.0f} ms", f"{self.asked_again} asked again"
        return f"{self.requests} requests, {len(self.failed)} failed, {again}, slowest {slowest}"

    @contextmanager
    def on(self) -> Iterator[Load]:
        thread = threading.Thread(target=lambda: asyncio.run(self._go_on()))
        thread.start()
        try:
            yield self
        finally:
            self._enough = True
            thread.join()

    def forget_answers(self) -> None:
        """Also those that are still to come to requests made so far: an earlier server may have given them."""
        self.answers = Counter()

    async def _go_on(self) -> None:
        due = time.monotonic()
        async with asyncio.TaskGroup() as requests:
            while not self._enough:
                requests.create_task(self._request(self.requests % 2 == 0))
                self.requests += 1
                due += self._pause
                await asyncio.sleep(due - time.monotonic())
        for _, writer in self._idle:
            writer.close()

    async def _request(self, keep_alive: bool) -> None:
        begun, answers = time.monotonic(), self.answers
        self.under_way += 1
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await (self._on_an_old_one() if keep_alive else self._on_a_new_one(b"close"))
        except (OSError, EOFError, ValueError) as error:
            self.failed.append(Failed(begun, keep_alive, f"{type(error).__name__}: {error}"))
        else:
            answers[answer] += 1
        self.under_way -= 1
        self.slowest = max(self.slowest, time.monotonic() - begun)

    async def _on_an_old_one(self) -> str:
        while self._idle:
            connection = self._idle.pop()
            _, writer = connection
            try:
                first = await self._ask(connection, b"keep-alive")
            except OSError:
                first = b""
            if first:
                return await self._rest(first, connection, keep=True)
            writer.close()
            self.asked_again += 1
        return await self._on_a_new_one(b"keep-alive")

    async def _on_a_new_one(self, what: bytes) -> str:
        opened = (
            asyncio.open_unix_connection(self._address)
            if isinstance(self._address, str)
            else asyncio.open_connection(*self._address)
        )
        connection = await opened
        first = await self._ask(connection, what)
        return await self._rest(first, connection, keep=what == b"keep-alive")

    async def _ask(self, connection: Connection, what: bytes) -> bytes:
        """The first byte of the answer, or nothing."""
        reader, writer = connection
        writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: " + what + b"\r\n\r\n")
        return await reader.read(1)

    async def _rest(self, first: bytes, connection: Connection, *, keep: bool) -> str:
        reader, writer = connection
        try:
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode().lower()
            status = head.split()[1]
            if status != "200":
                raise ValueError(status)
            body = await reader.readexactly(int(head.split("content-length:")[1].split()[0]))
        except BaseException:
            writer.close()
            raise
        if keep and "connection: close" not in head:
            self._idle.append(connection)
        else:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        return body.decode()
