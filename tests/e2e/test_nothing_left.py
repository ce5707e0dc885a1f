"""Whatever the processes do to get away: nothing of them is left."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.app import App, Supervisor, alive

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux's sub-reaper and /proc")

READY = "sh -c 'echo ready $PS; exec sleep 1000'"
# A daemon as they are made: another session, the first parent gone, and nothing of ours left open.
DAEMON = (
    "sh -c 'setsid sh -c \"sleep 1000 >/dev/null 2>&1 </dev/null & echo daemon \\$!\"; echo ready; exec sleep 1000'"
)


def daemon_of(supervisor: Supervisor, times: int = 1) -> int:
    return int(supervisor.wait_for(r"daemon (\d+)", times)[1])


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
    os.kill(app.until_running("web.1")["web.1"]["pid"], signal.SIGKILL)
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
    app.write("away", "echo daemon $$; exec sleep 1000\n")
    app.write("Procfile", "web: sh -c 'env -i setsid sh away & until [ -e go ]; do sleep 0.01; done; exit 1'\n")
    supervisor = app.start("--restart", "never", "--keep-going")
    daemon = daemon_of(supervisor)
    app.until_running("web.1")
    app.write("go", "")
    assert supervisor.end() == 1
    assert "had got away" in supervisor.text
    assert not alive(daemon)


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
