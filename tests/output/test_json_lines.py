"""`--format json`: one object a line that every parser takes."""

from __future__ import annotations

import datetime
import json
import os


def test_each_line_is_an_object_with_who_when_and_what(theatre) -> None:
    stage = theatre.stage(format="json")

    async def play() -> None:
        stage.child("web.1", "stderr")
        await stage.say("web.1", b'say "hi"\n\n\x00\xff\xed\xa0\x80 \xc3\xa9\n', "stderr")
        stage.console.notice("started")
        lines = stage.shown().split(b"\n")
        assert lines.pop() == b""
        *objects, own = (json.loads(line) for line in lines)
        assert [each["text"] for each in objects] == ['say "hi"', "", "\0\ufffd\ufffd\ufffd\ufffd é"]
        first = objects[0]
        moment = datetime.datetime.fromisoformat(first.pop("time"))
        assert moment.timestamp() == 1_700_000_000.25
        assert moment.tzinfo is not None
        assert first == {"instance": "web.1", "type": "web", "stream": "stderr", "pid": 4711, "text": 'say "hi"'}
        assert (own["instance"], own["stream"], own["pid"]) == ("procsup", "procsup", os.getpid())

    theatre.run(play())


def test_parts_of_a_line_say_so_and_join_to_the_whole(theatre) -> None:
    stage = theatre.stage(format="json")

    async def play() -> None:
        stage.child("web.1")
        await stage.say("web.1", "naï".encode()[:3])
        await stage.silence()
        stage.console.notice("between")
        await stage.say("web.1", "ï".encode()[1:] + b"ve\nend")
        await stage.end("web.1")
        objects = [json.loads(line) for line in stage.shown().splitlines()]
        assert [(each["text"], each.get("partial")) for each in objects] == [
            ("na", True),
            ("between", None),
            ("ïve", None),
            ("end", None),
        ]

    theatre.run(play())


def test_control_characters_reach_a_terminal_only_as_text(theatre) -> None:
    stage = theatre.stage(format="json", terminal=True)

    async def play() -> None:
        stage.child("web.1")
        await stage.say("web.1", b"\x1b[2J\xc2\x9b2J\n")
        shown = stage.shown()
        assert shown.isascii()
        assert b"\x1b" not in shown
        assert json.loads(shown)["text"] == "\x1b[2J\x9b2J"

    theatre.run(play())
