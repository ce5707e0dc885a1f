"""Whatever the processes do to get away, and however the supervisor ends: nothing of them is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.app import App, Supervisor, alive

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux's sub-reaper and /proc")

READY = "sh -c 'echo ready $PS; exec sleep 1000'"
# A daemon as they are made: another session, the first parent gone, and nothing of ours left open.
DAEMON = (
    "sh -c 'setsid sh -c \"sleep 1000 >/dev/null 2>&1 </dev/null & echo daemon \\$!\"; echo ready; exec sleep 1000'"
)
DEAF = """sh -c 'trap "" TERM; echo ready $PS; while :; do sleep 1000; done'"""


def guardian_of(supervisor: Supervisor) -> int:
    children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
    [guardian] = [int(pid) for pid in children if b"procsup-guardian" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return guardian


def daemon_of(supervisor: Supervisor, times: int = 1) -> int:
    return int(supervisor.wait_for(r"daemon (\d+)", times)[1])


def start_again(app: App) -> None:
    """What was left of the last supervisor is no obstacle, and nothing runs twice."""
    supervisor = app.start("--grace", "0.5")
    supervisor.wait_for("ready web.1")
    assert supervisor.text.count("web.1 started") == 1
    assert supervisor.stop() == 0


def test_a_daemon_ends_when_its_instance_is_stopped(app: App) -> None:
    app.write("Procfile", f"web: {DAEMON}\n")
    supervisor = app.start()
    daemon = daemon_of(supervisor)
    supervisor.wait_for("ready")
    assert alive(daemon)
    assert "stopped web.1" in app.ok("stop", "web")
    assert not alive(daemon)
    supervisor.stop()


def test_a_daemon_ends_before_the_next_copy_starts(app: App) -> None:
    app.write("Procfile", f"web: {DAEMON}\n")
    supervisor = app.start()
    daemon = daemon_of(supervisor)
    supervisor.wait_for("ready")
    os.kill(app.instances()["web.1"]["pid"], signal.SIGKILL)
    daemon_of(supervisor, 2)
    assert not alive(daemon)
    assert supervisor.stop() == 0


def test_a_deaf_daemon_is_killed_with_its_instance(app: App) -> None:
    deaf = 'trap \\"\\" TERM; echo daemon \\$\\$; while :; do sleep 1000; done'
    app.write("Procfile", f"""web: sh -c 'setsid sh -c "{deaf}" & exec sleep 1000'\n""")
    supervisor = app.start("--grace", "0.5")
    daemon = daemon_of(supervisor)
    app.ok("stop", "web")
    assert not alive(daemon)
    assert supervisor.stop() == 0


def test_who_clears_its_environment_and_leaves_every_group_is_found_at_the_end(app: App) -> None:
    app.write("Procfile", "web: sh -c 'env -i setsid sleep 1000 & echo daemon $!; sleep 0.1; exit 1'\n")
    supervisor = app.start("--restart", "never", "--keep-going")
    daemon = daemon_of(supervisor)
    assert supervisor.end() == 1
    assert "had got away" in supervisor.text
    assert not alive(daemon)


def test_when_the_supervisor_is_killed_its_guardian_stops_everything(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {DAEMON}\n")
    supervisor = app.start()
    daemon = daemon_of(supervisor)
    supervisor.wait_for("ready", 2)
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait_for("the supervisor was killed; stopped the 3 processes it left")
    supervisor.end()
    assert not alive(daemon)
    start_again(app)


def test_the_guardian_kills_what_is_deaf_when_the_grace_is_over(app: App) -> None:
    app.write("Procfile", f"web: {DEAF}\n")
    supervisor = app.start("--grace", "0.5")
    supervisor.wait_for("ready")
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.end()  # its output ends when the last of them is gone
    start_again(app)


def test_signals_to_all_of_us_do_not_end_the_guardian_before_its_time(app: App) -> None:
    app.write("Procfile", f"web: {DEAF}\n")
    supervisor = app.start("--grace", "0.5")
    supervisor.wait_for("ready")
    guardian = guardian_of(supervisor)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(guardian, number)
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait_for("stopped the")
    supervisor.end()
    start_again(app)


def test_with_supervisor_and_guardian_killed_the_next_start_sweeps_first(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {DAEMON}\n")
    first = app.start()
    daemon = daemon_of(first)
    first.wait_for("ready", 2)
    left = [each["pid"] for each in app.instances().values()]
    os.kill(guardian_of(first), signal.SIGKILL)
    os.kill(first.pid, signal.SIGKILL)
    first.process.wait(20)
    assert all(alive(pid) for pid in (*left, daemon))
    second = app.start()
    second.wait_for("ready", 2)
    assert "the last supervisor was killed and left 3 processes, which were stopped first" in second.text
    assert not any(alive(pid) for pid in (*left, daemon))
    assert [each["state"] for each in app.instances().values()] == ["running", "running"]
    assert second.stop() == 0


def test_after_a_clean_end_there_is_nothing_to_sweep(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    for _ in range(2):
        supervisor = app.start()
        supervisor.wait_for("ready")
        assert supervisor.stop() == 0
        assert "the last supervisor" not in supervisor.text


def test_zombies_that_it_adopts_are_reaped(app: App) -> None:
    app.write("Procfile", "web: sh -c '(setsid sleep 0.1 & echo daemon $!); echo ready; exec sleep 1000'\n")
    supervisor = app.start()
    daemon = daemon_of(supervisor)
    app.until(lambda _: not os.path.exists(f"/proc/{daemon}"))
    assert supervisor.stop() == 0
