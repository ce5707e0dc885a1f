"""No byte is lost, none is added, lines never mix: whatever the children write and wherever it is cut."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = [("web.1", "stdout"), ("web.1", "stderr"), ("worker.1", "stdout")]
PREFIXES = {b"web.1    | ", b"worker.1 | "}

# Each source has its own letters, so that a byte under the wrong name is seen; newlines and binary bytes are frequent.
CHUNKS = [
    st.lists(st.sampled_from([bytes([b]) for b in own] + [b"\n", b"\n"]), max_size=12).map(b"".join)
    for own in (b"abc|\x00\xff\r", b"ABC \xc3\xe2\x1b", b"xyz\x82\xac\xf0")
]
EVENTS = st.one_of(
    *[st.tuples(st.just(index), chunk) for index, chunk in enumerate(CHUNKS)],
    st.just(("silence", b"")),
)
OWNERS = {
    byte: index for index, own in enumerate((b"abc\x00\xff\r", b"ABC\xc3\xe2\x1b", b"xyz\x82\xac\xf0")) for byte in own
}


def spoken(shown: bytes) -> dict[bytes, list[bytes]]:
    """The text under each prefix, line by line; fails for a line without one."""
    said: dict[bytes, list[bytes]] = {prefix: [] for prefix in PREFIXES}
    assert shown == b"" or shown.endswith(b"\n")
    for line in shown.split(b"\n")[:-1]:
        prefix = next(prefix for prefix in PREFIXES if line.startswith(prefix))
        said[prefix].append(line[len(prefix) :])
    return said


@settings(max_examples=300)
@given(events=st.lists(EVENTS, max_size=40))
def test_what_each_source_wrote_is_what_is_shown_of_it(new_theatre, events) -> None:
    theatre = new_theatre()
    written = dict.fromkeys(NAMES, b"")
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1", "stdout", "stderr")
        stage.child("worker.1")
        for who, chunk in events:
            if who == "silence":
                await stage.silence()
            elif chunk:
                name, stream = NAMES[who]
                written[name, stream] += chunk
                await stage.say(name, chunk, stream)
        for name, stream in NAMES:
            await stage.end(name, stream)
        said = spoken(stage.shown())

        silent = not any(who == "silence" for who, _ in events)
        for prefix, who in ((b"web.1    | ", (0, 1)), (b"worker.1 | ", (2,))):
            for index in who:
                # Lines hold the letters of one source only; those without any letter cannot tell whose they are.
                mine = [line for line in said[prefix] if any(OWNERS.get(byte) == index for byte in line)]
                assert not [line for line in mine if any(OWNERS.get(byte, index) != index for byte in line)]
                letters = bytes(byte for byte in b"".join(mine) if byte in OWNERS)
                assert letters == bytes(byte for byte in written[NAMES[index]] if byte in OWNERS)
        everything = written[NAMES[2]]
        if silent:  # then no line was ever cut, and even the blank ones are all there
            assert b"".join(line + b"\n" for line in said[b"worker.1 | "]) == everything + (
                b"" if everything.endswith(b"\n") or not everything else b"\n"
            )
        assert b"".join(said[b"worker.1 | "]) == everything.replace(b"\n", b"")

    try:
        theatre.run(play())
    finally:
        theatre.close()


@settings(max_examples=100)
@given(events=st.lists(st.one_of(CHUNKS[0], st.just(None)), max_size=30), shown_in_place=st.booleans())
def test_a_child_alone_is_never_cut_however_long_it_hesitates(new_theatre, events, shown_in_place) -> None:
    theatre = new_theatre()
    stage = theatre.stage()

    async def play() -> None:
        stage.child("worker.1")
        written = b""
        for chunk in events:
            if chunk is None and shown_in_place:
                await stage.silence()
            elif chunk:
                written += chunk
                await stage.say("worker.1", chunk)
        await stage.end("worker.1")
        lines = spoken(stage.shown())[b"worker.1 | "]
        assert b"".join(line + b"\n" for line in lines) == written + (
            b"" if written.endswith(b"\n") or not written else b"\n"
        )

    try:
        theatre.run(play())
    finally:
        theatre.close()


def test_lines_of_every_length_around_the_size_of_a_chunk(theatre) -> None:
    stage = theatre.stage()
    written = b"".join(os.urandom(8).hex().encode() * (length // 16 + 1) + b"\n" for length in range(1, 200_000, 7919))

    async def play() -> None:
        stage.child("worker.1")
        shown = b""
        for at in range(0, len(written), 50_021):
            await stage.say("worker.1", written[at : at + 50_021])
            shown += stage.shown()
        assert shown == b"".join(b"worker.1 | " + line + b"\n" for line in written.splitlines())

    theatre.run(play())
