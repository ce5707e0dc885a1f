"""Children side by side: a loud one takes nothing from the others, and nothing grows without bound."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess

from procsup.output.pump import CHUNK

LINE = b"x" * 99 + b"\n"


def test_a_quiet_child_waits_for_no_more_than_a_chunk_of_a_loud_one(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1")
        stage.child("worker.1")
        loud = stage.ends["web.1", "stdout"]
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(loud, fcntl.F_SETPIPE_SZ, 1024 * 1024)  # much is waiting already
        os.set_blocking(loud, False)
        os.write(loud, LINE * 10_000)
        await stage.say("worker.1", b"me too\n")
        before, found, _ = stage.shown().partition(b"worker.1 | me too\n")
        assert found
        assert before.count(b"\n") * len(LINE) <= 2 * CHUNK

    theatre.run(play())


def test_children_that_wait_for_a_slow_reader_take_turns(theatre) -> None:
    stage = theatre.stage()
    names = [f"web.{number}" for number in range(1, 5)]

    async def play() -> None:
        for name in names:
            stage.child(name)
            os.set_blocking(stage.ends[name, "stdout"], False)
        shown = b""
        for _ in range(200):
            for name in names:
                with contextlib.suppress(BlockingIOError):
                    os.write(stage.ends[name, "stdout"], LINE * 640)
            await stage.settle()
            shown += os.read(stage.reader, 100_000)
        turns = [shown.count(b"\n" + name.encode()) for name in names]
        assert min(turns) > 0.5 * max(turns)

    theatre.run(play())


def test_a_quiet_line_is_not_starved_while_the_reader_is_slow(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        for name in ("web.1", "worker.1"):
            stage.child(name)
        loud = stage.ends["web.1", "stdout"]
        os.set_blocking(loud, False)

        def shout() -> None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(loud, LINE * 600)

        while not stage.console.full:
            shout()
            await stage.settle()
        shout()
        await stage.settle()
        await stage.say("worker.1", b"me too\n")
        read = b""
        while b"me too" not in read:
            read += os.read(stage.reader, 30_000)
            shout()
            await stage.settle()
        assert len(read) < 1024 * 1024  # what was waiting before it, and one round of the others

    theatre.run(play())


def test_lines_stay_whole_however_long_the_reader_stays_away(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        for name in ("web.1", "worker.1"):
            stage.child(name)
            os.set_blocking(stage.ends[name, "stdout"], False)
        halves = LINE * 600 + LINE[:50], LINE[50:] + LINE * 600  # of a line, too
        for name in ("web.1", "worker.1"):
            await stage.say(name, halves[0])
        while not stage.console.full:
            stage.console.notice("x" * 1000)
        for name in ("web.1", "worker.1"):
            await stage.say(name, halves[1])
        await stage.silence(10)
        shown = await stage.all_shown(lambda data: data.count(b"worker.1 | ") + data.count(b"web.1    | ") >= 2402)
        lines = {line for line in shown.splitlines(keepends=True) if b"procsup" not in line}
        assert lines == {b"worker.1 | " + LINE, b"web.1    | " + LINE}
        await stage.say("web.1", b"Name: ")
        await stage.silence()
        assert stage.shown() == b"web.1    | Name: "

    theatre.run(play())


def test_a_line_without_end_passes_in_bounded_memory_and_others_get_their_turn(theatre) -> None:
    stage = theatre.stage()
    size = 64 * 1024 * 1024

    async def play() -> None:
        stage.child("worker.1")
        reader, end = os.pipe()
        child = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=end)
        os.close(end)
        stage.pump.attach("web.1", "web", "stdout", child.pid, reader)
        zeros, others, most = 0, 0, 0
        while not stage.pump.ended("web.1") or stage.console._writer.waiting_bytes:
            await stage.say("worker.1", b"hello\n")
            stream = next(iter(stage.pump._streams.get("web.1", ())), None)
            most = max(most, stage.console._writer.waiting_bytes + len(stream.speakers[0]._held if stream else b""))
            shown = stage.shown()
            zeros += shown.count(b"\0")
            others += shown.count(b"worker.1 | hello\n")
        assert child.wait() == 0
        assert zeros + stage.shown().count(b"\0") == size
        assert others > 100
        assert most < 1024 * 1024

    theatre.run(play())


def test_last_words_are_taken_even_when_the_console_is_full(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1")
        stage.child("worker.1")
        os.set_blocking(stage.ends["worker.1", "stdout"], False)
        while not stage.console.full:
            os.write(stage.ends["worker.1", "stdout"], LINE * 600)
            await stage.settle()
        os.write(stage.ends["web.1", "stdout"], b"last words")
        await stage.settle()
        await stage.end("web.1")
        assert not stage.pump.ended("web.1")
        stage.pump.drain("web.1")
        assert stage.pump.ended("web.1")
        stage.console.notice("web.1 exited")
        shown = await stage.all_shown(lambda data: data.endswith(b"exited\n"))
        assert shown.endswith(b"web.1    | last words\nprocsup  | web.1 exited\n")

    theatre.run(play())


def test_draining_ends_although_somebody_goes_on_writing(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        reader, end = os.pipe()
        child = subprocess.Popen(["yes"], stdout=end)
        os.close(end)
        stage.pump.attach("web.1", "web", "stdout", child.pid, reader)
        stage.pump.drain("web.1")
        assert not stage.pump.ended("web.1")
        child.kill()
        child.wait()

    theatre.run(play())


def test_children_go_on_in_the_order_in_which_they_had_to_wait(theatre) -> None:
    stage = theatre.stage()
    names = [f"web.{number}" for number in range(1, 9)]

    async def play() -> None:
        stage.child("worker.1")
        while not stage.console.full:
            await stage.say("worker.1", LINE * 600)
        for name in names:
            stage.child(name)
            await stage.say(name, LINE * 600)
        await stage.say("worker.1", b"end\n")
        shown = await stage.all_shown(lambda data: data.endswith(b"end\n"))
        starts = [shown.index(name.encode()) for name in names]
        assert starts == sorted(starts)

    theatre.run(play())


def test_a_busy_child_that_ends_its_chunks_in_mid_line_makes_one_timer(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1")
        before = theatre.loop.timers
        for _ in range(20):
            await stage.say("web.1", b"whole\nhalf ")
        assert theatre.loop.timers - before == 1

    theatre.run(play())
