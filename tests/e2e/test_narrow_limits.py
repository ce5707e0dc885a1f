"""When descriptors run out: as many as fit run, the rest wait and say why, and commands are still answered."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.app import App


def narrow(soft: int, hard: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(params=["", "1"], ids=["posix_spawn and pidfds", "fork and SIGCHLD"])
def either_way(request: pytest.FixtureRequest, app: App) -> App:
    app.environment["PROCSUP_PORTABLE"] = request.param
    return app


def test_as_many_as_fit_run_and_the_rest_back_off_and_say_why(either_way: App) -> None:
    either_way.write("Procfile", "web: sleep 1000\n")
    supervisor = either_way.start("-m", "web=60", preexec_fn=narrow(64, 64))
    found = either_way.until(
        lambda found: len(found) == 60 and all(each["state"] in ("running", "backoff") for each in found.values())
    )
    running = [name for name, each in found.items() if each["state"] == "running"]
    waiting = [each for each in found.values() if each["state"] == "backoff"]
    assert len(running) >= 4
    assert waiting
    assert all("Too many open files" in each["why"] and "next try in" in each["why"] for each in waiting)
    assert "web.1 " in either_way.ok("status")  # the socket still answers, with everything in it
    either_way.ok("scale", "web=4", "--wait")
    either_way.ok("restart")  # with room again, all of them run
    either_way.until_running("web.1", "web.2", "web.3", "web.4")
    assert supervisor.stop() == 0
    assert "Traceback" not in supervisor.text


def test_clients_that_hold_the_reserve_end_nothing(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start("-m", "web=60", preexec_fn=narrow(64, 64))
    found = app.until(
        lambda found: len(found) == 60 and all(each["state"] in ("running", "backoff") for each in found.values())
    )
    (path,) = Path(app.environment["PROCSUP_STATE_DIR"]).rglob("*.sock")
    held = []
    for _ in range(40):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        held.append(connection)
    supervisor.wait_for(r"web\.\d+ could not be started: Too many open files", 100)  # it tries again, and again
    for connection in held:
        connection.close()
    after = app.until(lambda after: bool(after))
    before = {name: each["pid"] for name, each in found.items() if each["state"] == "running"}
    assert {name: after[name]["pid"] for name in before} == before
    assert supervisor.stop() == 0
    assert "Traceback" not in supervisor.text


def test_the_soft_limit_is_raised_for_procsup_and_kept_for_the_children(either_way: App) -> None:
    either_way.write("Procfile", "web: sh -c 'echo limit $(ulimit -n); exec sleep 1000'\n")
    supervisor = either_way.start("-m", "web=80", preexec_fn=narrow(64, 4096))
    either_way.until(lambda found: len(found) == 80 and all(each["state"] == "running" for each in found.values()))
    supervisor.wait_for("limit 64$", 80)
    for count in (40, 90, 30, 95):
        assert "warning" not in either_way.ok("scale", f"web={count}", "--wait")
    assert {each["restarts"] for each in either_way.instances().values()} == {0}
    assert supervisor.stop() == 0
