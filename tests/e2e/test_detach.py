"""`start --detach`, and `start` where a supervisor runs already."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.app import App
from tests.e2e.refusal import refused


@pytest.mark.parametrize(
    ("command", "what"),
    [("sh -c 'exit 3'", "exit 3"), ("sh -c 'kill -9 $$'", "killed by SIGKILL"), ("no-such-program", "No such file")],
)
def test_a_formation_that_ends_in_failure_is_exit_code_1_with_what_failed(app: App, command: str, what: str) -> None:
    app.write("Procfile", f"web: {command}\nother: sleep 1000\n")
    said = refused(app.run("start", "--restart", "never", "--detach"), 1)
    assert "web.1" in said
    assert what in said
    assert "output.log" in said


def test_an_earlier_failure_is_not_told_again(app: App) -> None:
    app.write("Procfile", "web: sh -c 'exit 3'\n")
    refused(app.run("start", "--restart", "never", "--detach"), 1)
    app.write("Procfile", "worker: sh -c 'exit 4'\n")
    said = refused(app.run("start", "--restart", "never", "--detach"), 1)
    assert "worker.1: exit 4" in said
    assert "exit 3" not in said


def test_what_ends_well_is_no_failure(app: App) -> None:
    app.write("Procfile", "web: sh -c 'exit 0'\n")
    assert "all has ended" in app.ok("start", "--restart", "never", "--detach")


def test_a_supervisor_in_the_background_holds_no_descriptor_it_was_started_with(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    read, write = os.pipe()
    done = app.run("start", "--detach", pass_fds=(write,))
    assert done.returncode == 0, done.stderr
    os.close(write)
    assert os.read(read, 1) == b""  # the end of it, and no waiting
    os.close(read)
    app.ok("shutdown")


def test_ctrl_c_ends_only_the_command_that_waits_and_says_so(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", "ready = 'log never'\n")
    command = app.start("--detach")
    pid = app.until(lambda found: found["web.1"]["state"] == "starting") and app.status()["pid"]
    command.send(signal.SIGINT)
    assert command.end() == 130
    assert f"procsup goes on in the background, pid {pid}; procsup shutdown ends it" in command.text
    app.ok("shutdown")


def test_options_that_a_running_supervisor_cannot_take_are_refused(running: App) -> None:
    running.ok("stop", "web")
    said = refused(running.run("start", "web", "-m", "web=3", "-p", "9999", "--detach"))
    assert "--formation, --port" in said
    assert "procsup scale" in said
    assert running.instances()["web.1"]["state"] == "stopped"
    assert running.ok("start", "web", "--detach") == "started web.1\n"
    running.environment["PROCSUP_START_PORT"] = "9999"  # which was not meant for this call
    assert running.ok("start", "web") == "started web.1\n"


def test_start_never_takes_the_supervisor_of_a_folder_above_for_its_own(running: App) -> None:
    below = App(running.folder / "sub")
    below.write("Procfile_dev", "web: sleep 1000\n")
    supervisor = below.start("-E", "dev", "web")
    try:
        below.until_running("web.1")
        assert supervisor.pid != running.started[0].pid
        assert below.run("status", "-E", "dev").stdout.startswith("sub in ")
        assert supervisor.stop() == 0
        assert f"no supervisor is running for {below.folder}" in refused(below.run("stop", "web", "-E", "dev"), 3)
        assert f"no supervisor is running for {below.folder}" in refused(below.run("stop", "web"), 3)
    finally:
        below.clean_up()
    assert running.instances()["web.1"]["state"] == "running"
