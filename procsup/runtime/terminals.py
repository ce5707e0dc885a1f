"""The terminals of instances that have one: who types into them, who watches, and how large they are.

The child sits at the slave side. The master side is read by the pump like any other output; here is what goes in, and
what came out lately, as it came, for those who look at it on a terminal of their own.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable

from procsup.errors import ProcsupError
from procsup.runtime.child import Window, set_window

_REMEMBERED = 8 * 1024  # bytes of the past that a newcomer sees: about a screen
_PATIENCE = 2.0  # seconds for a child to read what was typed before
# What a terminal answers, as if its answer were typed: where its cursor is, what it is, its modes and colours.
_QUESTION = re.compile(
    rb"\x1b\[[>=?]?\d*(?:n|c)|\x1b\[\??\d+\$p|\x1b\[[>?]\d*(?:q|u)|\x1b\[1[4-9]t|\x1b\[2[01]t"
    rb"|\x1b\][0-9;]*;\?(?:\x07|\x1b\\)|\x1bP[+$]q[^\x1b\x07]*\x1b\\"
)
_ANSWER = re.compile(rb"\x1b\[[?>]?[\d;]+\$?[Rcntuy]|\x1b[\]P]")
_UNREAD_AT_MOST = 256 * 1024  # bytes that a watcher may be behind; then it goes on with what is newest


class Terminal:
    """That of one copy of an instance. Takes over `master`, and closes it at the end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, master: int) -> None:
        self._loop = loop
        self._master = os.dup(master)
        self._past = bytearray()
        self.said = 0  # bytes, ever
        self._watchers: set[_Watcher] = set()
        self.listener: Callable[[bytes], None] | None = None  # who has it in front of all others
        self.ended = False

    def hear(self, chunk: bytes) -> None:
        """What the child wrote; empty when it and all who had the terminal are gone."""
        if not chunk:
            self._end()
        self.said += len(chunk)
        self._past += chunk
        del self._past[:-_REMEMBERED]
        for watcher in self._watchers:
            watcher.see(chunk, self.said)
        if self.listener is not None:
            self.listener(chunk)

    async def watch(self, after: int | None = None) -> AsyncGenerator[tuple[bytes, int], None]:
        """What is on it, and what comes, until it ends, each with how much that makes in all.

        `after` so much of it, nothing is told again.
        """
        watcher = _Watcher(self._loop)
        known = 0 if after is None else max(0, len(self._past) - max(0, self.said - after))
        watcher.see(bytes(self._past[known:]), self.said)
        self._watchers.add(watcher)
        try:
            while True:
                while (seen := watcher.next())[0]:
                    yield seen
                if self.ended:
                    return
                await watcher.wait()
        finally:
            self._watchers.discard(watcher)

    def _forget_questions(self) -> None:
        """Somebody's terminal has answered. The next newcomer's would do so again, into whatever is read then.

        NUL in their place, which terminals drop: it is counted how much there was.
        """
        if b"\x1b" in self._past:
            self._past[:] = _QUESTION.sub(lambda found: bytes(len(found[0])), self._past)

    async def type(self, text: bytes) -> None:
        """As if from its keyboard. Raises ProcsupError if the child does not read."""
        if _ANSWER.search(text):
            self._forget_questions()
        while text:
            if self.ended:
                raise ProcsupError("nobody sits at this terminal any more")
            try:
                text = text[os.write(self._master, text) :]
            except BlockingIOError:
                await self._until_it_reads()
            except OSError:
                raise ProcsupError("nobody sits at this terminal any more") from None

    def resize(self, window: Window) -> None:
        if not self.ended:
            set_window(self._master, window)

    async def _until_it_reads(self) -> None:
        writable: asyncio.Future[None] = self._loop.create_future()
        watched = os.dup(self._master)  # the loop has one writer for each descriptor, and several may type
        self._loop.add_writer(watched, lambda: writable.done() or writable.set_result(None))  # type: ignore[func-returns-value]
        try:
            async with asyncio.timeout(_PATIENCE):
                await writable
        except TimeoutError:
            raise ProcsupError("it does not read what is typed; the rest of it was dropped") from None
        finally:
            self._loop.remove_writer(watched)
            os.close(watched)

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            os.close(self._master)


class _Watcher:
    """What one of those who watch has not seen yet."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._unseen: deque[tuple[bytes, int]] = deque()
        self._size = 0
        self._news: asyncio.Future[None] | None = None

    def see(self, chunk: bytes, said: int) -> None:
        self._unseen.append((chunk, said))
        self._size += len(chunk)
        while self._size > _UNREAD_AT_MOST:
            self._size -= len(self._unseen.popleft()[0])
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def next(self) -> tuple[bytes, int]:
        seen = b"", 0
        while self._unseen and not seen[0]:
            seen = self._unseen.popleft()
            self._size -= len(seen[0])
        return seen

    async def wait(self) -> None:
        self._news = self._loop.create_future()
        await self._news


class Terminals:
    """Those of the copies that run now, by the instance's name."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._by_name: dict[str, Terminal] = {}
        self.on_new: Callable[[str, Terminal], None] = _nothing

    def add(self, name: str, master: int) -> Terminal:
        terminal = self._by_name[name] = Terminal(self._loop, master)
        self.on_new(name, terminal)
        return terminal

    def get(self, name: str) -> Terminal | None:
        terminal = self._by_name.get(name)
        return terminal if terminal is not None and not terminal.ended else None


def _nothing(_name: str, _terminal: Terminal) -> None:
    pass
