"""What is remembered of what was said: bounded, in order, in whole lines; who follows is told what it missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from procsup.output.history import Entry, History, Lost
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


@given(
    st.lists(st.tuples(st.sampled_from(["web.1", "web.2"]), st.binary(max_size=30)), max_size=40), st.integers(0, 60)
)
def test_the_tail_is_the_end_of_the_whole(said: list[tuple[str, bytes]], lines: int) -> None:
    choir = Choir()
    for name, text in said:
        choir.say(name, text + b"\n")
    whole = b"".join(text + b"\n" for _, text in said).split(b"\n")[:-1]
    assert choir.tail(lines) == b"".join(line + b"\n" for line in whole[max(0, len(whole) - lines) :])


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
