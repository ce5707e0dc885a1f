"""The journal in the place of stdout: what is sent to its socket, and what is done where there is none.

What a real journal makes of it is looked at where one runs; here a socket takes its place.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import socket
import time

import pytest

from procsup.output import journal
from procsup.output.journal import leads_to_journal, open_journal

PATIENCE = 20.0


class FakeJournal:
    """Takes datagrams, and what is passed with them."""

    def __init__(self, path) -> None:
        self.path = str(path)
        self.entries: list[bytes] = []
        self.sealed: list[int] = []  # seals of the entries that came as memory
        self.open()

    def open(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)

    def close(self) -> None:
        self.socket.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def collect(self) -> list[bytes]:
        while True:
            try:
                data, passed, _, _ = self.socket.recvmsg(1 << 20, 4096)
            except BlockingIOError:
                return self.entries
            if passed:
                [memory] = array.array("i", passed[0][2])
                self.sealed.append(fcntl.fcntl(memory, fcntl.F_GET_SEALS))
                data = os.pread(memory, 1 << 24, 0)
                os.close(memory)
            self.entries.append(data)

    def messages(self) -> list[bytes]:
        return [each.partition(b"\nMESSAGE=")[2].removesuffix(b"\n") for each in self.collect()]


@pytest.fixture
def fake(tmp_path):
    fake = FakeJournal(tmp_path / "journal")
    yield fake
    fake.close()


def stage_of(theatre, fake):
    return theatre.stage(sink=open_journal(fake.path), format="journal", app="shop")


async def until(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)  # the pace of asking


def test_each_line_is_an_entry_with_its_fields(theatre, fake) -> None:
    stage = stage_of(theatre, fake)

    async def play() -> None:
        stage.child("web.1", "stdout", "stderr")
        await stage.say("web.1", b"hello\n\n\xff\x00\r\x1b[2J=\n")
        await stage.say("web.1", b"oh\n", "stderr")
        stage.console.notice("web.1 ended:\nexit 1")

    theatre.run(play())
    entries = fake.collect()
    assert entries[0] == (
        b"PRIORITY=6\nSYSLOG_IDENTIFIER=shop/web.1\nPROCSUP_APP=shop\nPROCSUP_INSTANCE=web.1\nPROCSUP_TYPE=web\n"
        b"PROCSUP_STREAM=stdout\nOBJECT_PID=4711\nMESSAGE=hello\n"
    )
    assert fake.messages() == [b"hello", b"", b"\xff\x00\r\x1b[2J=", b"oh", b"web.1 ended:", b"exit 1"]
    assert entries[3].startswith(b"PRIORITY=4\n")
    assert b"PROCSUP_STREAM=stderr\n" in entries[3]
    assert entries[4].startswith(b"PRIORITY=5\nSYSLOG_IDENTIFIER=shop/procsup\n")
    assert stage.shown() == b""


def test_a_line_in_parts_is_one_entry_unless_somebody_comes_between(theatre, fake) -> None:
    stage = stage_of(theatre, fake)

    async def play() -> None:
        stage.child("web.1")
        stage.child("worker.1")
        await stage.say("web.1", b"one ")
        await stage.silence()
        await stage.say("web.1", b"two\nhalf ")
        await stage.silence()
        await stage.say("worker.1", b"between\n")
        await stage.say("web.1", b"rest\nlast words")
        await stage.silence()
        await stage.end("web.1")
        await stage.say("worker.1", b"alone")
        await stage.silence()
        assert await stage.console.flush_pending(5)

    theatre.run(play())
    assert fake.messages() == [b"one two", b"half ", b"between", b"rest", b"last words", b"alone"]


def test_a_line_without_end_is_cut_into_entries_and_none_of_it_is_held_for_ever(theatre, fake) -> None:
    stage = stage_of(theatre, fake)
    fake.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)

    async def play() -> None:
        stage.child("web.1")
        for _ in range(20):
            await stage.say("web.1", b"x" * 60_000)
            fake.collect()
        await stage.say("web.1", b"\n")
        await until(lambda: sum(map(len, fake.messages())) == 20 * 60_000)

    theatre.run(play())
    assert 5 <= len(fake.entries) <= 21


def test_what_is_too_large_for_a_datagram_goes_as_sealed_memory(theatre, fake, monkeypatch) -> None:
    monkeypatch.setattr(journal, "_ROOM", 4096)
    stage = stage_of(theatre, fake)

    async def play() -> None:
        stage.child("web.1")
        await stage.say("web.1", b"small\n" + b"y" * 50_000 + b"\n")

    theatre.run(play())
    assert fake.messages() == [b"small", b"y" * 50_000]
    assert fake.sealed == [fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE]


def test_a_journal_that_is_slow_makes_the_children_wait_and_nothing_is_lost(theatre, fake) -> None:
    stage = stage_of(theatre, fake)
    lines = [b"%d %s" % (number, b"z" * 990) for number in range(3000)]

    async def play() -> None:
        stage.child("web.1")
        rest = b"".join(line + b"\n" for line in lines)
        os.set_blocking(stage.ends["web.1", "stdout"], False)
        held = 0
        while rest:
            try:
                rest = rest[os.write(stage.ends["web.1", "stdout"], rest) :]
            except BlockingIOError:
                if stage.console.full and held < 5:
                    held += 1  # it really did wait
                else:
                    fake.collect()
            await asyncio.sleep(0)
        assert held == 5
        await until(lambda: len(fake.collect()) == len(lines))

    theatre.run(play())
    assert fake.messages() == lines
    assert stage.troubles == []


def test_a_journal_that_is_restarted_is_found_again(theatre, fake) -> None:
    stage = stage_of(theatre, fake)

    async def play() -> None:
        stage.console.notice("one")
        fake.collect()
        fake.close()
        fake.open()
        stage.console.notice("two")
        assert fake.messages() == [b"one", b"two"]

    theatre.run(play())
    assert stage.troubles == []


def test_while_the_journal_is_away_a_part_is_held_the_rest_is_counted_and_nobody_waits(theatre, fake) -> None:
    stage = stage_of(theatre, fake)

    async def play() -> None:
        stage.child("web.1")
        fake.close()
        for number in range(400):
            await stage.say("web.1", b"%06d" % number + b"w" * 993 + b"\n")
        assert not stage.console.full
        why = "cannot write to the journal: No such file or directory"
        assert stage.troubles == [f"{why}; what does not fit is lost until it can be written to again"]
        assert stage.console.trouble.startswith(f"{why}; ")
        fake.open()
        await stage.silence(1.2)
        await until(lambda: fake.collect() and stage.console.trouble is None)
        stage.console.notice("after")
        await until(lambda: fake.messages()[-1] == b"after")

    theatre.run(play())
    assert stage.broken == 0
    held = fake.messages()[:-1]
    assert [int(each[:6]) for each in held] == list(range(len(held)))
    assert 200 < len(held) < 300
    assert stage.troubles[1].startswith("the journal can be written to again; ")


def test_without_its_socket_there_is_no_journal(tmp_path, fake) -> None:
    assert open_journal(str(tmp_path / "nothing")) is None
    (tmp_path / "file").write_text("")
    assert open_journal(str(tmp_path / "file")) is None


def test_then_each_line_has_its_priority_in_front(theatre) -> None:
    stage = theatre.stage(format="priorities", timestamps=False)

    async def play() -> None:
        stage.child("web.1", "stdout", "stderr")
        await stage.say("web.1", b"out\n<0>not ours\n")
        await stage.say("web.1", b"err", "stderr")
        await stage.silence()
        stage.console.notice("ours")

    theatre.run(play())
    assert stage.shown() == (b"<6>web.1    | out\n<6>web.1    | <0>not ours\n<4>web.1    | err\n<5>procsup  | ours\n")


# Whose journal it is


@pytest.fixture
def pair():
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


def name_of(fd: int) -> str:
    found = os.fstat(fd)
    return f"{found.st_dev}:{found.st_ino}"


def test_the_variable_must_name_our_own_output(pair) -> None:
    ours, other = pair[0].fileno(), pair[1].fileno()
    assert leads_to_journal(name_of(ours), ours, ours)
    assert not leads_to_journal(name_of(other), ours, ours)
    for text in ("", ":", "1", "1:2:3", "x:y"):
        assert not leads_to_journal(text, ours, ours)


def test_a_closed_standard_output_is_no_journal(pair) -> None:
    assert not leads_to_journal(name_of(pair[0].fileno()), 1 << 20, 1 << 20)


def test_standard_error_is_enough_only_where_both_lead_to_the_same_place(pair, tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "stdout"))
        listener.listen()
        ways = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for way in ways:
            way.connect(str(tmp_path / "stdout"))
        out, err = (way.fileno() for way in ways)
        assert leads_to_journal(name_of(err), out, err)
        assert not leads_to_journal(name_of(err), pair[0].fileno(), err)
        with open(os.devnull) as file:
            assert not leads_to_journal(name_of(err), file.fileno(), err)
        for way in ways:
            way.close()
