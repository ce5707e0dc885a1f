"""Forwarding to a syslog receiver that comes, goes, and is slow; over all three kinds of sockets."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from pathlib import Path

import pytest

from procsup.output.source import Source
from procsup.output.syslog import QUEUE_AT_MOST, Syslog
from procsup.output.syslog_address import Receiver, SyslogAddress

KINDS = ("unix", "udp", "tcp")
PATIENCE = 20.0


class Collector:
    """A receiver that can be closed and opened again at the same address."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.path = folder / "log.sock"
        self.port = 0
        self.sockets: list[socket.socket] = []
        self.connections: list[socket.socket] = []
        self.data = b""
        self.messages: list[bytes] = []
        self.open()  # for a port

    @property
    def address(self) -> SyslogAddress:
        if self.kind == "unix":
            return SyslogAddress("unix", str(self.path))
        return SyslogAddress("tcp" if self.kind == "tcp" else "udp", host="127.0.0.1", port=self.port)

    def open(self) -> None:
        family = socket.AF_UNIX if self.kind == "unix" else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM if self.kind == "tcp" else socket.SOCK_DGRAM)
        if self.kind == "unix":
            self.path.unlink(missing_ok=True)
            opened.bind(str(self.path))
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("127.0.0.1", self.port))
            self.port = opened.getsockname()[1]
        if self.kind == "tcp":
            opened.listen()
        opened.setblocking(False)
        self.sockets = [opened]

    def close(self) -> None:
        for each in (*self.sockets, *self.connections):
            each.close()
        self.sockets, self.connections, self.data = [], [], b""

    def collect(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.kind == "tcp" and self.sockets:
                connection, _ = self.sockets[0].accept()
                connection.setblocking(False)
                self.connections.append(connection)
        for each in self.connections if self.kind == "tcp" else self.sockets:
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                while got := each.recv(1 << 20):
                    if self.kind == "tcp":
                        self.data += got
                    else:
                        self.messages.append(got)
        while found := re.match(rb"([1-9]\d*) ", self.data):
            length = int(found[1])
            if len(self.data) < found.end() + length:
                break
            self.messages.append(self.data[found.end() : found.end() + length])
            self.data = self.data[found.end() + length :]

    @property
    def texts(self) -> list[bytes]:
        self.collect()
        return [each.partition(b"] ")[2] for each in self.messages]


class Forwarding:
    def __init__(self, theatre, kind: str, folder: Path) -> None:
        self.collector = Collector(kind, folder)
        self.told: list[str] = []
        receiver = Receiver(self.collector.address, self.collector.address.resolve())
        self.syslog = Syslog(theatre.loop, receiver, "shop", self.told.append, host="box", clock=lambda: 1.7e9)
        self.source = Source("web.1", "web", "stdout", 4711)

    def say(self, *lines: bytes) -> None:
        data = b"".join(line + b"\n" for line in lines)
        self.syslog.lines(self.source, b"", data, len(data))

    async def until_it_is_noticed_that_the_receiver_has_gone(self) -> None:
        """Over TCP; what is sent before that is lost without a word. Elsewhere the next message tells."""
        await self.until(lambda: self.collector.kind != "tcp" or not self.syslog._link.connected)

    async def until(self, condition) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"{self.told} {self.collector.texts[-5:]}"
            await asyncio.sleep(0.005)  # the pace of asking


@pytest.fixture
def forwarding(theatre, tmp_path):
    made: list[Forwarding] = []

    def make(kind: str) -> Forwarding:
        made.append(Forwarding(theatre, kind, tmp_path))
        return made[-1]

    yield make
    for each in made:
        theatre.loop.run_until_complete(each.syslog.finish(0))
        each.collector.close()
    theatre.loop.run_until_complete(asyncio.sleep(0))


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_what_is_said_arrives_line_by_line(theatre, forwarding, kind) -> None:
    forwarding = forwarding(kind)

    async def play() -> None:
        forwarding.say(b"one", b"", b"\xff\x00\r")
        forwarding.syslog.partial(forwarding.source, b"half ")
        forwarding.say(b"and half")
        forwarding.syslog.ended(forwarding.source, b"last words", b"\n")
        await forwarding.until(lambda: len(forwarding.collector.texts) >= 5)

    theatre.run(play())
    assert forwarding.collector.texts == [b"one", b"", b"\xff\x00\r", b"half and half", b"last words"]
    assert forwarding.collector.messages[0].startswith(
        b"<14>1 2023-11-14T22:13:20.000000Z box shop/web.1 4711 stdout ["
    )
    assert forwarding.told == []


@every_kind
def test_thousands_of_lines_arrive_in_order(theatre, forwarding, kind) -> None:
    forwarding = forwarding(kind)
    lines = [b"line %d" % number for number in range(3_000)]

    async def play() -> None:
        for at in range(0, len(lines), 50):
            forwarding.say(*lines[at : at + 50])
            if kind == "udp":  # which has no way to say that it is enough
                forwarding.collector.collect()
            await forwarding.until(lambda end=at: len(forwarding.collector.texts) >= end - 500)
        await forwarding.until(lambda: len(forwarding.collector.texts) >= len(lines))

    theatre.run(play())
    assert forwarding.collector.texts == lines
    assert forwarding.told == []


@every_kind
def test_while_the_receiver_is_away_lines_wait_for_it(theatre, forwarding, kind) -> None:
    forwarding = forwarding(kind)
    collector = forwarding.collector

    async def play() -> None:
        forwarding.say(b"before")
        await forwarding.until(lambda: collector.texts == [b"before"])
        collector.close()
        await forwarding.until_it_is_noticed_that_the_receiver_has_gone()
        forwarding.say(b"away 0")
        await forwarding.until(lambda: forwarding.told)  # over UDP, no more than the last message comes back
        for number in range(1, 20):
            forwarding.say(b"away %d" % number)
            await asyncio.sleep(0)
        assert forwarding.told[0].startswith(f"syslog at {collector.address} cannot be reached: ")
        assert re.search(r": [A-Z][\w ]+; up to 1024 KiB of lines wait for it$", forwarding.told[0])
        assert forwarding.syslog.trouble.endswith("; 0 lines are lost so far")
        collector.open()
        await forwarding.until(lambda: len(collector.texts) == 21)
        await forwarding.until(lambda: forwarding.syslog.trouble is None)
        forwarding.say(b"after")
        await forwarding.until(lambda: len(collector.texts) == 22)

    theatre.run(play())
    assert collector.texts == [b"before", *[b"away %d" % number for number in range(20)], b"after"]
    assert forwarding.told[1:] == [f"syslog at {collector.address} takes lines again; nothing is lost"]


@every_kind
def test_what_does_not_fit_is_lost_and_counted(theatre, forwarding, kind) -> None:
    forwarding = forwarding(kind)
    collector = forwarding.collector
    collector.close()
    lines = [b"%06d" % number + b"x" * 994 for number in range(2000)]

    async def play() -> None:
        for line in lines:
            forwarding.say(line)
        await forwarding.until(lambda: len(forwarding.told) == 2)
        assert forwarding.told[0].endswith("1024 KiB of lines wait for it, and further ones are lost") or (
            forwarding.told[1].endswith("1024 KiB of lines wait for it, and further ones are lost")
        )
        collector.open()
        await forwarding.until(lambda: collector.collect() or forwarding.syslog.trouble is None)
        forwarding.say(b"after")
        await forwarding.until(lambda: collector.texts[-1:] == [b"after"])

    theatre.run(play())
    arrived = collector.texts[:-1]
    assert arrived == lines[: len(arrived)]
    assert forwarding.told[2:] == [
        f"syslog at {collector.address} takes lines again; {len(lines) - len(arrived)} lines are lost"
    ]
    assert QUEUE_AT_MOST * 0.9 < sum(map(len, collector.messages[:-1])) <= QUEUE_AT_MOST


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_receiver_that_does_not_read_makes_nobody_wait(theatre, forwarding, kind) -> None:
    forwarding = forwarding(kind)
    lines = [b"%06d" % number + b"x" * 994 for number in range(20_000)]

    async def play() -> None:
        began = time.monotonic()
        for at in range(0, len(lines), 50):
            forwarding.say(*lines[at : at + 50])
            await asyncio.sleep(0)
        assert time.monotonic() - began < PATIENCE
        assert "takes lines more slowly than they come; 1024 KiB of lines wait for it" in forwarding.told[0]
        await forwarding.until(lambda: forwarding.collector.collect() or forwarding.syslog.trouble is None)

    theatre.run(play())
    assert re.fullmatch(r"syslog at .* takes lines again; \d+ lines are lost", forwarding.told[1])


def test_a_message_half_sent_is_sent_again_as_a_whole(theatre, forwarding) -> None:
    forwarding = forwarding("tcp")
    collector = forwarding.collector

    async def play() -> None:
        for _ in range(100):
            forwarding.say(*[b"y" * 7000] * 100)
            await asyncio.sleep(0)
        assert "more slowly" in forwarding.told[0]
        collector.sockets[0].accept()[0].close()
        collector.messages.clear()
        await forwarding.until(lambda: len(collector.texts) > 100)

    theatre.run(play())
    assert set(collector.texts) == {b"y" * 7000}


def test_whoever_hangs_up_at_once_is_not_called_again_and_again(theatre, forwarding) -> None:
    forwarding = forwarding("tcp")
    calls = 0

    async def play() -> None:
        nonlocal calls
        end = time.monotonic() + 1
        while time.monotonic() < end:
            forwarding.say(b"x")
            with contextlib.suppress(BlockingIOError):
                forwarding.collector.sockets[0].accept()[0].close()
                calls += 1
            await asyncio.sleep(0.001)

    theatre.run(play())
    assert calls <= 6


@every_kind
def test_a_receiver_that_leaves_and_comes_back_while_nothing_is_said_is_not_worth_a_word(
    theatre, forwarding, kind
) -> None:
    forwarding = forwarding(kind)

    async def play() -> None:
        forwarding.say(b"one")
        await forwarding.until(lambda: forwarding.collector.texts == [b"one"])
        forwarding.collector.close()
        await forwarding.until_it_is_noticed_that_the_receiver_has_gone()
        forwarding.collector.open()
        forwarding.say(b"two")
        await forwarding.until(lambda: forwarding.collector.texts == [b"one", b"two"])

    theatre.run(play())
    assert forwarding.told == []


@every_kind
def test_at_the_end_what_waits_has_one_more_chance(theatre, forwarding, kind) -> None:
    forwarding = forwarding(kind)
    forwarding.collector.close()

    async def play() -> None:
        forwarding.say(b"one", b"two")
        await forwarding.until(lambda: forwarding.told)
        forwarding.collector.open()
        assert await forwarding.syslog.finish(5) is None
        await forwarding.until(lambda: forwarding.collector.texts == [b"one", b"two"])

    theatre.run(play())


@every_kind
def test_at_the_end_it_says_what_did_not_arrive(theatre, forwarding, kind) -> None:
    forwarding = forwarding(kind)
    forwarding.collector.close()

    async def play() -> None:
        forwarding.say(b"one", b"two")
        await forwarding.until(lambda: forwarding.told)
        told = await forwarding.syslog.finish(0.3)
        assert told.startswith(f"syslog at {forwarding.collector.address} cannot be reached: ")
        assert told.endswith("; 2 lines are lost")

    theatre.run(play())
