"""Looks from outside whether a process does what it is there for: something of its own listens, or HTTP is answered.

A probe returns what is missing, in words, or None where nothing is. It never blocks the loop, and few run at a time.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from procsup.runtime.listening import listening_sockets
from procsup.runtime.threads import in_thread
from procsup.runtime.trees.census import Census
from procsup.runtime.trees.disguise import read_link

_AT_ONCE = 4  # probes that wait for an answer
_HEAD = 8 * 1024  # bytes of an answer, at most, in which its first line has to end
_SAME_LOOK = 0.01  # seconds in which one look at the table of sockets, or of processes, does for all


class Prober:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._walk = asyncio.Lock()
        self._sockets: tuple[float, dict[int, list[str]] | None] = (float("-inf"), None)
        self._census: tuple[float, Census | None] = (float("-inf"), None)

    async def port(self, port: int, leader: int, cookie: str) -> str | None:
        """Whether somebody of the tree listens there, and not a stranger."""
        sockets = self._listening()
        if sockets is None:  # not a system where one can look whose it is
            return None if await self._connects(port) else f"nothing listens on port {port}"
        wanted = {f"socket:[{inode}]" for inode in sockets.get(port, ())}
        if not wanted:
            return f"nothing listens on port {port}"
        if _has_one_of(leader, wanted):
            return None
        async with self._walk:
            try:
                if self._loop.time() - self._census[0] > _SAME_LOOK:
                    self._census = self._loop.time(), await in_thread(Census)
                family = self._census[1].family(cookie, leader) if self._census[1] is not None else ()
                if await in_thread(lambda: any(_has_one_of(member.pid, wanted) for member in family)):
                    return None
            except (OSError, RuntimeError) as error:  # no descriptor or thread is free for it just now
                return f"who listens on port {port} cannot be looked up: {error}"
        return f"who listens on port {port} is none of its own processes"

    async def http(self, port: int, path: str, patience: float) -> str | None:
        """Whether GET is answered with 2xx or 3xx."""
        what = f"GET {path} on port {port}"
        async with self._turn:
            try:
                async with asyncio.timeout(patience):
                    first = await _first_line(port, path)
            except TimeoutError:
                return f"{what}: no answer within {patience:g} s"
            except ConnectionRefusedError:
                return f"{what}: nothing listens there"
            except (OSError, asyncio.LimitOverrunError, ValueError) as error:
                return f"{what}: {getattr(error, 'strerror', None) or 'what answers is no HTTP'}"
        words = first.split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            return f"{what}: what answers is no HTTP"
        return None if words[1][:1] in (b"2", b"3") else f"{what}: {words[1].decode()}"

    def _listening(self) -> dict[int, list[str]] | None:
        now = self._loop.time()
        if now - self._sockets[0] > _SAME_LOOK:
            self._sockets = now, listening_sockets()
        return self._sockets[1]

    async def _connects(self, port: int) -> bool:
        async with self._turn:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            return True


def _has_one_of(pid: int, sockets: set[str]) -> bool:
    with suppress(OSError):  # gone, or not ours to look at
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if read_link(pid, f"fd/{descriptor}") in sockets:
                    return True
    return False


async def _first_line(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_HEAD)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: procsup\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n".encode()
        )
        return await reader.readline()
    finally:
        writer.close()
