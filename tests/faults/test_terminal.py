"""The terminal that procsup was started on: closed, resized, left with Ctrl-Z, come back to with `fg`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App, alive
from tests.e2e.screen import Screen
from tests.faults.watching import NOISE, READY, Record, everybody, in_words, until, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

# Needs a moment for a clean end, and leaves a trace of it.
_CAREFUL = """sh -c 'trap "sleep 0.3; touch clean; exit 0" TERM; echo ready $$; while :; do sleep 0.05; done'"""
_START = " ".join((*COMMAND, "start", "--color", "never", "--grace", "5"))


Open = Callable[..., Screen]


def _state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


@pytest.fixture
def open_terminal(app: App) -> Iterator[Open]:
    app.environment["PS1"] = "$ "
    terminals: list[Screen] = []

    def open_one(*command: str) -> Screen:
        terminals.append(Screen(app, *command))
        return terminals[-1]

    yield open_one
    for each in terminals:
        each.close_window()
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait(PATIENCE)


def test_f33_a_closed_terminal_stops_all_with_their_grace(
    app: App, open_terminal: Open, record_property: Record
) -> None:
    app.write("Procfile", f"web: {_CAREFUL}\nother: {READY}\n")
    terminal = open_terminal("sh", "-c", f"exec {_START}")
    terminal.wait_for("ready", 2)
    with within(1 + NOISE) as took:
        terminal.close_window()
        assert terminal.process.wait(PATIENCE) in (0, 128 + signal.SIGHUP)
    record_property("after its terminal was closed all was down within", in_words(took.seconds))
    assert (app.folder / "clean").exists(), "it was killed without its grace"
    assert not everybody()


def test_f33_a_terminal_closed_while_procsup_is_stopped_by_ctrl_z_leaves_nobody(app: App, open_terminal: Open) -> None:
    app.write("Procfile", f"web: {_CAREFUL}\n")
    terminal = open_terminal("sh", "-i")
    terminal.type(f"{_START}\n")
    terminal.wait_for(r"\| ready \d")
    supervisor = int(app.ask("info")["pid"])
    terminal.type("\x1a")
    until(lambda: _state_of(supervisor) == "T")
    terminal.close_window()
    until(lambda: not everybody())
    assert (app.folder / "clean").exists(), "it was killed without its grace"


def test_f33_ctrl_z_stops_procsup_alone_and_fg_lets_it_go_on(app: App, open_terminal: Open) -> None:
    app.write("Procfile", f"web: {READY}\n")
    terminal = open_terminal("sh", "-i")
    terminal.type(f"{_START}\n")
    web = int(terminal.wait_for(r"\| ready (\d+)\r")[1])
    supervisor = int(app.ask("info")["pid"])
    terminal.type("\x1a")
    until(lambda: _state_of(supervisor) == "T")
    until(lambda: _state_of(web) == "S")  # asleep, not stopped
    os.kill(web, signal.SIGKILL)  # nobody sees it before procsup goes on
    terminal.type("fg\n")
    until(lambda: _state_of(supervisor) != "T")
    again = int(terminal.wait_for(r"\| ready (\d+)\r", 2)[1])
    assert alive(again)
    terminal.type("\x03")
    terminal.wait_for("1 stopped, 0 killed, 0 left")
    terminal.type("echo code $?\n")
    terminal.wait_for("code 130")
    terminal.type("exit\n")
    assert terminal.process.wait(PATIENCE) == 0


def test_f33_ctrl_c_in_a_pipeline_stops_all_with_their_grace(app: App, open_terminal: Open) -> None:
    app.write("Procfile", f"web: {_CAREFUL}\n")
    terminal = open_terminal("sh", "-c", f"{_START} | cat")
    terminal.wait_for("ready")
    terminal.type("\x03")
    terminal.process.wait(PATIENCE)
    # The shell waits for its last program only.
    until(lambda: not everybody())
    assert (app.folder / "clean").exists(), "it was killed without its grace"


def test_f33_a_new_size_and_a_broken_pipes_signal_change_nothing(app: App, open_terminal: Open) -> None:
    app.write("Procfile", f"web: {READY}\n")
    terminal = open_terminal("sh", "-c", f"exec {_START}")
    terminal.wait_for(r"\| ready \d+\r")
    before = app.until_running("web.1")
    for lines, columns in ((10, 20), (1, 1), (200, 500)):
        terminal.resize(lines, columns)
        for number in (signal.SIGWINCH, signal.SIGPIPE):
            os.kill(terminal.process.pid, number)
        assert app.instances()["web.1"]["pid"] == before["web.1"]["pid"]
    os.kill(terminal.process.pid, signal.SIGTERM)
    terminal.wait_for("1 stopped, 0 killed, 0 left")
    assert terminal.process.wait(PATIENCE) == 0
