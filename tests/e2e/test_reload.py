"""Reading the files again: only what changed is touched, and mistakes touch nothing."""

from __future__ import annotations

import os
import pty
import signal
from typing import Any

import pytest

from tests.e2e.app import PROBE, App, Supervisor

READY = "sh -c 'echo ready $PS; exec sleep 1000'"


@pytest.fixture
def running(app: App) -> App:
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1001\n")
    app.start("-m", "worker=2")
    app.until_running("web.1", "worker.1", "worker.2")
    return app


def pids(app: App) -> dict[str, int | None]:
    return {name: each["pid"] for name, each in app.instances().items()}


def test_with_nothing_changed_nothing_happens(running: App) -> None:
    before = running.instances()
    said = running.ok("reload")
    assert [line.split()[:2] for line in said.splitlines()] == [
        ["keep", "web.1"],
        ["keep", "worker.1"],
        ["keep", "worker.2"],
    ]
    assert pids(running) == {name: each["pid"] for name, each in before.items()}
    running.started[0].wait_for("reloaded Procfile: no changes")


def test_an_instance_that_is_stopped_stays_so_and_has_the_new_command_when_it_is_started(app: App) -> None:
    app.write("Procfile", f"web: {PROBE} old\nother: sleep 1000\n")
    supervisor = app.start()
    assert supervisor.probe()["argv"] == ["old"]
    app.ok("stop", "web")
    app.write("Procfile", f"web: {PROBE} new\nother: sleep 1000\n")
    assert "keep     web.1  (stopped by request)" in app.ok("reload")
    assert app.instances()["web.1"]["state"] == "stopped"
    app.ok("start", "web")
    assert supervisor.probe(times=2)["argv"] == ["new"]
    supervisor.stop()


def test_a_crash_looping_command_that_was_corrected_starts_at_once(app: App) -> None:
    app.write("Procfile", "web: sh -c 'echo tried; exit 1'\n")
    supervisor = app.start()
    supervisor.wait_for("tried", 3)
    app.until(lambda found: found["web.1"]["state"] == "backoff")
    app.write("Procfile", f"web: {READY}\n")
    app.ok("reload")
    supervisor.wait_for("ready web.1")
    supervisor.stop()


def test_plan_prints_the_same_and_changes_nothing(running: App) -> None:
    before = running.instances()
    running.write("Procfile", "web: sleep 2000\nmailer: sleep 1000\n")
    said = running.ok("reload", "--plan")
    assert [line.split()[1:3] for line in said.splitlines()[:-1]] == [
        ["restart", "web.1"],
        ["stop", "worker.1"],
        ["stop", "worker.2"],
        ["start", "mailer.1"],
    ]
    assert "nothing was changed" in said
    assert pids(running) == {name: each["pid"] for name, each in before.items()}
    assert running.ask("formation") == {"web": 1, "worker": 2}
    assert running.ok("reload").splitlines() == said.splitlines()[:-1]


def test_a_plan_in_which_all_is_kept_promises_nothing(running: App) -> None:
    running.ok("stop", "web")
    said = running.ok("reload", "--plan").splitlines()
    assert {line.split()[0] for line in said[:-1]} == {"keep"}
    assert said[-1] == "nothing was changed; procsup reload would start, stop and restart nothing"


def test_all_errors_of_a_file_are_told_at_once_with_file_line_and_column(running: App) -> None:
    running.write("Procfile", "web: sleep 2000\nno colon here\nweb.4: x\n")
    done = running.run("reload")
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == ["Procfile:2:1:", "Procfile:3:1:"]


def test_a_procfile_that_is_gone_changes_nothing(running: App) -> None:
    before = pids(running)
    (running.folder / "Procfile").unlink()
    assert running.run("reload").returncode == 2
    assert pids(running) == before


def test_sighup_reloads_and_tells_mistakes_in_the_output(running: App) -> None:
    before = pids(running)
    supervisor = running.started[0]
    running.write("Procfile", "web: sleep 1000\nworker\n")
    supervisor.send(signal.SIGHUP)
    supervisor.wait_for(r"\| Procfile:2:\d+: error: ")
    assert pids(running) == before
    running.write("Procfile", "web: sleep 1000\n")
    supervisor.send(signal.SIGHUP)
    supervisor.wait_for("reloaded Procfile: 2 changes")
    assert running.until_running("web.1")["web.1"]["pid"] == before["web.1"]


def test_sighup_while_it_stops_is_no_trouble(app: App) -> None:
    app.write("Procfile", """deaf: sh -c 'trap "" TERM; echo deaf; while :; do sleep 1000; done'\n""")
    supervisor = app.start("--grace", "600")
    supervisor.wait_for("deaf$")
    supervisor.send(signal.SIGTERM)
    supervisor.wait_for("stopping 1 instance")
    supervisor.send(signal.SIGHUP)
    supervisor.wait_for("not reloaded, nothing changed")
    assert supervisor.stop() == 0
    assert "Traceback" not in supervisor.text


def test_a_changed_port_is_told_and_waits_for_the_next_start(running: App) -> None:
    ports = {name: each["port"] for name, each in running.instances().items()}
    running.write(".env", "PORT=7000\n")
    running.ok("reload")
    running.started[0].wait_for("PORT is 7000 now; ports stay as they are")
    assert {name: each["port"] for name, each in running.instances().items()} == ports


def test_what_was_read_from_standard_input_is_read_once(app: App) -> None:
    app.write("ignored", "")
    ours, theirs = os.pipe()
    os.write(theirs, b"web: sleep 1000\n")
    os.close(theirs)
    supervisor = app.start("-f", "-", stdin=ours)
    os.close(ours)
    before = app.until_running("web.1")
    app.ok("reload")
    assert pids(app) == {name: each["pid"] for name, each in before.items()}
    supervisor.stop()


def with_a_terminal_of_its_own(slave: int) -> dict[str, Any]:
    """How to start something on a terminal that can be taken away from it."""

    def take() -> None:
        import fcntl
        import termios

        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    return {"start_new_session": True, "preexec_fn": take, "stdin": slave, "pass_fds": [slave]}


def on_a_terminal(app: App) -> tuple[Supervisor, int]:
    master, slave = pty.openpty()
    supervisor = app.start(**with_a_terminal_of_its_own(slave))
    os.close(slave)
    return supervisor, master


def test_a_terminal_that_was_closed_stops_everything(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor, master = on_a_terminal(app)
    supervisor.wait_for("ready")
    supervisor.send(signal.SIGHUP)  # the terminal is still there
    supervisor.wait_for("reloaded Procfile")
    os.close(master)  # now the kernel sends it
    assert supervisor.end() == 128 + signal.SIGHUP
    assert "1 stopped, 0 killed, 0 left" in supervisor.text


def test_under_nohup_it_outlives_the_terminal(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    master, slave = pty.openpty()
    how = with_a_terminal_of_its_own(slave)
    take = how["preexec_fn"]

    def take_and_ignore() -> None:
        take()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    supervisor = app.start(**{**how, "preexec_fn": take_and_ignore, "stdin": -3})
    os.close(slave)
    supervisor.wait_for("ready")
    os.close(master)
    assert app.until_running("web.1")
    assert supervisor.stop() == 0
