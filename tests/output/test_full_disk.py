"""A file that cannot be written to: the children run on, it is said once, and it recovers by itself."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from procsup.output.memory import remember_console
from procsup.output.recollection import recall_console
from procsup.output.sink import Sink
from procsup.output.writer import FULL
from tests.full_disk import full_disk

PREFIX = b"web.1    | "


class Disk:
    """A file on a disk with so much room; a test makes more."""

    def __init__(self, path) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDWR | os.O_CREAT)
        self.room = 0
        self.error = errno.ENOSPC

    def send(self, buffers) -> int:
        data = b"".join(buffers)[: self.room]
        if not data:
            raise OSError(self.error, os.strerror(self.error))
        self.room -= len(data)
        return os.write(self.file, data)

    def stage(self, theatre):
        pipe = (os.open(self.path, os.O_RDONLY), self.file)
        return theatre.stage(pipe=pipe, sink=Sink(self.file, self.send, False, lambda: None))


@pytest.fixture
def disk(tmp_path) -> Disk:
    return Disk(tmp_path / "out")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_it_is_said_once_and_the_children_run_on_with_bounded_memory(theatre, disk, code) -> None:
    disk.error = code
    stage = disk.stage(theatre)
    why = f"cannot write to standard output: {os.strerror(code)}"

    async def play() -> None:
        stage.child("web.1")
        assert stage.console.trouble is None
        await stage.say("web.1", b"first\n")
        assert stage.troubles == [f"{why}; what does not fit is lost until it can be written to again"]
        assert stage.console.trouble == f"{why}; nothing is lost so far"
        for _ in range(40):  # 2.4 MB, ten times what is kept
            await stage.say("web.1", b"x" * 60_000 + b"\n")
        await stage.silence(2)
        assert len(stage.troubles) == 1
        assert not stage.console.full
        assert stage.console._writer.waiting_bytes < FULL + 128 * 1024
        lost = 40 * (len(PREFIX) + 60_001) + len(PREFIX + b"first\n") - stage.console._writer.waiting_bytes
        assert stage.console.trouble == f"{why}; {lost} bytes of output are lost so far"
        assert stage.broken == 0

    theatre.run(play())


def test_a_short_trouble_loses_nothing(theatre, disk) -> None:
    stage = disk.stage(theatre)

    async def play() -> None:
        disk.room = 30  # in the middle of a line
        stage.child("web.1")
        for _ in range(100):
            await stage.say("web.1", b"y\n")
        assert stage.console.trouble is not None
        disk.room = 1 << 20
        for _ in range(3):
            await stage.silence(2)
        assert stage.console.trouble is None
        assert stage.troubles[1:] == ["standard output can be written to again; nothing is lost"]
        assert disk.path.read_bytes() == (PREFIX + b"y\n") * 100

    theatre.run(play())


def test_after_a_long_one_it_goes_on_with_whole_lines_and_says_how_much_is_lost(theatre, disk) -> None:
    stage = disk.stage(theatre)

    async def play() -> None:
        stage.child("web.1")
        said = b"".join(b"%06d\n" % number for number in range(8_000))  # 56 kB
        for _ in range(10):
            await stage.say("web.1", said)
        disk.room = 1 << 24
        await stage.silence(2)
        whole = 10 * said.replace(b"\n", b"\n" + PREFIX).count(b"\n") * len(PREFIX + b"000000\n")
        lost = whole - len(disk.path.read_bytes())
        assert stage.troubles[1:] == [f"standard output can be written to again; {lost} bytes of output are lost"]
        assert lost > 0
        await stage.say("web.1", b"after\n")
        lines = disk.path.read_bytes().split(b"\n")
        assert lines[-2:] == [PREFIX + b"after", b""]
        assert {len(line) for line in lines[:-2]} == {len(PREFIX + b"000000")}
        disk.room = 0
        await stage.say("web.1", b"once more\n")
        assert len(stage.troubles) == 3

    theatre.run(play())


def test_what_comes_after_a_gap_begins_a_line(theatre, disk) -> None:
    stage = disk.stage(theatre)

    async def play() -> None:
        stage.child("web.1")
        while stage.console._writer.waiting_bytes < FULL:
            await stage.say("web.1", b"x" * 65_536)  # a line without an end
        await stage.say("web.1", b"lost " * 13_000)
        disk.room = 1 << 24
        await stage.silence(2)
        stage.console.notice("still here")
        assert disk.path.read_bytes().split(b"\n")[1:] == [b"", b"procsup  | still here", b""]

    theatre.run(play())


def test_children_held_back_when_it_begins_are_let_go(theatre, disk) -> None:
    def busy(buffers) -> int:
        raise BlockingIOError

    sends = [busy]
    stage = theatre.stage(
        pipe=(os.open(disk.path, os.O_RDONLY), disk.file),
        sink=Sink(disk.file, lambda buffers: sends[-1](buffers), False, lambda: None),
    )

    async def play() -> None:
        stage.child("web.1")
        while not stage.pump._paused:
            await stage.say("web.1", b"x" * 60_000 + b"\n")
        sends.append(disk.send)
        await stage.silence(2)
        assert stage.console.trouble is not None
        assert not stage.console.full
        assert not stage.pump._paused

    theatre.run(play())


def test_at_the_end_it_is_tried_once_more_and_nobody_waits(theatre, disk) -> None:
    stage = disk.stage(theatre)

    async def play() -> None:
        stage.console.notice("x" * 100)
        disk.room = 11
        assert await asyncio.wait_for(stage.console.flush_pending(600), 10)
        await stage.settle()
        lost = "cannot write to standard output: No space left on device; 101 bytes of output are lost"
        assert stage.troubles[1:] == [lost]
        assert disk.path.read_bytes() == b"procsup  | "

    theatre.run(play())


def test_room_made_before_the_end_is_used(theatre, disk) -> None:
    stage = disk.stage(theatre)

    async def play() -> None:
        for _ in range(300):  # more buffers than are written at once
            stage.console.notice("last words")
        disk.room = 1 << 20
        assert await asyncio.wait_for(stage.console.flush_pending(600), 10)
        await stage.settle()
        assert stage.troubles[1:] == ["standard output can be written to again; nothing is lost"]
        assert disk.path.read_bytes() == b"procsup  | last words\n" * 300

    theatre.run(play())


def test_it_is_tried_again_once_a_second_and_not_more_often(theatre, disk) -> None:
    stage = disk.stage(theatre)

    async def play() -> None:
        stage.console.notice("x")
        await stage.settle()
        before = theatre.loop.counting.wakeups
        await asyncio.sleep(0.3)  # the time that is measured
        assert theatre.loop.counting.wakeups - before <= 2
        assert len(stage.troubles) == 1

    theatre.run(play())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_dev_full_as_stdout(theatre) -> None:
    stage = theatre.stage(pipe=(os.open("/dev/null", os.O_RDONLY), os.open("/dev/full", os.O_WRONLY)))

    async def play() -> None:
        stage.child("web.1")
        for _ in range(20):
            await stage.say("web.1", b"x" * 60_000 + b"\n")
        assert stage.troubles[0].startswith("cannot write to standard output: No space left on device")
        assert await asyncio.wait_for(stage.console.flush_pending(600), 10)
        assert stage.broken == 0

    theatre.run(play())


def test_a_file_at_the_limit_of_ulimit_f(theatre, tmp_path) -> None:
    path = tmp_path / "out"
    stage = theatre.stage(pipe=(os.open(path, os.O_RDONLY | os.O_CREAT), os.open(path, os.O_WRONLY)))

    async def play() -> None:
        stage.child("web.1")
        with full_disk():
            await stage.say("web.1", b"x" * 5_000 + b"\n")
            assert path.stat().st_size == 4096
            await stage.silence(2)
            assert stage.troubles == [
                "cannot write to standard output: File too large; what does not fit is lost until it can be written "
                "to again"
            ]
        await stage.silence(2)
        assert stage.console.trouble is None
        assert path.read_bytes() == PREFIX + b"x" * 5_000 + b"\n"
        assert stage.broken == 0

    theatre.run(play())


def test_what_was_lost_before_an_upgrade_is_told_after_it(theatre, disk, tmp_path) -> None:
    before = disk.stage(theatre)
    another = Disk(tmp_path / "another")
    another.room = 1 << 24
    after = another.stage(theatre)

    async def play() -> None:
        before.child("web.1")
        for _ in range(10):
            await before.say("web.1", b"x" * 60_000 + b"\n")
        lost = before.console._writer._lost
        assert lost > 0
        recall_console(after.console, remember_console(before.console))
        await after.settle()
        assert after.troubles == [f"standard output can be written to again; {lost} bytes of output are lost"]
        assert remember_console(after.console).lost == 0

    theatre.run(play())
