"""What is remembered of what was said: bounded, in order, in whole lines; who follows is told what it missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from procsup.output.history import Entry, History, Lost, in_lines
from procsup.output.source import Source

ENTRY = 200  # what each costs beside its text


def everybody(_name: str) -> bool:
    return True


class Choir:
    """Several who speak into one history, at moments that the test says."""

    def __init__(self, limit: int = 1 << 20, total: int = 1 << 30) -> None:
        self.now = 0.0
        self.history = History(limit, total=total, clock=lambda: self.now)
        self._sources: dict[tuple[str, str], Source] = {}

    def say(self, name: str, text: bytes, stream: str = "stdout") -> None:
        source = self._sources.setdefault((name, stream), Source(name, name.partition(".")[0], stream, 1))
        self.history.take(source, text)

    def tail(self, lines: int | None, *names: str, since: float | None = None) -> bytes:
        return b"".join(entry.text for entry in self.history.tail(names or self.history.names(), lines, since))


def listen(history: History, chosen: Callable[[str], bool], after: int, act: Callable[[], None]) -> list[Entry | Lost]:
    """All that one hears who follows from there, while `act` happens after the first, until the history is closed."""

    async def play() -> list[Entry | Lost]:
        heard: list[Entry | Lost] = []
        async for each in history.follow(chosen, after):
            heard.append(each)
            if len(heard) == 1:
                act()
                history.close()
        return heard

    return asyncio.run(play())


def test_lines_come_back_in_the_order_in_which_they_were_said() -> None:
    choir = Choir()
    choir.say("web.1", b"a\nb\n")
    choir.say("worker.1", b"c\n")
    choir.say("web.1", b"d\n", "stderr")
    assert choir.tail(None) == b"a\nb\nc\nd\n"
    assert choir.tail(3) == b"b\nc\nd\n"
    assert choir.tail(2, "web.1") == b"b\nd\n"
    assert choir.tail(0) == b""


def test_what_has_no_end_yet_counts_as_a_line() -> None:
    choir = Choir()
    choir.say("web.1", b"a\nb\nName: ")
    assert choir.tail(2) == b"b\nName: "


def test_since_is_a_moment() -> None:
    choir = Choir()
    for choir.now in (1.0, 2.0, 3.0):
        choir.say("web.1", b"%d\n" % choir.now)
    assert choir.tail(None, since=2.0) == b"2\n3\n"


@given(st.lists(st.binary(min_size=1, max_size=80), max_size=60), st.integers(0, 4000))
def test_of_each_the_last_whole_lines_within_its_limit_are_kept(chunks: list[bytes], limit: int) -> None:
    choir = Choir(limit)
    for chunk in chunks:
        choir.say("web.1", chunk)
    said, kept = b"".join(chunks), choir.tail(None)
    assert said.endswith(kept)
    assert len(kept) <= limit
    assert len(kept) in (0, len(said)) or said[-len(kept) - 1 : -len(kept)] == b"\n"


def test_a_chunk_that_is_too_long_begins_with_a_whole_line_whatever_was_dropped_before_it() -> None:
    choir = Choir(limit=ENTRY + 4)
    choir.say("web.1", b"x\n")
    choir.say("web.1", b"0123456\n89\n")
    assert choir.tail(None) == b"89\n"


@given(st.lists(st.tuples(st.integers(0, 30), st.binary(min_size=1, max_size=2000)), max_size=200))
def test_all_together_stay_within_their_bound(said: list[tuple[int, bytes]]) -> None:
    choir = Choir(limit=8_000, total=40_000)
    for number, text in said:
        choir.say(f"web.{number}", text)
        rings = choir.history._rings.values()
        size = sum(len(entry.text) + ENTRY for ring in rings for entry in ring.entries)
        assert size == choir.history._size <= 40_000


def whole_lines(said: list[tuple[str, bytes]], since: int, lines: int) -> bytes:
    """The model, byte by byte: a line belongs where its last byte is, and is given with all of its bytes."""
    belongs: list[int] = []
    last: dict[int, int] = {}  # of each line the chunk that has its last byte; in the order in which they ended
    unfinished: dict[str, int] = {}
    for moment, (name, text) in enumerate(said):
        for byte in text:
            line = unfinished.setdefault(name, len(belongs))
            belongs.append(line)
            last.pop(line, None)
            last[line] = moment
            if byte == ord("\n"):
                del unfinished[name]
    late = [line for line, moment in last.items() if moment >= since]
    chosen = set(late[max(0, len(late) - lines) :])
    return bytes(byte for byte, line in zip(b"".join(text for _, text in said), belongs, strict=True) if line in chosen)


@given(
    st.lists(st.tuples(st.sampled_from(["web.1", "web.2"]), st.text("ab\n", min_size=1, max_size=6)), max_size=20),
    st.integers(0, 12),
    st.integers(0, 20),
)
def test_the_tail_has_the_lines_that_ended_last_with_all_that_belongs_to_them(
    told: list[tuple[str, str]], lines: int, since: int
) -> None:
    choir = Choir()
    said = [(name, text.encode()) for name, text in told]
    for moment, (name, text) in enumerate(said):
        choir.now = float(moment)
        choir.say(name, text)
    everything = len(told) * 6
    assert choir.tail(lines) == whole_lines(said, 0, lines)
    assert choir.tail(lines, since=since) == whole_lines(said, since, lines)
    assert choir.tail(None, since=since) == whole_lines(said, since, everything)
    assert choir.tail(None) == b"".join(text for _, text in said)


def test_a_line_that_was_said_in_pieces_is_one_line() -> None:
    choir = Choir()
    for choir.now, text in enumerate((b"a\nb", b"c\n")):
        choir.say("web.1", text)
    assert choir.tail(1) == b"bc\n"
    assert choir.tail(2) == b"a\nbc\n"
    assert choir.tail(None, since=1.0) == b"bc\n"


def test_put_together_no_line_is_torn_and_the_unfinished_come_last() -> None:
    choir = Choir()
    for text, stream in ((b"a", "stdout"), (b"oh\nn", "stderr"), (b"b\nc\nd", "stdout"), (b"o\nx", "stderr")):
        choir.say("web.1", text, stream)
    assert in_lines(choir.history.tail(["web.1"], None)) == b"oh\nab\nc\nno\nd\nx\n"
    assert in_lines(choir.history.tail(["web.1"], 4)) == b"c\nno\nd\nx\n"


def test_who_follows_hears_what_comes_of_those_it_chose() -> None:
    choir = Choir()
    choir.say("web.1", b"before\n")
    after = choir.history.end()
    choir.say("web.1", b"one\n")

    def act() -> None:
        choir.say("worker.1", b"not for us\n")
        choir.say("web.2", b"two\n")

    heard = listen(choir.history, lambda name: name.startswith("web"), after, act)
    assert [each.text for each in heard if isinstance(each, Entry)] == [b"one\n", b"two\n"]


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=80), st.integers(300, 3000))
def test_what_one_who_follows_missed_is_counted_to_the_byte(chunks: list[bytes], limit: int) -> None:
    choir = Choir(limit)
    after = choir.history.end()
    choir.say("web.1", b"first\n")

    def act() -> None:
        for chunk in chunks:
            choir.say("web.1", chunk)

    heard = listen(choir.history, everybody, after, act)
    count = sum(len(each.text) if isinstance(each, Entry) else each.missed for each in heard)
    assert count == len(b"first\n") + len(b"".join(chunks))


def test_what_was_dropped_before_one_who_follows_began_to_read_is_told_too() -> None:
    choir = Choir(limit=ENTRY + 4)
    choir.say("web.1", b"old\n")

    async def play() -> list[Entry | Lost]:
        following = choir.history.follow(everybody, choir.history.end())
        for text in (b"one\n", b"two\n", b"six\n"):  # there is room for one
            choir.say("web.1", text)
        choir.history.close()
        return [each async for each in following]

    lost, heard = asyncio.run(play())
    assert lost == Lost("web.1", 8)
    assert isinstance(heard, Entry)
    assert heard.text == b"six\n"


def test_one_who_follows_and_is_slow_holds_no_more_than_its_share() -> None:
    choir = Choir(limit=1 << 24)
    after = choir.history.end()
    for _ in range(100):
        choir.say("web.1", b"x" * 65536)

    async def play() -> int:
        following = choir.history.follow(everybody, after)
        await anext(following)
        held = following.ag_frame.f_locals["entries"]
        await following.aclose()
        return sum(len(entry.text) for entry in held)

    assert asyncio.run(play()) <= 1 << 21


def test_who_comes_back_to_its_place_is_told_that_something_is_missing_where_the_place_was_dropped() -> None:
    choir = Choir(limit=2 * (ENTRY + 4))
    for name in ("web.1", "web.1", "web.2", "web.1", "web.1"):  # there is room for two of each
        choir.say(name, b"one\n")
    choir.history.close()

    async def play(after: int) -> list[Entry | Lost]:
        return [each async for each in choir.history.follow(everybody, after)]

    def told(after: int) -> list[int | Lost]:
        return [each.number if isinstance(each, Entry) else each for each in asyncio.run(play(after))]

    assert told(1) == [3, Lost("web.1", None), 4, 5]
    assert told(2) == [3, 4, 5]
    assert told(4) == [5]
    assert told(5) == []


def test_a_chunk_too_long_to_be_kept_is_missing_to_who_comes_back_and_had_not_read_it() -> None:
    choir = Choir(limit=ENTRY + 4)
    choir.say("web.1", b"123456789\n")
    choir.history.close()

    async def play(after: int) -> list[Entry | Lost]:
        return [each async for each in choir.history.follow(everybody, after)]

    assert asyncio.run(play(0))[0] == Lost("web.1", None)
    assert asyncio.run(play(1)) == []


def test_who_does_not_want_what_comes_later_gets_all_up_to_an_end_and_no_more() -> None:
    choir = Choir()
    for number in range(5):
        choir.say("web.1", b"%d\n" % number)

    async def play() -> list[Entry | Lost]:
        following = choir.history.follow(everybody, 2, 4)
        return [each async for each in following]

    assert [each.text for each in asyncio.run(play()) if isinstance(each, Entry)] == [b"2\n", b"3\n"]
