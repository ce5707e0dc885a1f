"""What a person sees: prefixes, unfinished lines, who may go on in place."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

import pytest

from procsup.output.style import choose_color


def test_every_line_gets_the_name_padded_to_the_longest(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1")
        stage.child("worker.1")
        await stage.say("web.1", b"one\n\ntwo\n")
        await stage.say("worker.1", b"three\n")
        stage.console.notice("started\nand more")
        assert stage.shown() == (
            b"web.1    | one\nweb.1    | \nweb.1    | two\nworker.1 | three\nprocsup  | started\nprocsup  | and more\n"
        )

    theatre.run(play())


def test_timestamps_come_first_and_follow_the_clock(theatre) -> None:
    stage = theatre.stage(timestamps=True)
    now = [1_700_000_000.9]
    stage.console._clock = lambda: now[0]

    async def play() -> None:
        stage.child("web.1")
        await stage.say("web.1", b"a\n")
        now[0] += 0.2
        await stage.say("web.1", b"b\n")
        stamps = [time.strftime("%H:%M:%S", time.localtime(at)).encode() for at in (1_700_000_000, 1_700_000_001)]
        assert stage.shown() == stamps[0] + b" web.1    | a\n" + stamps[1] + b" web.1    | b\n"

    theatre.run(play())


def test_without_prefix_the_bytes_pass_alone(theatre) -> None:
    stage = theatre.stage(prefix=False, timestamps=True)

    async def play() -> None:
        stage.child("web.1")
        await stage.say("web.1", b"one\ntw")
        await stage.say("web.1", b"o\n")
        await stage.end("web.1")
        assert stage.shown() == b"one\ntwo\n"

    theatre.run(play())


def test_one_colour_per_type_and_none_that_bleeds_into_the_text(theatre) -> None:
    stage = theatre.stage(color=True)

    async def play() -> None:
        for name in ("web.1", "web.2", "worker.1"):
            stage.child(name)
            await stage.say(name, b"x\n")
        assert stage.shown() == (
            b"\x1b[36mweb.1    |\x1b[0m x\n\x1b[36mweb.2    |\x1b[0m x\n\x1b[33mworker.1 |\x1b[0m x\n"
        )

    theatre.run(play())


def test_an_unfinished_line_shows_after_silence_and_is_completed_in_place(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1")
        await stage.say("web.1", b"Password")
        await stage.silence(0.15)
        await stage.say("web.1", b": ")
        await stage.silence(0.15)
        assert stage.shown() == b""
        await stage.silence(0.1)
        assert stage.shown() == b"web.1    | Password: "
        await stage.say("web.1", b"thanks\nnext\n")
        assert stage.shown() == b"thanks\nweb.1    | next\n"

    theatre.run(play())


def test_an_unfinished_line_that_somebody_cut_goes_on_under_its_name(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1")
        stage.child("worker.1")
        await stage.say("web.1", b"load")
        await stage.silence()
        await stage.say("worker.1", b"hello\n")
        await stage.say("web.1", b"ing\n")
        assert stage.shown() == b"web.1    | load\nworker.1 | hello\nweb.1    | ing\n"

    theatre.run(play())


def test_a_cut_line_that_only_lacks_its_end_makes_no_blank_line(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1")
        await stage.say("web.1", b"load")
        await stage.silence()
        stage.console.notice("hm")
        await stage.say("web.1", b"\n")
        await stage.say("web.1", b"\n")
        assert stage.shown() == b"web.1    | load\nprocsup  | hm\nweb.1    | \n"

    theatre.run(play())


def test_stdout_and_stderr_of_one_instance_do_not_run_into_each_other(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1", "stdout", "stderr")
        await stage.say("web.1", b"out", "stdout")
        await stage.say("web.1", b"err", "stderr")
        await stage.say("web.1", b"put\n", "stdout")
        await stage.say("web.1", b"or\n", "stderr")
        assert stage.shown() == b"web.1    | output\nweb.1    | error\n"
        await stage.say("web.1", b"out", "stdout")
        await stage.silence()
        await stage.say("web.1", b"err\n", "stderr")
        assert stage.shown() == b"web.1    | out\nweb.1    | err\n"

    theatre.run(play())


def test_last_words_without_newline_come_before_the_news_of_the_death(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1")
        os.write(stage.ends["web.1", "stdout"], b"a\nsegfa")  # and the loop has not read it yet
        stage.pump.drain("web.1")
        stage.console.notice("web.1 exited")
        assert stage.shown() == b"web.1    | a\nweb.1    | segfa\nprocsup  | web.1 exited\n"
        assert not stage.pump.ended("web.1")  # somebody else still holds the pipe
        await stage.say("web.1", b"late\n")
        assert stage.shown() == b"web.1    | late\n"
        await stage.end("web.1")
        assert stage.pump.ended("web.1")

    theatre.run(play())


def test_the_end_of_a_stream_ends_its_line(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1")
        stage.child("worker.1")
        await stage.say("web.1", b"shown")
        await stage.silence()
        await stage.end("web.1")
        await stage.say("worker.1", b"held")
        await stage.end("worker.1")
        assert stage.shown() == b"web.1    | shown\nworker.1 | held\n"

    theatre.run(play())


def test_a_character_is_not_torn_where_an_unfinished_line_is_shown(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1")
        euro = "€".encode()
        await stage.say("web.1", b"5 " + euro[:2])
        await stage.silence()
        assert stage.shown() == b"web.1    | 5 "
        await stage.silence(10)
        assert stage.shown() == b""
        stage.console.notice("cut")
        await stage.say("web.1", euro[2:] + b"\n")
        assert stage.shown() == b"\nprocsup  | cut\nweb.1    | \xe2\x82\xac\n"

    theatre.run(play())


def test_quiet_types_and_instances_are_read_but_not_shown(theatre) -> None:
    stage = theatre.stage(quiet=frozenset({"worker", "web.2"}))

    async def play() -> None:
        for name in ("web.1", "web.2", "worker.1"):
            stage.child(name)
            for _ in range(4):
                await stage.say(name, b"x" * 60_000)  # more than a pipe holds
            await stage.say(name, b"\nend\n")
        for name in ("web.2", "worker.1"):
            await stage.end(name)
        shown = stage.shown()
        assert b"web.2" not in shown
        assert b"worker" not in shown
        assert shown.count(b"x") == 240_000

    theatre.run(play())


def test_a_real_childs_burst_without_a_last_newline_arrives_whole(theatre) -> None:
    stage = theatre.stage()
    burst = """if True:
        import os
        for number in range(20000):
            os.write(1, b"line %d\\n" % number)
        os.write(1, b"last words")
        os._exit(3)
    """

    async def play() -> None:
        reader, end = os.pipe()
        child = subprocess.Popen([sys.executable, "-c", burst], stdout=end)
        os.close(end)
        stage.pump.attach("web.1", "web", "stdout", child.pid, reader)
        shown = await stage.all_shown(lambda data: data.endswith(b"last words\n"))
        assert shown == b"".join(b"web.1    | line %d\n" % i for i in range(20000)) + b"web.1    | last words\n"
        assert stage.pump.ended("web.1")
        assert child.wait() == 3

    theatre.run(play())


def test_a_terminals_master_side_ends_like_a_pipe(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        master, slave = pty.openpty()
        stage.pump.attach("web.1", "web", "stdout", 1, master)
        os.write(slave, b"hello")
        os.close(slave)
        await stage.settle()
        assert stage.shown() == b"web.1    | hello\n"
        assert stage.pump.ended("web.1")

    theatre.run(play())


def test_detached_instances_are_forgotten_although_somebody_holds_their_pipes(theatre) -> None:
    stage = theatre.stage()

    async def play() -> None:
        stage.child("web.1", "stdout", "stderr")
        os.write(stage.ends["web.1", "stderr"], b"bye")
        stage.pump.detach_all()
        assert stage.pump.ended("web.1")
        assert stage.shown() == b"web.1    | bye\n"
        with pytest.raises(BrokenPipeError):
            os.write(stage.ends["web.1", "stdout"], b"x")

    theatre.run(play())


@pytest.mark.parametrize(
    ("mode", "terminal", "environ", "color"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", True, {"FORCE_COLOR": "0"}, False),
        ("auto", False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_when_there_is_colour(mode: str, terminal: bool, environ: dict[str, str], color: bool) -> None:
    assert choose_color(mode, terminal, environ) is color
