"""Weaves the streams of one instance into one text in which no line is torn. Pure: it holds, gives and writes nothing.

The beginning of a line is held until its end has come. One that is too long to be held is given piece by piece, and
the other streams wait for its end; for whoever must not wait any longer there is `release`.
"""

from __future__ import annotations

from procsup.output.sink import Buffer
from procsup.output.source import Source

LINE_AT_MOST = 64 * 1024  # bytes of an unfinished line that are held
WAITING_AT_MOST = 256 * 1024


class Unfinished:
    """The beginnings of lines, whose ends are still to come."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[Source, bytes] = {}

    def add(self, source: Source, text: bytes) -> bytes:
        """All of the line so far if it is too long to be held, and then it is not."""
        text = self.take(source) + text
        if len(text) >= LINE_AT_MOST:
            return text
        self._held[source] = text
        return b""

    def take(self, source: Source) -> bytes:
        return self._held.pop(source, b"") if self._held else b""


class Weave:
    """Takes what an `Audience` takes; gives what may be written now, in order."""

    __slots__ = ("_open", "_rests", "_unfinished", "_waiting", "_waiting_bytes")

    def __init__(self) -> None:
        self._unfinished = Unfinished()
        self._open: Source | None = None  # the beginning of its line has been given
        self._waiting: list[Buffer] = []  # lines of others
        self._waiting_bytes = 0
        self._rests: list[bytes] = []  # of streams that ended in the middle of a line

    @property
    def waiting(self) -> bool:
        return bool(self._waiting or self._rests)

    def lines(self, source: Source, head: bytes, data: bytes, end: int) -> list[Buffer]:
        head = self._unfinished.take(source) + head
        given: list[Buffer] = [head, memoryview(data)[:end]] if head else [memoryview(data)[:end]]
        if self._open is None:
            return given
        if self._open is source:
            self._open = None
            return [*given, *self._let_go()]
        self._waiting += given
        self._waiting_bytes += len(head) + end
        return self.release() if self._waiting_bytes > WAITING_AT_MOST else []

    def partial(self, source: Source, text: bytes) -> list[Buffer]:
        if self._open is source:
            return [text]
        text = self._unfinished.add(source, text)
        if not text:
            return []
        given = self.release()
        self._open = source
        return [*given, text]

    def ended(self, source: Source, rest: bytes) -> list[Buffer]:
        """Its rest of a line goes behind the last words of the others, which come in the same moment; see `release`."""
        rest = self._unfinished.take(source) + rest
        if self._open is source:
            self._open = None
            return [rest, *self._let_go()] if rest else self._let_go()
        if rest:
            self._rests.append(rest)
        return []

    def release(self) -> list[Buffer]:
        """All that waits, be there an unfinished line before it or not."""
        given = [*self._let_go(), *self._rests]
        self._rests = []
        return given

    def _let_go(self) -> list[Buffer]:
        given, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        return given
