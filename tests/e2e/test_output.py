"""What comes out of `procsup start`, on a pipe and on a terminal, and what happens when nobody reads it."""

from __future__ import annotations

import array
import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App

STAY = "exec sleep 1000"


def python(code: str) -> str:
    return f"{sys.executable} -IS -c {shlex.quote(code)}"


def children_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if " procsup " not in line]


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
    app.write("Procfile", f"web: sh -c 'printf \"name: \"; while ! test -e go; do :; done; echo done; {STAY}'\n")
    supervisor = app.start()
    supervisor.wait_for(r"web\.1   \| name: \Z")
    app.write("go", "")
    supervisor.wait_for(r"web\.1   \| name: done$")
    supervisor.stop()


def test_where_somebody_came_between_the_rest_has_a_prefix_of_its_own(app: App) -> None:
    wait = "while ! test -e %s; do :; done"
    app.write(
        "Procfile",
        f"a: sh -c 'printf half; {wait % 'two'}; echo rest; {STAY}'\nb: sh -c '{wait % 'one'}; echo between; {STAY}'\n",
    )
    supervisor = app.start("--no-timestamps")
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
    assert lines.index("job.1   | last words") < lines.index("procsup | job.1 ended: killed by SIGKILL after 0 s")
    assert "job.1   | out" in lines


def test_a_burst_before_the_end_arrives_whole_and_in_order(app: App) -> None:
    code = "import os; os.write(1, b''); b = b''.join(b'line %d\\n' % n for n in range(20000)) + b'the end'\n"
    code += "while b: b = b[os.write(1, b):]\nos._exit(0)"
    app.write("job.py", code)
    app.write("Procfile", f"job: {sys.executable} -IS job.py\n")
    supervisor = app.start("--restart", "never", "--no-timestamps", "-m", "job=2")
    assert supervisor.end() == 0
    for name in ("job.1", "job.2"):
        said = [line.partition("| ")[2] for line in supervisor.text.splitlines() if line.startswith(name)]
        assert said == [*(f"line {number}" for number in range(20000)), "the end"]


def test_bytes_that_are_no_utf8_pass_unchanged_and_lines_do_not_mix(app: App) -> None:
    code = "import os\nfor n in range(300): os.write(1, b'\\xff\\x00\\xfe' * 40 + b'\\n')"
    app.write("job.py", code)
    app.write("Procfile", f"a: {sys.executable} -IS job.py\nb: {sys.executable} -IS job.py\n")
    supervisor = app.start("--restart", "never", "--no-timestamps")
    assert supervisor.end() == 0
    for name in (b"a.1", b"b.1"):
        said = [line for line in supervisor.output.split(b"\n") if line.startswith(name)]
        assert said == [name + b"     | " + b"\xff\x00\xfe" * 40] * 300


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


class Terminal:
    """A pseudo-terminal with `procsup start` on it."""

    def __init__(self, app: App, *arguments: str) -> None:
        self.master, slave = pty.openpty()

        def take() -> None:
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [*COMMAND, "start", *arguments], cwd=app.folder, env=app.environment, stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True, preexec_fn=take,
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def read_until(self, pattern: str) -> None:
        while not re.search(pattern, self.text):
            assert select.select([self.master], [], [], PATIENCE)[0], f"no {pattern!r} in:\n{self.text}"
            self.text += os.read(self.master, 65536).decode(errors="replace")

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            while chunk := os.read(self.master, 65536):
                self.text += chunk.decode(errors="replace")
        except OSError:  # EIO: nobody is on the other side any more
            pass
        self.process.wait(PATIENCE)
        os.close(self.master)


@pytest.fixture
def terminals(app: App) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


@pytest.mark.parametrize(("variables", "coloured"), [({"TERM": "xterm"}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_on_a_terminal(app: App, terminals: list[Terminal], variables: dict[str, str], coloured: bool) -> None:
    app.write("Procfile", f"web: sh -c 'echo hello; {STAY}'\n")
    app.environment |= variables
    terminals.append(terminal := Terminal(app))
    terminal.read_until("hello")
    assert bool(re.search(COLOURED, terminal.text)) is coloured


def test_ctrl_c_typed_on_a_terminal_ends_it_and_reaches_the_children_only_through_procsup(
    app: App, terminals: list[Terminal]
) -> None:
    app.write("Procfile", """web: sh -c 'trap "echo got INT" INT; trap "echo got TERM; exit" TERM; echo up; cat'\n""")
    terminals.append(terminal := Terminal(app))
    terminal.read_until(r" up\r")
    terminal.type(b"keys that nobody steals\n\x03")
    terminal.read_until(r"0 left")
    assert terminal.process.wait(PATIENCE) == 130
    assert "got INT" not in terminal.text
    assert "keys that" not in terminal.text.replace("keys that nobody steals\r\n", "", 1)  # the terminal's own echo


@pytest.mark.parametrize(("arguments", "passes"), [((), False), (("--raw",), True)])
def test_on_a_terminal_only_colours_of_a_child_pass(
    app: App, terminals: list[Terminal], arguments: tuple[str, ...], passes: bool
) -> None:
    text = r"\033[31mred\033[0m \033[2J\033]0;title\007 plain [/red]\n"
    app.write("Procfile", f"web: sh -c 'printf \"{text}\"; {STAY}'\n")
    terminals.append(terminal := Terminal(app, *arguments))
    terminal.read_until("plain")
    assert "\x1b[31mred\x1b[0m" in terminal.text
    assert "plain [/red]" in terminal.text
    assert ("\x1b[2J" in terminal.text) is passes
    assert ("title" in terminal.text) is passes


# Nobody reads


FLOOD = "while True: print('x' * 99)"


@pytest.fixture
def blocked(app: App) -> Iterator[tuple[App, subprocess.Popen[bytes], int]]:
    """A supervisor whose children flood a pipe that nobody reads, stderr being the same pipe."""
    app.write("Procfile", f"flood: {python(FLOOD)}\nweb: sleep 1000\n")
    read, write = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "start", "--grace", "5"], cwd=app.folder, env=app.environment, stdout=write, stderr=write,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    started = app.started
    app.started = []  # it is not one of those that are read
    try:
        wait_until_full(read)
        yield app, process, read
    finally:
        app.started = started
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(read)


def wait_until_full(read: int) -> None:
    """Until nothing more comes into the pipe: the flood has met the wall. How much fits is the kernel's affair."""
    count, before, unchanged = array.array("i", [0]), 0, 0
    until = time.monotonic() + PATIENCE
    while unchanged < 8:
        assert time.monotonic() < until, f"never full: {before} bytes"
        time.sleep(0.05)  # the pace of asking
        fcntl.ioctl(read, termios.FIONREAD, count)
        unchanged = unchanged + 1 if count[0] == before > 2048 else 0
        before = count[0]


def test_with_a_reader_that_does_not_read_commands_restarts_and_sigterm_go_on(
    blocked: tuple[App, subprocess.Popen[bytes], int],
) -> None:
    app, process, _ = blocked
    before = app.instances()
    assert {each["state"] for each in before.values()} == {"running"}
    app.ok("scale", "web=3", "--wait")
    app.ok("stop", "web.2")
    os.kill(before["flood.1"]["pid"], signal.SIGKILL)
    app.until(lambda found: found["flood.1"]["pid"] not in (None, before["flood.1"]["pid"]))
    app.ok("restart", "flood")
    assert {name: each["state"] for name, each in app.instances().items()} == {
        "flood.1": "running",
        "web.1": "running",
        "web.2": "stopped",
        "web.3": "running",
    }
    process.terminate()
    assert process.wait(5 + 1) in (0, 1)  # within the grace, though the last lines could not be said


def test_a_reader_that_comes_back_finds_every_line_whole(
    blocked: tuple[App, subprocess.Popen[bytes], int],
) -> None:
    _, process, read = blocked
    process.terminate()
    said = b""
    while chunk := os.read(read, 65536):
        said += chunk
    assert process.wait(PATIENCE) == 0
    lines = [line for line in said.decode().splitlines() if " flood.1 " in line and " procsup " not in line]
    assert len(lines) > 1000
    assert {re.sub(r"^\S+ ", "", line) for line in lines[:-1]} == {"flood.1 | " + "x" * 99}


def test_a_reader_that_goes_away_ends_it_and_nothing_is_left(app: App) -> None:
    app.write("Procfile", f"web: sh -c 'echo up; {STAY}'\n")
    for how in ("start", "start --format json"):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{shlex.join(COMMAND)} {how} | head -n 1"],
            cwd=app.folder,
            env=app.environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        assert len(done.stdout.splitlines()) == 1


def test_the_output_can_be_a_file(app: App) -> None:
    app.write("Procfile", "web: echo into the file\n")
    with open(app.folder / "log", "wb") as file:
        done = subprocess.run(
            [*COMMAND, "start", "--restart", "never"], cwd=app.folder, env=app.environment, stdout=file,
            stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert done.returncode == 0
    assert "web.1   | into the file\n" in (app.folder / "log").read_text()
