"""What comes out of `procsup start`, on a pipe and on a terminal."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App
from tests.e2e.screen import Screen

STAY = "exec sleep 1000"
AWAIT = "while ! test -e %s; do sleep 0.01; done"


def test_each_line_has_time_name_and_text_and_names_are_padded(app: App) -> None:
    app.write("Procfile", f"web: sh -c 'echo one; echo; echo two >&2; {STAY}'\nlonger-name: sh -c 'echo hi; {STAY}'\n")
    supervisor = app.start()
    supervisor.wait_for(r"^\d\d:\d\d:\d\d web\.1         \| one$")
    supervisor.wait_for(r"^\d\d:\d\d:\d\d web\.1         \| $")
    supervisor.wait_for(r"^\d\d:\d\d:\d\d web\.1         \| two$")  # stderr is shown on stdout
    supervisor.wait_for(r"^\d\d:\d\d:\d\d longer-name\.1 \| hi$")
    supervisor.wait_for(r"^\d\d:\d\d:\d\d procsup       \| web\.1 started, pid \d+$")
    supervisor.stop()
    assert "\x1b" not in supervisor.text


def test_without_timestamps_and_without_prefix(app: App) -> None:
    app.write("Procfile", "job: echo bare\n")
    supervisor = app.start("--restart", "never", "--no-timestamps")
    assert supervisor.end() == 0
    assert "job.1   | bare" in supervisor.text.splitlines()
    supervisor = app.start("--restart", "never", "--no-prefix")
    assert supervisor.end() == 0
    assert "bare" in supervisor.text.splitlines()


def test_quiet_ones_are_not_shown(app: App) -> None:
    app.write("Procfile", f"web: sh -c 'echo shown; {STAY}'\nnoise: sh -c 'echo noise $PS; {STAY}'\n")
    supervisor = app.start("-q", "noise.1", "-m", "noise=2")
    supervisor.wait_for("shown")
    supervisor.wait_for("noise noise.2")
    supervisor.stop()
    assert "noise noise.1" not in supervisor.text


def test_json_is_an_object_a_line(app: App) -> None:
    app.write("Procfile", 'job: sh -c \'echo out; echo "err [/red]" >&2; printf "\\377\\033[2J"\'\n')
    supervisor = app.start("--restart", "never", "--format", "json")
    assert supervisor.end() == 0
    objects: list[dict[str, Any]] = [json.loads(line) for line in supervisor.text.splitlines()]
    assert all(set(each) <= {"time", "instance", "type", "stream", "pid", "text", "partial"} for each in objects)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", each["time"]) for each in objects)
    said = {(each["stream"], each["text"]) for each in objects if each["instance"] == "job.1"}
    assert {("stdout", "out"), ("stderr", "err [/red]")} <= said
    assert "".join(text for stream, text in said if stream == "stdout" and text != "out") == "\ufffd\x1b[2J"
    assert {each["pid"] for each in objects if each["instance"] == "procsup"} == {supervisor.pid}


def test_what_has_no_newline_yet_is_shown_and_completed_in_place(app: App) -> None:
    app.write("Procfile", f"web: sh -c '{AWAIT % 'ask'}; printf \"name: \"; {AWAIT % 'go'}; echo done; {STAY}'\n")
    supervisor = app.start()
    supervisor.wait_for(r"web\.1 started")  # else a busy procsup could say so behind the prompt
    app.write("ask", "")
    supervisor.wait_for(r"web\.1   \| name: \Z")
    app.write("go", "")
    supervisor.wait_for(r"web\.1   \| name: done$")
    supervisor.stop()


def test_where_somebody_came_between_the_rest_has_a_prefix_of_its_own(app: App) -> None:
    app.write(
        "Procfile",
        f"a: sh -c '{AWAIT % 'zero'}; printf half; {AWAIT % 'two'}; echo rest; {STAY}'\n"
        f"b: sh -c '{AWAIT % 'one'}; echo between; {STAY}'\n",
    )
    supervisor = app.start("--no-timestamps")
    supervisor.wait_for(r"a\.1 started")  # nobody but b shall come between
    supervisor.wait_for(r"b\.1 started")
    app.write("zero", "")
    supervisor.wait_for(r"half\Z")
    app.write("one", "")
    supervisor.wait_for(r"^b\.1     \| between$")
    app.write("two", "")
    supervisor.wait_for(r"^a\.1     \| rest$")
    supervisor.stop()
    assert "a.1     | half\nb.1     | between\na.1     | rest\n" in supervisor.text


def test_last_words_come_before_the_news_of_the_death(app: App) -> None:
    app.write("Procfile", """job: sh -c 'echo out; printf "last words" >&2; kill -9 $$'\n""")
    supervisor = app.start("--restart", "never", "--no-timestamps")
    assert supervisor.end() == 137
    lines = supervisor.text.splitlines()
    [death] = [line for line in lines if line.startswith("procsup | job.1 ended: killed by SIGKILL after ")]
    assert lines.index("job.1   | last words") < lines.index(death)
    assert "job.1   | out" in lines


# Colour


COLOURED = r"\x1b\[\d+m(\d\d:\d\d:\d\d )?web\.1   \|\x1b\[0m hello"


@pytest.mark.parametrize(
    ("variables", "arguments", "coloured"),
    [
        ({}, (), False),
        ({"FORCE_COLOR": "1"}, (), True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, (), False),
        ({"NO_COLOR": "1"}, ("--color", "always"), True),
        ({"FORCE_COLOR": "1"}, ("--color", "never"), False),
    ],
)
def test_colour_on_a_pipe(app: App, variables: dict[str, str], arguments: tuple[str, ...], coloured: bool) -> None:
    app.write("Procfile", "web: echo hello\n")
    app.environment |= variables
    supervisor = app.start("--restart", "never", *arguments)
    assert supervisor.end() == 0
    assert bool(re.search(COLOURED, supervisor.text)) is coloured


@pytest.fixture
def terminals(app: App) -> Iterator[list[Screen]]:
    opened: list[Screen] = []
    yield opened
    for terminal in opened:
        terminal.close()


@pytest.mark.parametrize(("variables", "coloured"), [({"TERM": "xterm"}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_on_a_terminal(app: App, terminals: list[Screen], variables: dict[str, str], coloured: bool) -> None:
    app.write("Procfile", f"web: sh -c 'echo hello; {STAY}'\n")
    app.environment |= variables
    terminals.append(terminal := Screen(app, *COMMAND, "start"))
    terminal.wait_for("hello")
    assert bool(re.search(COLOURED, terminal.text)) is coloured


def test_ctrl_c_typed_on_a_terminal_ends_it_and_reaches_the_children_only_through_procsup(
    app: App, terminals: list[Screen]
) -> None:
    app.write("Procfile", """web: sh -c 'trap "echo got INT" INT; trap "echo got TERM; exit" TERM; echo up; cat'\n""")
    terminals.append(terminal := Screen(app, *COMMAND, "start"))
    terminal.wait_for(r" up\r")
    terminal.type("keys that nobody steals\n\x03")
    terminal.wait_for(r"0 left")
    assert terminal.process.wait(PATIENCE) == 130
    assert "got INT" not in terminal.text
    assert "keys that" not in terminal.text.replace("keys that nobody steals\r\n", "", 1)  # the terminal's own echo


def test_the_output_can_be_a_file(app: App) -> None:
    app.write("Procfile", "web: echo into the file\n")
    with open(app.folder / "log", "wb") as file:
        done = subprocess.run(
            [*COMMAND, "start", "--restart", "never"], cwd=app.folder, env=app.environment, stdout=file,
            stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert done.returncode == 0
    assert "web.1   | into the file\n" in (app.folder / "log").read_text()
