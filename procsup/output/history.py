"""What the instances said lately: kept in memory, bounded, for whoever asks later or listens from another terminal.

A ring of chunks per instance, as they came from its pipes; a number that all rings share gives back the order in which
everything came. Nothing is copied on the way in. Who follows has nothing but a place in that order: one who is slow
finds that the rings have gone on without it, and is told how much it missed. So no reader can cost memory or time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import NamedTuple

from procsup.output.source import Source
from procsup.value import Value

TOTAL = 12 * 1024 * 1024  # for all together; the more there are, the less each has
_COST = 200  # bytes that an entry takes in memory beside its text
_AT_ONCE = 1024 * 1024  # bytes that one who follows is handed at once
_PACE = 0.05  # seconds between what is handed to one who cannot keep up, and would only take time from those who can


class Entry(NamedTuple):
    """A chunk: `text` begins `offset` bytes after all that the instance ever said. `number` orders all entries."""

    number: int
    time: float
    source: Source
    offset: int
    text: bytes


class Lost(Value):
    """So many bytes of an instance were dropped before the one who follows came to read them.

    None where nobody knows how many: who comes back to its place may find that the place itself was dropped.
    """

    name: str
    missed: int | None


class _Ring:
    __slots__ = ("dropped", "entries", "said", "size", "torn")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.size = 0
        self.said = 0  # bytes, ever
        self.dropped = 0  # the number of the last entry of which something is not there any more
        self.torn: set[Source] = set()  # those whose first entry now begins inside a line

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.size += len(entry.text) + _COST
        self.said = entry.offset + len(entry.text)

    def shrink(self, limit: int) -> None:
        while self.size > limit and self.entries:
            oldest = self.entries.popleft()
            self.size -= len(oldest.text) + _COST
            self.dropped = max(self.dropped, oldest.number)
            if oldest.text.endswith(b"\n"):
                self.torn.discard(oldest.source)
            else:
                self.torn.add(oldest.source)

    def read(self, number: int) -> int | None:
        """How many bytes one has read who has read all up to the entry of this number; None if that is not known."""
        if self.dropped > number:
            return None
        for entry in reversed(self.entries):
            if entry.number <= number:
                return entry.offset + len(entry.text)
        return self.entries[0].offset if self.entries else self.said


class History:
    """`limit`: bytes for each instance, `total` for all together; both count what an entry costs beside its text."""

    def __init__(self, limit: int, *, total: int = TOTAL, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._total = total
        self._clock = clock
        self._rings: dict[str, _Ring] = {}
        self._size = 0
        self._number = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._closed = False

    def take(self, source: Source, chunk: bytes) -> None:
        ring = self.ring(source.name)
        before, offset = ring.size, ring.said
        cut = len(chunk) + _COST > self._limit
        if cut:
            kept = max(0, self._limit - _COST)
            offset += len(chunk) - kept
            chunk = chunk[len(chunk) - kept :]
        self._number += 1
        ring.add(Entry(self._number, self._clock(), source, offset, chunk))
        if ring.size > self._limit:
            ring.shrink(self._limit)
        if cut:  # known only now: those that were dropped before it may have ended with a line
            ring.torn.add(source)
            ring.dropped = self._number
        self._size += ring.size - before
        if self._size > self._total:
            self._make_room()
        if self._waiting:
            self._wake()

    def ring(self, name: str) -> _Ring:
        """That of an instance."""
        ring = self._rings.get(name)
        if ring is None:
            ring = self._rings[name] = _Ring()
        return ring

    def names(self) -> list[str]:
        """All who ever said something, the dead too."""
        return list(self._rings)

    def tail(self, names: Iterable[str], lines: int | None, since: float | None = None) -> list[Entry]:
        """The last lines of these in the order in which they came, and what has no end yet; None for all there are.

        A line counts where it ends, and what was said of it before that comes with it. `since` is a moment on the
        history's clock.
        """
        rings = [self._rings[name] for name in names if name in self._rings]
        entries = sorted(entry for ring in rings for entry in _whole_lines(ring))
        if lines is None and since is None:
            return entries
        return _last_lines(entries, sys.maxsize if lines is None else lines, since)

    def since(self, number: int, chosen: Callable[[str], bool]) -> list[Entry]:
        """What came after the entry of this number and is still there."""
        rings = (ring for name, ring in self._rings.items() if chosen(name))
        return sorted(entry for ring in rings for entry in _whole_lines(ring) if entry.number > number)

    def end(self) -> int:
        """The number of the last entry so far: where one begins to follow."""
        return self._number

    def follow(
        self, chosen: Callable[[str], bool], after: int, until: int | None = None
    ) -> AsyncGenerator[Entry | Lost, None]:
        """What comes after entry number `after`, as it comes, to number `until`, or else the end of the history itself.

        What was dropped since is told as lost, however late one begins to read.
        """
        return self._follow(chosen, after, until, {name: ring.read(after) for name, ring in self._rings.items()})

    async def _follow(
        self, chosen: Callable[[str], bool], after: int, until: int | None, read: dict[str, int | None]
    ) -> AsyncGenerator[Entry | Lost, None]:
        while True:
            entries = self._fresh(chosen, after)
            late = False
            for entry in entries:
                name = entry.source.name
                known = read.get(name, 0)
                missed = entry.offset - known if known is not None else None
                if missed is None or missed > 0:
                    late = True
                    yield Lost(name, missed)
                if until is not None and entry.number > until:
                    return
                yield entry
                read[name] = entry.offset + len(entry.text)
                after = entry.number
            if not entries:
                if self._closed or until is not None:
                    return
                after = self._number
                news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(news)
                await news
            elif late and not self._closed:
                await asyncio.sleep(_PACE)

    def _fresh(self, chosen: Callable[[str], bool], after: int) -> list[Entry]:
        """As much as one who follows may hold on to while it is slow."""
        rings = (ring for name, ring in self._rings.items() if chosen(name))
        entries = sorted(entry for ring in rings for entry in _since(ring, after))
        size = 0
        for position, entry in enumerate(entries):
            size += len(entry.text) + _COST
            if size > _AT_ONCE:
                return entries[: position + 1]
        return entries

    def close(self) -> None:
        """Nothing more will come: who follows gets what there is, and then the end."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for news in waiting:
            if not news.done():
                news.set_result(None)

    def _make_room(self) -> None:
        """Nobody keeps more than half its share, the silent neither; with the whole of it this were done each time."""
        share = self._total // (2 * len(self._rings))
        for ring in self._rings.values():
            ring.shrink(share)
        self._size = sum(ring.size for ring in self._rings.values())


def in_lines(entries: Iterable[Entry]) -> bytes:
    """What was said with no line torn: each stands where it ended, and those without an end are the last."""
    said = bytearray()
    unfinished: dict[Source, bytes] = {}
    for entry in entries:
        whole, newline, rest = (unfinished.pop(entry.source, b"") + entry.text).rpartition(b"\n")
        said += whole + newline
        if rest:
            unfinished[entry.source] = rest
    return bytes(said + b"".join(rest + b"\n" for rest in unfinished.values()))


def _last_lines(entries: list[Entry], lines: int, since: float | None) -> list[Entry]:
    given: list[Entry] = []
    seen: set[Source] = set()
    begun: set[Source] = set()  # those of whose line only the end is given so far
    for entry in reversed(entries):
        source = entry.source
        last = source not in seen  # of its source, so what follows its last newline is a line without end
        seen.add(source)
        allowed = lines if since is None or entry.time >= since else 0
        if not allowed and source not in begun:
            continue
        *whole, rest = entry.text.split(b"\n")
        unfinished = last and rest != b""
        if not unfinished and source not in begun:
            rest = b""  # no part of a line that is given
        kept = whole[max(0, len(whole) - allowed + unfinished) :]
        if len(kept) < len(whole):
            begun.discard(source)
        elif whole or rest:
            begun.add(source)
        lines -= len(kept) + unfinished
        if kept or rest:
            given.append(entry._replace(text=b"\n".join([*kept, rest])))
        if not lines and not begun:
            break
    return given[::-1]


def _since(ring: _Ring, after: int) -> list[Entry]:
    found = []
    for entry in reversed(ring.entries):
        if entry.number <= after:
            break
        found.append(entry)
    return found


def _whole_lines(ring: _Ring) -> list[Entry]:
    """Without the ends of lines whose beginnings were dropped."""
    if not ring.torn:
        return list(ring.entries)
    torn, whole = set(ring.torn), []
    for entry in ring.entries:
        if entry.source in torn:
            end = entry.text.find(b"\n") + 1
            if not end:
                continue
            torn.discard(entry.source)
            entry = entry._replace(text=entry.text[end:])
        whole.append(entry)
    return whole
