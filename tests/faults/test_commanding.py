"""Many commands, two supervisors, a socket that vanishes, and a lock that lies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.app import COMMAND, App, Supervisor, alive
from tests.faults.watching import DEAF, NOISE, READY, until, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")


def _command(app: App, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=app.folder,
        env=app.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_f34_ten_commands_at_once_are_all_obeyed(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready", 2)
    commands = [_command(app, "scale", f"{name}=+1", "--wait") for name in ("web", "worker") for _ in range(5)]
    assert [each.wait(20) for each in commands] == [0] * 10
    app.until_running(*(f"{name}.{number}" for name in ("web", "worker") for number in range(1, 7)))
    assert supervisor.stop() == 0


def test_f34_the_job_of_a_killed_client_is_done_to_its_end(app: App) -> None:
    app.write("Procfile", f"deaf: {DEAF}\nweb: {READY}\n")
    supervisor = app.start("--grace", "1")
    supervisor.wait_for("ready", 2)
    client = _command(app, "restart", "deaf")
    supervisor.wait_for(r"deaf\.1 stopping")
    client.kill()
    client.wait(20)
    assert app.instances()["web.1"]["state"] == "running"  # nobody waits for it
    supervisor.wait_for("ready", 3)
    app.until_running("deaf.1", "web.1")
    assert supervisor.stop() == 0


def _first_to_end(supervisors: list[Supervisor]) -> list[Supervisor]:
    def ended() -> list[Supervisor]:
        return [each for each in supervisors if each.process.poll() is not None]

    until(lambda: bool(ended()))
    return ended()


def test_f35_of_two_starts_at_once_one_wins_and_the_other_names_it(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    for _ in range(20):
        both = [app.start(), app.start()]
        [loser] = _first_to_end(both)
        [winner] = [each for each in both if each is not loser]
        assert loser.end() == 3, loser.text
        assert str(winner.pid) in loser.text
        assert str(app.folder) in loser.text
        assert "started" not in loser.text
        winner.wait_for("ready")
        assert winner.stop() == 0
        assert winner.text.count("web.1 started") == 1


@pytest.mark.parametrize("whole_folder", [False, True])
def test_f36_a_socket_that_was_removed_is_made_again(app: App, whole_folder: bool) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    app.until_running("web.1")
    run = Path(os.environ["PROCSUP_STATE_DIR"], "run")
    [socket] = run.glob("*.sock")
    shutil.rmtree(run) if whole_folder else socket.unlink()
    with within(5 + NOISE):
        app.until_running("web.1")
    app.ok("shutdown")
    assert supervisor.end() == 0


def test_f37_a_lock_with_the_pid_of_somebody_else_is_no_obstacle_and_he_is_left_alone(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    first = app.start()
    first.wait_for("ready")
    first.send(signal.SIGKILL)
    first.end()
    [lock] = [path for path in Path(os.environ["PROCSUP_STATE_DIR"]).rglob("*lock*") if path.is_file()]
    text = lock.read_text()
    assert str(first.pid) in text
    with subprocess.Popen(["sleep", "1000"]) as somebody:
        try:
            lock.write_text(text.replace(str(first.pid), str(somebody.pid)))
            second = app.start()
            second.wait_for("ready")
            assert second.stop() == 0
            assert alive(somebody.pid)
        finally:
            somebody.kill()


def _scale(app: App, count: int) -> None:
    app.ask("scale", changes=[{"type": "web", "relative": False, "count": count}])


def test_f38_however_fast_it_is_scaled_it_comes_to_the_last_word_and_nobody_runs_twice(app: App) -> None:
    # Each holds a folder of its name for as long as it runs.
    app.write("web", "mkdir $PS || echo twice\ntrap 'rmdir $PS; exit' TERM\necho ready\nwhile :; do sleep 0.05; done\n")
    app.write("Procfile", "web: sh web\n")
    supervisor = app.start("-m", "web=3")
    supervisor.wait_for("ready", 3)
    pid = app.instances()["web.1"]["pid"]
    for count in (10, 1):
        _scale(app, count)
    assert app.instances()["web.1"]["pid"] == pid
    for count in (0, 3):  # the others are still being stopped
        _scale(app, count)
    app.until_running("web.1", "web.2", "web.3")
    until(lambda: supervisor.text.count("| ready") == supervisor.text.count(" started, pid "))
    assert supervisor.stop() == 0
    assert "twice" not in supervisor.text


def test_f38_scaling_in_a_backoff_ends_the_wait(app: App) -> None:
    app.write("Procfile", "web: sh -c 'if [ -e good ]; then echo ready; exec sleep 1000; fi; exit 1'\n")
    supervisor = app.start("-m", "web=3")
    app.until(lambda found: [each["state"] for each in found.values()] == ["backoff"] * 3)
    app.write("good", "")
    for count in (10, 1, 0, 3):
        _scale(app, count)
    app.until_running("web.1", "web.2", "web.3")
    assert supervisor.stop() == 0
