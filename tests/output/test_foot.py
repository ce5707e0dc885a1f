"""The line at the foot of a terminal: below what scrolls, never between its lines, gone at the end."""

from __future__ import annotations

LINE = b"\r\x1b[2K\x1b[?7lweb 2\x1b[?7h"
WIPE = b"\r\x1b[2K"


def test_it_stands_below_the_output_and_is_wiped_before_more_comes(theatre) -> None:
    stage = theatre.stage(terminal=True, status=True)

    async def play() -> None:
        stage.child("web.1")
        stage.console.show_status("web 2")
        await stage.silence(0.1)
        assert stage.shown() == LINE
        await stage.say("web.1", b"hello\n")
        await stage.say("web.1", b"world\n")
        assert stage.shown() == WIPE + b"web.1    | hello\nweb.1    | world\n"
        await stage.silence(0.1)
        assert stage.shown() == LINE

    theatre.run(play())


def test_a_prompt_at_the_end_keeps_its_place(theatre) -> None:
    stage = theatre.stage(terminal=True, status=True)

    async def play() -> None:
        stage.child("web.1")
        stage.console.show_status("web 2")
        await stage.say("web.1", b"Name: ")
        await stage.silence(0.3)
        assert stage.shown().endswith(b"web.1    | Name: ")
        await stage.say("web.1", b"Ada\n")
        await stage.silence(0.1)
        assert stage.shown() == b"Ada\n" + LINE

    theatre.run(play())


def test_it_changes_in_place_and_costs_nothing_while_it_does_not(theatre) -> None:
    stage = theatre.stage(terminal=True, status=True)

    async def play() -> None:
        stage.console.show_status("web 1")
        await stage.silence(0.1)
        stage.console.show_status("web 2")
        await stage.silence(0.1)
        assert stage.shown().endswith(LINE)
        timers = stage.loop.timers
        stage.console.show_status("web 2")
        await stage.silence(1)
        assert stage.shown() == b""
        assert stage.loop.timers == timers

    theatre.run(play())


def test_nothing_of_it_is_left_at_the_end(theatre) -> None:
    stage = theatre.stage(terminal=True, status=True)

    async def play() -> None:
        stage.console.show_status("web 2")
        await stage.silence(0.1)
        stage.console.notice("bye")
        await stage.silence(0.1)
        await stage.console.flush_pending(1)
        assert stage.shown() == LINE + WIPE + b"procsup  | bye\n" + LINE + WIPE

    theatre.run(play())


def test_without_it_nothing_is_drawn(theatre) -> None:
    stage = theatre.stage(terminal=True)

    async def play() -> None:
        stage.console.show_status("web 2")
        await stage.silence(0.1)
        assert stage.shown() == b""

    theatre.run(play())
