"""`status` and `list`: what runs, as a table and for programs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App

LESSER = {"UPTIME", "RESTARTS", "CPU", "MEMORY", "PORT", "WHY"}
KEYS = {"app", "root", "pid", "formation", "instances"}
INSTANCE_KEYS = {
    "name", "type", "number", "state", "ready", "pid", "port", "unique_int", "uptime", "restarts", "last_exit", "cpu",
    "memory", "why", "limits",
}  # fmt: skip


def test_status_as_json_has_exactly_the_keys_it_promises(running: App) -> None:
    running.ok("stop", "worker")
    status = running.status()
    assert set(status) == KEYS
    assert status["app"] == "app"
    assert status["root"] == str(running.folder)
    assert status["pid"] == running.started[0].pid
    assert status["formation"] == {"web": 1, "worker": 1}
    web, worker = status["instances"]
    assert set(web) == set(worker) == INSTANCE_KEYS
    assert (web["name"], web["type"], web["number"], web["state"], web["port"]) == ("web.1", "web", 1, "running", 6000)
    assert web["uptime"] > 0
    assert web["cpu"] >= 0
    assert web["memory"] > 100_000
    assert web["why"] is web["last_exit"] is None
    assert worker["state"] == "stopped"
    assert worker["pid"] is worker["uptime"] is worker["cpu"] is worker["memory"] is None


@pytest.mark.parametrize("command", ["status", "ps"])
def test_status_is_a_table_with_a_sentence_on_what_is_not_simply_running(running: App, command: str) -> None:
    running.ok("stop", "worker")
    heading, titles, web, worker = running.ok(command).splitlines()
    assert str(running.folder) in heading
    assert titles.split() == ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", "PORT", "WHY"]
    assert web.split()[:2] == ["web.1", "running"]
    assert worker.split()[:3] == ["worker.1", "stopped", "-"]
    assert worker.rstrip().endswith("stopped by request; procsup start worker.1 brings it back")


def test_a_root_is_shown_as_it_is_spelled(tmp_path: Path) -> None:
    odd = App(tmp_path / "[red] :smile:")
    odd.write("Procfile", "web: sleep 1000\n")
    odd.start()
    try:
        odd.until_running("web.1")
        assert odd.ok("status").startswith(f"[red] :smile: in {odd.folder}, supervisor pid ")
    finally:
        odd.clean_up()


@pytest.mark.parametrize("columns", [30, 40, 60, 80, 200])
def test_a_narrow_terminal_gets_fewer_columns_but_whole_ones(running: App, columns: int) -> None:
    running.environment |= {"COLUMNS": str(columns), "FORCE_COLOR": "1", "TERM": "xterm"}
    plain = re.sub(r"\x1b\[[\d;]*m", "", running.ok("status"))
    heading, titles, web, worker = plain.splitlines()[-4:]
    pid = running.instances()["web.1"]["pid"]
    assert web.split()[:3] == ["web.1", "running", str(pid)]
    assert {"NAME", "STATE", "PID"} <= set(titles.split()) <= {"NAME", "STATE", "PID", *LESSER}
    assert "…" not in heading + titles + web + worker
    assert columns < 200 or set(titles.split()) > LESSER
    assert columns > 40 or "MEMORY" not in titles


def test_status_watch_shows_it_again_and_again_until_ctrl_c(running: App) -> None:
    process = subprocess.Popen(
        [*COMMAND, "status", "--watch", "--json"], cwd=running.folder, env=running.environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout as lines:
        assert set(json.loads(lines.readline())) == KEYS
        assert set(json.loads(lines.readline())) == KEYS
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) in (0, 130)


def test_status_memory_and_cpu_are_of_the_whole_tree(app: App) -> None:
    hungry = "x = b'x' * 50_000_000; print('full', flush=True); import time; time.sleep(1000)"
    app.write("Procfile", f"""web: sh -c '"{sys.executable}" -c "$CODE" & wait'\n""")
    app.environment["CODE"] = hungry
    supervisor = app.start()
    supervisor.wait_for("full")
    assert app.status()["instances"][0]["memory"] > 50_000_000
    supervisor.stop()


def test_list_shows_every_supervisor_of_this_user_with_pid_and_root(running: App, tmp_path: Path) -> None:
    other = App(tmp_path / "other")
    other.write("Procfile", "web: sleep 1000\n")
    supervisor = other.start()
    try:
        other.until_running("web.1")
        lines = running.ok("list").splitlines()
        assert f"app  pid {running.started[0].pid}  {running.folder}" in lines
        assert f"other  pid {supervisor.pid}  {other.folder}" in lines
        assert len(lines) == 2
        assert [each["name"] for each in json.loads(running.ok("--app", "other", "status", "--json"))["instances"]] == [
            "web.1"
        ]
    finally:
        other.clean_up()
    assert len(running.ok("list").splitlines()) == 1
