"""Instances that sit at a terminal: typed into from another one, or with procsup's own for themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.app import COMMAND, App
from tests.e2e.screen import Screen
from tests.faults.needs import needs

DEBUGGED = """\
import os, signal
print("size", *os.get_terminal_size(), flush=True)
answer = 41
breakpoint()
print("the answer is", answer, flush=True)
signal.pause()
"""

NewScreen = Callable[..., Screen]


@pytest.fixture
def screen(app: App) -> Iterator[NewScreen]:
    opened: list[Screen] = []

    def open_screen(*arguments: str, size: tuple[int, int] = (24, 80)) -> Screen:
        opened.append(Screen(app, *COMMAND, *arguments, size=size))
        return opened[-1]

    yield open_screen
    for each in opened:
        each.close()


@pytest.fixture
def debugged(app: App) -> App:
    app.write("web.py", DEBUGGED)
    app.write("Procfile", f"web: {sys.executable} web.py\nworker: sh -c 'echo working; exec sleep 1000'\n")
    return app


def test_a_program_is_debugged_with_pdb_from_another_terminal(debugged: App, screen: NewScreen) -> None:
    supervisor = debugged.start("--tty", "web")
    supervisor.wait_for(r"\(Pdb\)")
    terminal = screen("attach", "web.1")
    terminal.wait_for(r"\(Pdb\) ")
    terminal.type("answer = 42\n")
    terminal.wait_for(r"\(Pdb\) ", 2)
    terminal.type("p answer + 1\n")
    terminal.wait_for(r"\r\n43\r\n")
    terminal.type("c\n")
    terminal.wait_for("the answer is 42")
    terminal.type("\x1d")
    assert terminal.end() == 0
    assert terminal.as_before()
    supervisor.wait_for(r"web\.1 +\| the answer is 42$")  # no carriage return, and the prefix as ever
    assert supervisor.stop() == 0


@needs(shutil.which("irb") is not None, "there is no irb: apt-get install ruby")
def test_irb_is_talked_to_resized_left_and_found_again(app: App, screen: NewScreen) -> None:
    """An editor of lines that asks the terminal where its cursor is, and draws anew what is typed."""
    app.environment["HOME"] = str(app.folder)  # it keeps a history
    app.write("Procfile", "web: irb -f --nocolorize\n")
    app.start("--tty", "web")
    app.until_running("web.1")  # it asks before it prompts, and waits for somebody who answers
    first = screen("attach", "web", size=(30, 90))
    first.wait_for(r"irb\(main\):001:0> ")
    first.type("1+1\r")
    first.wait_for(r"=> 2\r\n[^=]*irb\(main\):002:0> ")
    first.resize(40, 120)
    first.type("STDIN.winsize\r")
    first.wait_for(r"=> \[40, 120\]\r\n[^=]*irb\(main\):003:0> ")
    first.type("kept = 6*7\r")
    first.wait_for(r"=> 42")
    first.type("\x1d")  # while it asks where the cursor is
    assert first.end() == 0
    assert first.as_before()
    pid = app.until_running("web.1")["web.1"]["pid"]
    again = screen("attach", "web", size=(40, 120))
    again.type("kept+1\r")
    again.wait_for("=> 43")
    again.type("exit\r")
    again.wait_for(r"(?s)005:0> exit.*irb\(main\):001:0> ")
    assert app.until(lambda found: found["web.1"]["pid"] not in (None, pid))


ASKING = """\
import sys, tty
tty.setcbreak(0)
print("\\x1b[6n", end="", flush=True)
answer = b""
while not answer.endswith(b"R"):
    answer += sys.stdin.buffer.read1(1)
print("it is at", answer[2:-1].decode(), flush=True)
typed = b""
while not typed.endswith(b"."):
    typed += sys.stdin.buffer.read1(1)
print("typed", typed, flush=True)
sys.stdin.read()
"""


def test_what_a_program_asks_the_terminal_is_answered_once(app: App, screen: NewScreen) -> None:
    """By the first who comes; the next one's terminal would answer into what is typed then."""
    app.write("asking.py", ASKING)
    app.write("Procfile", f"web: {sys.executable} asking.py\n")
    app.start("--tty", "web")
    app.until_running("web.1")
    first = screen("attach", "web")
    first.wait_for("it is at 1;1")
    first.type("\x1d")
    assert first.end() == 0
    again = screen("attach", "web")
    again.wait_for("it is at 1;1")
    assert "\x1b[6n" not in again.text
    again.type("hello.")
    again.wait_for("typed b'hello\\.'")


def test_several_watch_and_a_newcomer_sees_what_is_there(debugged: App, screen: NewScreen) -> None:
    debugged.start("--tty", "web").wait_for(r"\(Pdb\)")
    one, other = screen("attach", "web"), screen("attach", "web.1")
    for each in (one, other):
        each.wait_for(r"\(Pdb\) ")
    one.type("p 6 * 7\n")
    for each in (one, other):
        each.wait_for(r"\r\n42\r\n")


def test_the_window_has_the_size_of_ours_and_follows_it(app: App, screen: NewScreen) -> None:
    app.write("Procfile", "web: sh -c 'trap \"stty size\" WINCH; stty size; while :; do sleep 0.05; done'\n")
    app.start("--tty", "web").wait_for(r"\| 24 80$")
    terminal = screen("attach", "web.1", size=(33, 99))
    terminal.wait_for("33 99")
    terminal.resize(40, 120)
    terminal.wait_for("40 120")


def test_ctrl_c_goes_to_the_instance_and_its_next_copy_takes_the_place(app: App, screen: NewScreen) -> None:
    app.write("Procfile", "web: sh -c 'echo copy $$; exec sleep 1000'\n")
    supervisor = app.start("--tty", "web")
    supervisor.wait_for("copy")
    terminal = screen("attach", "web.1")
    first = terminal.wait_for(r"copy (\d+)")[1]
    terminal.type("\x03")
    assert terminal.wait_for(r"copy (\d+)", 2)[1] != first
    supervisor.wait_for("web.1 ended: killed by SIGINT")
    app.ok("stop", "web.1")
    terminal.wait_for("web.1 is stopped")
    app.ok("start", "web.1")
    terminal.wait_for(r"copy (\d+)", 3)


def test_the_next_copy_takes_the_place_after_a_restart_on_command(app: App, screen: NewScreen) -> None:
    app.write("Procfile", "web: sh -c 'echo copy $$; exec sleep 1000'\n")
    app.start("--tty", "web").wait_for("copy")
    terminal = screen("attach", "web.1")
    first = terminal.wait_for(r"copy (\d+)")[1]
    app.ok("restart", "web.1")
    assert terminal.wait_for(r"copy (\d+)", 2)[1] != first
    app.ok("scale", "web=0", "--wait")
    assert terminal.end() == 0
    assert terminal.as_before()


def test_who_pastes_much_into_one_that_does_not_read_can_leave_at_once(app: App, screen: NewScreen) -> None:
    app.write("Procfile", "web: sh -c 'stty raw -echo; echo ready; exec sleep 1000'\n")
    app.start("--tty", "web").wait_for("ready")
    terminal = screen("attach", "web.1")
    terminal.wait_for("ready")
    for _ in range(30):
        terminal.type("x" * 3000)
    begun = time.monotonic()
    terminal.type("\x1d")
    assert terminal.end() == 0
    assert time.monotonic() - begun < 10  # it was 2 s for each 4 KiB
    assert terminal.as_before()


def test_all_of_what_is_pasted_arrives(app: App, screen: NewScreen) -> None:
    app.write("Procfile", "web: sh -c 'stty raw -echo; echo ready; head -c 300000 | cksum; exec sleep 1000'\n")
    app.start("--tty", "web").wait_for("ready")
    terminal = screen("attach", "web.1")
    terminal.wait_for("ready")
    text = "".join(f"{number:06}" for number in range(50_000))
    for start in range(0, len(text), 3000):
        terminal.type(text[start : start + 3000])
    wanted = subprocess.run(["cksum"], input=text, capture_output=True, text=True, check=True).stdout.strip()
    terminal.wait_for(wanted)


def test_a_terminated_visit_leaves_the_terminal_as_it_was(debugged: App, screen: NewScreen) -> None:
    debugged.start("--tty", "web").wait_for(r"\(Pdb\)")
    terminal = screen("attach", "web.1")
    terminal.wait_for(r"\(Pdb\) ")
    terminal.process.terminate()
    assert terminal.end() == 143
    assert terminal.as_before()


def test_the_end_of_the_supervisor_is_the_end_of_the_visit(debugged: App, screen: NewScreen) -> None:
    supervisor = debugged.start("--tty", "web")
    supervisor.wait_for(r"\(Pdb\)")
    terminal = screen("attach", "web.1")
    terminal.wait_for(r"\(Pdb\) ")
    assert supervisor.stop() == 0
    assert terminal.end() == 0
    assert terminal.as_before()


@pytest.mark.parametrize(
    ("instance", "refusal"),
    [
        ("worker.1", "worker.1 has no terminal; to give it one: procsup start --tty worker"),
        ("web.7", 'no process type or instance "web.7"'),
    ],
)
def test_who_cannot_be_attached_to_is_told_why(debugged: App, screen: NewScreen, instance: str, refusal: str) -> None:
    debugged.start("--tty", "web").wait_for(r"\(Pdb\)")
    terminal = screen("attach", instance)
    assert terminal.end() == 2
    assert refusal in terminal.text


def test_without_a_terminal_there_is_nothing_to_attach(debugged: App) -> None:
    debugged.start("--tty", "web").wait_for(r"\(Pdb\)")
    done = debugged.run("attach", "web.1")
    assert done.returncode == 2
    assert "attach needs a terminal" in done.stderr


def test_the_child_has_the_terminal_for_its_own_and_a_colourful_one(app: App) -> None:
    app.environment["TERM"] = "dumb"
    app.write("Procfile", "web: sh -c 'tty; echo here > /dev/tty; echo $TERM; exec sleep 1000'\n")
    supervisor = app.start("--tty", "web")
    for said in (r"/dev/pts/\d+", "here", "xterm-256color"):
        supervisor.wait_for(rf"web\.1 +\| {said}$")
    assert supervisor.stop() == 0


def test_in_focus_one_has_our_terminal_and_the_others_wait(debugged: App, screen: NewScreen) -> None:
    terminal = screen("start", "--focus", "web", size=(30, 100))
    terminal.wait_for("size 100 29")  # the last row says how everybody is
    terminal.wait_for(r"\(Pdb\) ")
    debugged.until_running("web.1", "worker.1")
    terminal.wait_for("worker ●1")
    assert "working" not in terminal.text
    terminal.type("answer = 42\n")
    terminal.wait_for(r"\(Pdb\) ", 2)
    terminal.type("c\n")
    terminal.wait_for(r"\r\nthe answer is 42")
    terminal.type("\x03")  # to the debugger, not to procsup
    terminal.wait_for(r"\(Pdb\) ", 3)
    terminal.type("q\n")
    terminal.wait_for(r"worker\.1 \|\x1b\[0m working")
    terminal.wait_for(r"web\.1 ended")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert terminal.as_before()


def test_the_terminal_is_given_back_when_procsup_is_stopped_in_focus(debugged: App, screen: NewScreen) -> None:
    terminal = screen("start", "--focus", "web")
    terminal.wait_for(r"\(Pdb\) ")
    debugged.until_running("web.1", "worker.1")
    terminal.process.terminate()
    assert terminal.end() == 0
    assert terminal.as_before()
    assert "0 left" in terminal.text


def test_a_terminal_that_nobody_reads_holds_nothing_up_when_it_is_given_back(app: App, screen: NewScreen) -> None:
    app.write("Procfile", "web: seq 1 1000000000\nworker: sleep 1000\n")
    terminal = screen("start", "--focus", "web")
    app.until_running("web.1", "worker.1")
    app.ok("stop", "web")  # while nothing is read
    app.ok("restart", "worker")
    terminal.process.terminate()
    terminal.wait_for("0 left")
    terminal.end()
    assert terminal.as_before()


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("--focus", "web", "--detach"), "--focus needs the terminal that --detach leaves"),
        (("--focus", "web.x"), '"web.x" is no instance; write web, or web.1'),
        (("--focus", "web."), '"web." is no instance; write web, or web.1'),
    ],
)
def test_a_focus_that_cannot_be_is_refused(
    app: App, screen: NewScreen, arguments: tuple[str, ...], refusal: str
) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    terminal = screen("start", *arguments)
    assert terminal.end() == 2
    assert refusal in terminal.text


def test_exec_has_the_environment_and_folder_of_an_instance(app: App) -> None:
    app.write(".env", "COLOUR=green\n")
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")
    app.start("-p", "6000", "-m", "worker=2")
    app.until_running("web.1", "worker.1", "worker.2")
    command = ("sh", "-c", 'echo $PS $PORT $PROCSUP_UNIQUE_INT $COLOUR; pwd; echo "${PROCSUP_COOKIE-none}"')
    said = app.ok("exec", "worker.2", *command).split()
    assert said == ["worker.2", "6101", "3", "green", str(app.folder), "none"]
    assert app.run("exec", "web", "sh", "-c", "exit 7").returncode == 7
    assert app.run("exec", "web", "no-such-program").returncode == 127
    several = app.run("exec", "worker", "true")
    assert several.returncode == 2
    assert "worker has 2 instances; say which: worker.1, worker.2" in several.stderr


def test_exec_without_a_command_is_a_shell_at_our_terminal(app: App, screen: NewScreen) -> None:
    app.environment["SHELL"] = "/bin/sh"
    app.write("Procfile", "worker: sleep 1000\n")
    app.start()
    app.until_running("worker.1")
    terminal = screen("exec", "worker.1")
    terminal.type("echo in $PS\n")
    terminal.wait_for(r"in worker\.1\r\n")
    terminal.type("exit 3\n")
    assert terminal.end() == 3


def test_the_foot_of_the_terminal_says_how_everybody_is(app: App, screen: NewScreen) -> None:
    app.write("Procfile", "web: sleep 1000\ncss: sh -c 'echo compiled; exit 1'\n")
    terminal = screen("start", "-m", "web=2")
    terminal.wait_for(r"web ●2  css ✗ exit 1, next try in \d s")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert terminal.output.rstrip().endswith(b"0 left")
    quiet = screen("start", "--no-status")
    quiet.wait_for("compiled")
    quiet.wait_for("next try")
    quiet.type("\x03")
    quiet.end()
    assert "●" not in quiet.text


def test_in_a_pipe_there_is_no_foot(app: App) -> None:
    app.write("Procfile", "web: sh -c 'echo ready; exec sleep 1000'\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    app.ok("status")
    assert supervisor.stop() == 0
    assert b"\x1b" not in supervisor.output
    assert os.fsencode("●") not in supervisor.output
