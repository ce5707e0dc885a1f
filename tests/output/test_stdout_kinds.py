"""Every kind of standard output: nothing blocks the loop, nothing is lost, the shell's descriptor stays as it was."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pty
import socket
import termios
import tty

import pytest

from procsup.output import hangup
from procsup.output.sink import open_stdout
from procsup.output.writer import FULL, Writer

PREFIX = b"web.1    | "


def refuse(fd: int) -> int:
    raise PermissionError(errno.EACCES, "no /proc here")


def terminal() -> tuple[int, int]:
    master, slave = pty.openpty()
    tty.setraw(slave)  # so that newlines arrive as they were written
    return master, slave


def connection() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return theirs.detach(), ours.detach()


KINDS = {"pipe": os.pipe, "terminal": terminal, "socket": connection}


@pytest.fixture(params=["pipe", "terminal", "socket", "pipe not reopened", "terminal not reopened"])
def stage(request, theatre):
    kind, _, not_reopened = request.param.partition(" ")
    pipe = KINDS[kind]()
    if not not_reopened:
        return theatre.stage(pipe=pipe)
    return theatre.stage(pipe=pipe, sink=open_stdout(pipe[1], refuse))


async def feed(stage, data: bytes) -> None:
    """Writes as a child would that can wait."""
    end = stage.ends["web.1", "stdout"]
    os.set_blocking(end, False)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(end, view) :]
        except BlockingIOError:
            writable = stage.loop.create_future()
            stage.loop.add_writer(end, lambda writable=writable: writable.done() or writable.set_result(None))
            await writable
            stage.loop.remove_writer(end)


def numbered(count: int) -> list[bytes]:
    return [b"%07d " % number + b"x" * 91 + b"\n" for number in range(count)]


def test_a_reader_that_stops_slows_the_child_and_loses_nothing(theatre, stage) -> None:
    lines = numbered(30_000)  # 3 MB

    async def play() -> None:
        stage.child("web.1")
        feeding = asyncio.ensure_future(feed(stage, b"".join(lines)))
        for _ in range(300):  # the loop goes round and round, although nobody reads
            await asyncio.sleep(0)
        assert stage.console.full
        assert stage.console._writer.waiting_bytes < FULL + 128 * 1024
        assert not feeding.done()
        stage.console.notice("still here")
        shown = await stage.all_shown(lambda data: data.count(b"\n") > len(lines))
        await feeding
        said = shown.split(b"\n")[:-1]
        said.remove(b"procsup  | still here")
        assert b"".join(said) == b"".join(PREFIX + line[:-1] for line in lines)
        assert not stage.console.full

    theatre.run(play())


def test_the_inherited_descriptor_keeps_its_flags(theatre, stage) -> None:
    async def play() -> None:
        stage.child("web.1")
        for _ in range(3):
            await stage.say("web.1", b"x" * 60_000 + b"\n")
        assert os.get_blocking(stage.stdout)
        stage.console.close()
        os.fstat(stage.stdout)  # still open

    theatre.run(play())


def test_a_reader_that_goes_is_noticed_once_and_without_a_word(theatre, stage) -> None:
    async def play() -> None:
        stage.child("web.1")
        await stage.settle()
        assert stage.broken == 0
        os.close(stage.reader)
        await stage.settle()
        assert stage.broken == 1
        stage.console.notice("to nobody")
        await stage.say("web.1", b"x" * 60_000 + b"\n")
        assert await stage.console.flush_pending(1)
        await stage.settle()
        assert stage.broken == 1

    theatre.run(play())


def test_a_reader_that_goes_while_it_blocks_us_frees_the_children(theatre, stage) -> None:
    async def play() -> None:
        stage.child("web.1")
        feeding = asyncio.ensure_future(feed(stage, b"".join(numbered(30_000))))
        while not stage.pump._paused:
            await asyncio.sleep(0)
        os.close(stage.reader)
        await feeding
        assert stage.broken == 1

    theatre.run(play())


def test_flushing_takes_no_longer_than_it_may(theatre, stage) -> None:
    async def play() -> None:
        stage.child("web.1")
        feeding = asyncio.ensure_future(feed(stage, b"x" * 3_000_000))
        while not stage.console.full:
            await asyncio.sleep(0)
        feeding.cancel()
        assert not await stage.console.flush_pending(0.02)
        flushing = asyncio.ensure_future(stage.console.flush_pending(60))
        shown = await stage.all_shown(lambda data: data.endswith(b"\n"))
        assert await flushing
        assert shown == PREFIX + b"x" * (len(shown) - len(PREFIX) - 1) + b"\n"

    theatre.run(play())


def test_an_idle_console_never_wakes_the_loop(theatre, stage) -> None:
    async def play() -> None:
        for name in ("web.1", "worker.1"):
            stage.child(name, "stdout", "stderr")
        await stage.say("web.1", b"whole\n")
        await stage.say("worker.1", b"prompt> ")
        await stage.silence()
        if os.isatty(stage.stdout):
            os.write(stage.reader, b"keys that nobody asked for")
        before = theatre.loop.counting.wakeups
        await asyncio.sleep(0.3)  # the time that is measured
        assert theatre.loop.counting.wakeups - before <= 2  # the end of this very sleep

    theatre.run(play())


def test_ctrl_s_holds_the_output_and_ctrl_q_lets_it_go_on(theatre) -> None:
    master, slave = terminal()
    stage = theatre.stage(pipe=(master, slave))

    async def play() -> None:
        stage.child("web.1")
        termios.tcflow(slave, termios.TCOOFF)
        await stage.say("web.1", b"held\n")
        stage.console.notice("also held")
        await stage.settle()
        assert stage.shown() == b""
        before = theatre.loop.counting.wakeups
        await asyncio.sleep(0.1)  # measured: no busy waiting for the terminal
        assert theatre.loop.counting.wakeups - before <= 2
        termios.tcflow(slave, termios.TCOON)
        expected = PREFIX + b"held\nprocsup  | also held\n"
        assert await stage.all_shown(lambda data: len(data) >= len(expected)) == expected

    theatre.run(play())


@pytest.mark.parametrize("reopened", [True, False])
def test_a_reader_gone_before_we_start_is_noticed(theatre, reopened: bool) -> None:
    reader, stdout = os.pipe()
    os.close(reader)
    broken = []

    async def play() -> None:
        sink = open_stdout(stdout) if reopened else open_stdout(stdout, refuse)
        writer = Writer(theatre.loop, sink, lambda: None, lambda: broken.append(1))
        writer.write(b"x")
        await asyncio.sleep(0.01)
        assert broken == [1]
        writer.close()

    theatre.run(play())
    os.close(stdout)


def test_a_file_shares_its_offset_with_the_shell(theatre, tmp_path) -> None:
    path = tmp_path / "out"
    with path.open("wb", buffering=0) as file:
        file.write(b"before\n")
        stage = theatre.stage(pipe=(os.open(path, os.O_RDONLY), os.dup(file.fileno())))

        async def play() -> None:
            stage.child("web.1")
            await stage.say("web.1", b"x" * 60_000 + b"\nend")
            assert await stage.console.flush_pending(0)

        theatre.run(play())
        file.write(b"after\n")
    stage.pump.drain("web.1")
    theatre.loop.run_until_complete(stage.console.flush_pending(0))
    assert path.read_bytes() == b"before\n" + PREFIX + b"x" * 60_000 + b"\nafter\n" + PREFIX + b"end\n"


def test_dev_null_is_a_fine_stdout(theatre) -> None:
    stage = theatre.stage(pipe=(os.open("/dev/null", os.O_RDONLY), os.open("/dev/null", os.O_WRONLY)))

    async def play() -> None:
        stage.child("web.1")
        await stage.say("web.1", b"x\n")
        assert await stage.console.flush_pending(0)
        assert stage.broken == 0

    theatre.run(play())


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="pipes have a fixed size here")
def test_the_pipe_to_the_reader_is_widened_but_never_narrowed(theatre) -> None:
    for before, after in ((64 * 1024, 256 * 1024), (1024 * 1024, 1024 * 1024)):
        reader, stdout = os.pipe()
        fcntl.fcntl(stdout, fcntl.F_SETPIPE_SZ, before)
        theatre.stage(pipe=(reader, stdout))
        assert fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ) == after


@pytest.mark.parametrize("epoll", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_to_watch_for_a_hang_up(theatre, kind: str, epoll: bool) -> None:
    reader, stdout = KINDS[kind]()
    gone = []

    async def play() -> None:
        end = hangup.watch(theatre.loop, stdout, lambda: gone.append(1), epoll=epoll)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert gone == []
        os.close(reader)
        for _ in range(3):
            await asyncio.sleep(0)
        assert gone == [1]
        end()

    theatre.run(play())
    os.close(stdout)
