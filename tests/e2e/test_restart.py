"""What comes back by itself, what a person brings back, and what stays down."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.app import App, alive, children_of
from tests.e2e.test_start_and_stop import LONG_IN_DOUBT
from tests.faults.watching import until

READY = "sh -c 'echo ready $PS; exec sleep 1000'"
DEAF = """sh -c 'trap "" TERM; echo deaf $PS; while :; do sleep 1000; done'"""


@pytest.fixture(params=["", "1"], ids=["posix_spawn and pidfds", "fork and SIGCHLD"])
def either_way(request: pytest.FixtureRequest, app: App) -> App:
    app.environment["PROCSUP_PORTABLE"] = request.param
    return app


def test_a_crash_is_replaced_at_once_and_the_status_tells_how_it_ended(either_way: App) -> None:
    either_way.write("Procfile", f"web: {READY}\n")
    supervisor = either_way.start()
    supervisor.wait_for("ready web.1")
    before = either_way.instances()["web.1"]
    os.kill(before["pid"], signal.SIGKILL)
    supervisor.wait_for("ready web.1", 2)
    after = either_way.instances()["web.1"]
    assert after["pid"] != before["pid"]
    assert (after["port"], after["unique_int"]) == (before["port"], before["unique_int"])
    assert after["restarts"] == 1
    assert after["last_exit"] == {"code": 137, "signal": "SIGKILL", "error": None, "because": None}
    ended = r"web\.1 ended: killed by SIGKILL after .*; restarting$"
    assert re.search(ended, supervisor.text, re.MULTILINE), "it did not come back at once, but after a wait"
    supervisor.stop()


def test_one_that_crashes_again_waits_longer_each_time_and_the_status_says_so(app: App) -> None:
    app.write("Procfile", f"bad: sh -c 'echo tried; exit 3'\nweb: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("tried", 2)
    bad = app.until(lambda found: found["bad.1"]["state"] == "backoff")["bad.1"]
    told = re.fullmatch(r"exit 3, (\d) times in a row; next try in ([\d.]+) s", bad["why"])
    assert told is not None, bad["why"]
    assert float(told[2]) <= 1.1 * 2 ** (int(told[1]) - 2)  # who looks late sees a later wait
    assert (bad["pid"], bad["uptime"], bad["cpu"], bad["memory"]) == (None, None, None, None)
    supervisor.wait_for("tried", 3)
    supervisor.wait_for(r"bad\.1 ended: exit 3 after [\d.]+ s; next try in (1\.[89]|2(\.\d)?) s")
    until(lambda: re.search(r"exit 3, [3-9] times in a row; next try in", app.ok("status")) is not None)
    supervisor.stop()


def test_exit_code_0_is_restarted_too_unless_only_failures_should_be(app: App) -> None:
    app.write("Procfile", "job: sh -c 'echo ran; exit 0'\n")
    supervisor = app.start()
    supervisor.wait_for("ran", 2)
    supervisor.stop()
    app.write("Procfile", f"job: sh -c 'echo ran; exit 0'\nweb: {READY}\n")
    supervisor = app.start("--restart", "on-failure")
    job = app.until(lambda found: found["job.1"]["state"] == "exited" and found["web.1"]["state"] == "running")["job.1"]
    assert job["why"] == "exit 0; its restart policy leaves it so"
    supervisor.stop()


@pytest.mark.parametrize("command", ["restart", "start"])
def test_a_command_from_a_person_cancels_the_wait(app: App, command: str) -> None:
    app.write("Procfile", "bad: sh -c 'echo tried; test -e fixed && exec sleep 1000'\n")
    supervisor = app.start()
    supervisor.wait_for("tried", 3)
    app.until(lambda found: found["bad.1"]["state"] == "backoff")
    app.write("fixed", "")
    assert f"{command}ed bad.1" in app.ok(command, "bad")
    assert app.instances()["bad.1"]["state"] == "running"
    supervisor.stop()


def test_a_stop_cancels_the_wait_too(app: App) -> None:
    app.write("Procfile", f"bad: sh -c 'echo tried; exit 1'\nweb: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("tried", 2)
    app.until(lambda found: found["bad.1"]["state"] == "backoff")
    app.ok("stop", "bad.1")
    assert app.instances()["bad.1"]["state"] == "stopped"
    supervisor.stop()


# restart


def test_restart_replaces_types_instances_or_all(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {READY}\n")
    supervisor = app.start("-m", "worker=2")

    def pids() -> dict[str, int]:
        return {name: each["pid"] for name, each in app.until_running("web.1", "worker.1", "worker.2").items()}

    def changed(before: dict[str, int], after: dict[str, int]) -> list[str]:
        assert not any(alive(before[name]) for name in before if before[name] != after[name])
        return [name for name in before if before[name] != after[name]]

    first = pids()
    assert app.ok("restart", "worker.2").strip() == "restarted worker.2"
    second = pids()
    assert changed(first, second) == ["worker.2"]
    app.ok("restart", "worker")
    third = pids()
    assert changed(second, third) == ["worker.1", "worker.2"]
    app.ok("restart")
    assert changed(third, pids()) == ["web.1", "worker.1", "worker.2"]
    assert all(each["restarts"] == 0 for each in app.instances().values())  # those that nobody asked for are counted
    supervisor.stop()


def test_rolling_says_nothing_of_whom_a_reload_has_removed_meanwhile(app: App) -> None:
    # The worker stays until it is let go: the rolling restart cannot be over before the reload.
    worker = """sh -c 'trap "" TERM; echo ready; until [ -e go ]; do sleep 0.01; done'"""
    app.write("Procfile", f"web: {READY}\nworker: {worker}\n")
    supervisor = app.start("--grace", "600")
    supervisor.wait_for("worker.1 +\\| ready")
    app.until_running("web.1", "worker.1")
    with ThreadPoolExecutor() as pool:
        rolling = pool.submit(app.ok, "restart", "--rolling")
        supervisor.wait_for("web.1 +\\| ready", 2)
        app.write("Procfile", f"web: {READY}\n")
        app.ok("reload")
        app.write("go", "")
        assert rolling.result() == "restarted web.1\n"
    assert supervisor.stop() == 0


def test_rolling_takes_one_at_a_time(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("-m", "web=3")
    seen: list[dict[str, Any]] = [app.until_running("web.1", "web.2", "web.3")]
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.append(app.instances())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        assert "restarted web.1, web.2, web.3" in app.ok("restart", "web", "--rolling")
    finally:
        over.set()
        watcher.join()
    assert min(sum(each["state"] == "running" for each in found.values()) for found in seen) >= 2
    assert len({found["web.3"]["pid"] for found in (seen[0], app.instances())}) == 2
    supervisor.wait_for(r"web\.3 started", 2)
    told = re.findall(r"procsup +\| (web\.\d) (stopping|stopped|started)", supervisor.text)
    assert told[3:] == [(f"web.{number}", did) for number in (1, 2, 3) for did in ("stopping", "stopped", "started")]
    supervisor.stop()


def test_a_restart_while_it_is_being_stopped_brings_it_back_when_it_is_gone(app: App) -> None:
    app.write("Procfile", f"deaf: {DEAF}\n")
    supervisor = app.start("--grace", "1")
    supervisor.wait_for("deaf deaf.1")
    before = app.instances()["deaf.1"]["pid"]
    stopping = threading.Thread(target=app.run, args=("stop", "deaf"))
    stopping.start()
    app.until(lambda found: found["deaf.1"]["state"] == "stopping")
    assert alive(before)
    assert "restarted deaf.1" in app.ok("restart", "deaf")
    assert not alive(before)  # never two of them
    stopping.join()
    assert app.instances()["deaf.1"]["state"] == "running"
    supervisor.stop()


# stop


@pytest.mark.parametrize("policy", ["always", "on-failure", "never"])
def test_what_was_stopped_stays_stopped_whatever_the_policy_and_the_formation_stays(app: App, policy: str) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {READY}\n")
    supervisor = app.start("--restart", policy, "-m", "worker=2")
    app.until_running("web.1", "worker.1", "worker.2")
    assert app.ok("stop", "worker.1", "web").strip() == "stopped worker.1, web.1"
    found = app.instances()
    assert {name: each["state"] for name, each in found.items()} == {
        "web.1": "stopped",
        "worker.1": "stopped",
        "worker.2": "running",
    }
    assert found["web.1"]["why"] == "stopped by request; procsup start web.1 brings it back"
    assert app.status()["formation"] == {"web": 1, "worker": 2}
    app.ok("stop", "worker")  # stopped by hand counts as still wanted: it stays, with nothing running
    assert supervisor.process.poll() is None
    app.ok("start", "web")
    app.ok("restart", "worker.2")
    assert {name: each["state"] for name, each in app.instances().items()} == {
        "web.1": "running",
        "worker.1": "stopped",
        "worker.2": "running",
    }
    assert supervisor.stop() == 0


def test_stop_returns_only_when_nothing_of_it_is_left(app: App) -> None:
    app.write("Procfile", "web: sh -c 'trap \"\" TERM; sleep 1000 & echo left $!; trap - TERM; wait'\n")
    supervisor = app.start("--grace", "0.5")
    deaf = int(supervisor.wait_for(r"left (\d+)")[1])
    leader = app.instances()["web.1"]["pid"]
    app.ok("stop", "web")
    assert not alive(leader)
    assert not alive(deaf)
    supervisor.stop()


@pytest.mark.parametrize("command", ["stop", "restart", "start"])
def test_an_unknown_name_is_an_error_that_changes_nothing(app: App, command: str) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {READY}\n")
    supervisor = app.start()
    before = app.until_running("web.1", "worker.1")
    for name, meant in (("wroker", "worker"), ("web.2", "web.1"), ("web.x", "web")):
        done = app.run(command, "web", name)
        assert done.returncode == 2
        assert f'"{name}"' in done.stderr
        assert f'did you mean "{meant}' in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert {name: each["pid"] for name, each in app.instances().items()} == {
        name: each["pid"] for name, each in before.items()
    }
    supervisor.stop()


# Storms


def test_in_a_storm_of_kills_the_count_and_the_numbers_are_always_right(either_way: App) -> None:
    either_way.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")
    supervisor = either_way.start("-m", "all=10")
    names = sorted(f"{name}.{number}" for name in ("web", "worker") for number in range(1, 11))
    first = either_way.until_running(*names)
    dice = random.Random(12)  # noqa: S311
    deaths = 0
    enough = time.monotonic() + 3
    while time.monotonic() < enough:
        found = either_way.instances()
        assert sorted(found) == names
        for name, each in found.items():
            assert all(each[key] == first[name][key] for key in ("number", "port", "unique_int"))
        running = [each["pid"] for each in found.values() if each["pid"] is not None]
        assert len(set(running)) == len(running)
        assert len(children_of(supervisor.pid)) <= 20
        for pid in dice.sample(running, min(3, len(running))):
            try:
                os.kill(pid, signal.SIGKILL)
                deaths += 1
            except ProcessLookupError:
                pass  # killed in the last round, and since replaced
    assert deaths >= 20
    either_way.ok("restart")
    found = either_way.until_running(*names)
    assert sorted(children_of(supervisor.pid)) == sorted(each["pid"] for each in found.values())
    assert supervisor.stop() == 0


@pytest.mark.parametrize("early", [0.0, 0.05, 0.1])
def test_what_dies_of_sigterm_just_before_the_supervisor_gets_its_own_is_not_restarted(
    app: App, monkeypatch: pytest.MonkeyPatch, early: float
) -> None:
    monkeypatch.setattr("tests.e2e.app.COMMAND", LONG_IN_DOUBT)
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("-m", "web=5")
    supervisor.wait_for("ready", 5)
    for pid in children_of(supervisor.pid):
        os.kill(pid, signal.SIGTERM)
    time.sleep(early)  # not for anything to happen: how late the supervisor's own is, is the matter of this test
    assert supervisor.stop() == 0
    assert supervisor.text.count("ready web") == 5
    assert supervisor.text.count(" started, pid") == 5
