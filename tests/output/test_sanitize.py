"""What of a child's bytes reaches a terminal that others use as well."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.output.sanitize import Sanitizer


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"plain [/red] text\twith a tab\n", b"plain [/red] text\twith a tab\n"),
        (b"\x1b[1;31mred\x1b[0m\n", b"\x1b[1;31mred\x1b[0m\n"),
        (b"\x1b[38:2::1:2:3mdirect\x1b[m\n", b"\x1b[38:2::1:2:3mdirect\x1b[m\n"),
        (b"\x1b[31mred\nnext\n", b"\x1b[31mred\x1b[0m\nnext\n"),
        (b"\x1b[2J\x1b[1;1Hclear\x1b[?25l\n", b"clear\n"),
        (b"\x1b[>4;2mkeyboard\x1b[?1m\x1b[2 q\n", b"keyboard\n"),
        (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", b"alink\n"),
        (b"\x1bPq#0sixel\x1b\\a\x1b_apc\x1b\\b\x1b^pm\x1b\\c\n", b"abc\n"),
        (b"\x1bcreset \x1b(0 charset \x1b7\x1b=\n", b"reset  charset \n"),
        (b"\a\b\x0b\x0c\x0e\x0f\x00\x7fbell\n", b"bell\n"),
        (b"\xc2\x9b2Jc1\xc2\x85\n", b"2Jc1\n"),
        (b"\xc2\x00\x9b2J \xc2\xc2\x9b\x9b3J\n", b"2J \x9b3J\n"),
        ("5 € · 20 °C £\n".encode(), "5 € · 20 °C £\n".encode()),
        (b"latin-1 \xe9\xff stays\n", b"latin-1 \xe9\xff stays\n"),
        (b"dos\r\nterminal\r\r\n", b"dos\nterminal\n"),
        (b"10%\r20%\r100%\r\n", b"10%\n20%\n100%\n"),
        (b"\r10%\r20%\n\r30%\n", b"10%\n20%\n30%\n"),
        (b"\r\x1b[K50%\x1b[K\r\x1b[K60%\n", b"50%\n60%\n"),
        (b"\x1b]0;never ended\nnext\n", b"\nnext\n"),
        (b"\x1b[12\nnext\n", b"\nnext\n"),
        (b"\x1b\x1b\x1b[31m\x1b[0m\x1b\n", b"\x1b[31m\x1b[0m\n"),
    ],
)
def test_only_text_and_colours_pass(written: bytes, shown: bytes) -> None:
    assert Sanitizer().feed(written) == shown
    in_pieces = Sanitizer()
    assert b"".join(in_pieces.feed(written[at : at + 1]) for at in range(len(written))) == shown


CONTROLS = rb"\x1b [ ] P \ \x07 \n \n \r \xc2 \x9b m 0 31 ; ? H text \x1b[31m \x1b[0m \x1b[m \x00 \x18 \xe2\x82\xac \t"
TOKENS = st.sampled_from(
    [token.decode("unicode_escape").encode("latin-1") for token in CONTROLS.replace(rb" \ ", rb" \\ ").split()]
)


@settings(max_examples=500)
@given(chunks=st.lists(st.lists(TOKENS, max_size=6).map(b"".join), max_size=10))
def test_it_does_not_matter_where_the_chunks_are_cut(chunks: list[bytes]) -> None:
    whole, cut = Sanitizer(), Sanitizer()
    expected = whole.feed(b"".join(chunks))
    assert b"".join(map(cut.feed, chunks)) == expected
    assert cut.flush() == whole.flush()
    assert cut.coloured == whole.coloured


@settings(max_examples=500)
@given(chunks=st.lists(st.one_of(st.binary(max_size=30), st.lists(TOKENS, max_size=8).map(b"".join)), max_size=8))
def test_nothing_that_acts_on_a_terminal_passes_and_colours_end_with_their_line(chunks: list[bytes]) -> None:
    sanitizer = Sanitizer()
    shown = b"".join(map(sanitizer.feed, chunks))
    assert re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", re.sub(rb"\x1b\[[0-9:;]*m", b"|", shown)) is None
    for line in shown.split(b"\n")[:-1]:
        styles = re.findall(rb"\x1b\[([0-9:;]*)m", line)
        assert not styles or styles[-1].strip(b"0") == b""


@given(text=st.text(st.characters(blacklist_categories=["Cc", "Cs"], whitelist_characters="\n\t"), max_size=200))
def test_text_passes_unchanged(text: str) -> None:
    sanitizer = Sanitizer()
    assert sanitizer.feed(text.encode()) + sanitizer.flush() == text.encode()


def test_a_sequence_without_end_is_dropped_in_bounded_memory() -> None:
    sanitizer = Sanitizer()
    assert sanitizer.feed(b"a\x1b]52;c;") == b"a"
    for _ in range(100):
        assert sanitizer.feed(b"A" * 60_000) == b""
        assert len(sanitizer._held) < 70_000
    assert sanitizer.feed(b"A" * 60_000 + b"\x1b") == b""
    assert sanitizer.feed(b"\\b\n") == b"b\n"


def test_colours_do_not_bleed_into_the_line_that_cuts_in(theatre) -> None:
    stage = theatre.stage(terminal=True)

    async def play() -> None:
        stage.child("web.1")
        await stage.say("web.1", b"\x1b[31mErr")
        await stage.silence()
        stage.console.notice("other \x1b]0;evil\x07")
        await stage.say("web.1", b"\n")
        await stage.say("web.1", b"\x1b[32mok")
        await stage.end("web.1")
        assert stage.shown() == b"web.1    | \x1b[31mErr\x1b[0m\nprocsup  | other \nweb.1    | \x1b[32mok\x1b[0m\n"

    theatre.run(play())


@pytest.mark.parametrize("look", [{"terminal": False}, {"terminal": True, "raw": True}])
def test_elsewhere_and_with_raw_the_bytes_pass_as_they_came(theatre, look) -> None:
    stage = theatre.stage(**look)

    async def play() -> None:
        stage.child("web.1")
        await stage.say("web.1", b"\x1b[2J10%\r20%\r\n\x00\n")
        assert stage.shown() == b"web.1    | \x1b[2J10%\r20%\r\nweb.1    | \x00\n"

    theatre.run(play())
