"""Starting a Procfile, and ending it in all the ways it can end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from tests.e2e.app import App, alive

READY = "sh -c 'echo ready $PS; exec sleep 1000'"
DEAF = """sh -c 'trap "" TERM; echo ready $PS; while :; do sleep 1000; done'"""
# Who dies of SIGTERM is not restarted at once, as the supervisor's own may be on its way: for a quarter of a second,
# in which a busy machine may not get round to sending it.
LONG_IN_DOUBT = (
    sys.executable,
    "-c",
    "import sys; from procsup.core import lifecycle; lifecycle.MAYBE_SHUTDOWN = 15.0; sys.argv[0] = 'procsup'\n"
    "from procsup.__main__ import main; sys.exit(main())",
)


def test_all_types_of_the_procfile_run_and_sigterm_ends_them_with_exit_code_0(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for(r"web\.1 +\| ready web\.1$")
    supervisor.wait_for(r"worker\.1 +\| ready worker\.1$")
    assert supervisor.stop() == 0
    assert "2 stopped, 0 killed, 0 left" in supervisor.text


def test_ctrl_c_ends_them_with_exit_code_130(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    assert supervisor.stop(signal.SIGINT) == 130


def test_a_process_that_ignores_sigterm_is_killed_when_its_grace_is_over(app: App) -> None:
    app.write("Procfile", f"deaf: {DEAF}\nweb: {READY}\n")
    supervisor = app.start("--grace", "1")
    supervisor.wait_for("ready", 2)
    assert supervisor.stop() == 0
    assert "web.1 stopped" in supervisor.text
    killed = re.search(r"deaf\.1 killed after ([\d.]+) s", supervisor.text)
    assert killed is not None
    assert float(killed[1]) >= 1
    assert "1 stopped, 1 killed after" in supervisor.text


def test_a_second_signal_kills_at_once(app: App) -> None:
    app.write("Procfile", f"deaf: {DEAF}\n")
    supervisor = app.start("--grace", "600")
    supervisor.wait_for("ready")
    supervisor.send(signal.SIGINT)
    supervisor.wait_for("stopping")
    assert supervisor.stop(signal.SIGINT) == 130
    assert "1 killed after" in supervisor.text


def test_while_it_waits_it_says_who_holds_it_up_and_until_when(app: App) -> None:
    app.write("Procfile", f"deaf: {DEAF}\n")
    supervisor = app.start("--grace", "600")
    supervisor.wait_for("ready")
    supervisor.send(signal.SIGTERM)
    supervisor.wait_for(r"waiting for deaf\.1 \(pid \d+, sh\): SIGKILL in \d+ s, Ctrl-C again to force")
    supervisor.stop()


def test_everything_in_the_process_group_ends_with_it(app: App) -> None:
    app.write("Procfile", "web: sh -c 'sleep 1000 & sleep 1000 & echo ready; wait'\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    assert supervisor.stop() == 0  # the leak check of every test looks for the two


def test_members_of_the_group_that_outlive_their_leader_are_stopped_before_the_next_copy_starts(app: App) -> None:
    app.write("Procfile", "web: sh -c 'sleep 1000 & echo left $!; exit 1'\n")
    supervisor = app.start()
    first = int(supervisor.wait_for(r"left (\d+)")[1])
    supervisor.wait_for(r"left (\d+)", 2)
    assert not alive(first)
    assert "left processes of its group running" in supervisor.text
    assert supervisor.stop() == 0


def test_a_deaf_member_that_outlives_its_leader_is_killed(app: App) -> None:
    app.write("Procfile", """web: sh -c '(trap "" TERM; echo deaf; sleep 1000) & sleep 0.2; exit 0'\n""")
    supervisor = app.start("--restart", "never", "--grace", "0.3")
    assert supervisor.end() == 0


def test_a_stopped_process_hears_the_stop_signal(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("--grace", "600")
    supervisor.wait_for("ready")
    os.kill(app.instances()["web.1"]["pid"], signal.SIGSTOP)
    instances = app.until(lambda instances: instances["web.1"]["why"] is not None, usage=True)
    assert "stopped by a signal" in instances["web.1"]["why"]
    assert supervisor.stop() == 0


def test_only_the_named_types_run(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {READY}\n")
    supervisor = app.start("worker")
    supervisor.wait_for("ready worker.1")
    assert app.status()["formation"] == {"web": 0, "worker": 1}
    supervisor.stop()


def test_a_second_start_names_the_first_and_exits_3(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    again = app.run("start")
    assert again.returncode == 3
    assert str(supervisor.pid) in again.stderr
    assert str(app.folder) in again.stderr
    supervisor.stop()


def test_start_with_a_name_starts_what_is_stopped_in_the_running_supervisor(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    assert "stopped web.1" in app.ok("stop", "web")
    assert app.instances()["web.1"]["state"] == "stopped"
    assert "started web.1" in app.ok("start", "web")
    assert app.instances()["web.1"]["state"] == "running"
    supervisor.stop()


@pytest.mark.parametrize("policy", ["on-failure", "never"])
def test_start_ends_by_itself_when_all_have_ended_well(app: App, policy: str) -> None:
    app.write("Procfile", "a: true\nb: sh -c 'echo done'\n")
    supervisor = app.start("--restart", policy)
    assert supervisor.end() == 0
    assert re.search(r"b\.1 +\| done$", supervisor.text, re.MULTILINE)


def test_with_restart_never_the_first_failure_stops_the_rest_and_is_the_exit_code(app: App) -> None:
    app.write("Procfile", f"web: {READY}\njob: sh -c 'exit 7'\n")
    supervisor = app.start("--restart", "never")
    assert supervisor.end() == 7
    assert "job.1 failed; stopping" in supervisor.text


def test_keep_going_lets_the_others_end_on_their_own(app: App) -> None:
    app.write("Procfile", "slow: sh -c 'read line; sleep 0.5; echo slow is done' < Procfile\njob: sh -c 'exit 7'\n")
    supervisor = app.start("--restart", "never", "--keep-going")
    assert supervisor.end() == 7
    assert "slow is done" in supervisor.text


@pytest.mark.parametrize(
    ("command", "code"), [("sh -c 'kill -9 $$'", 137), ("no-such-program", 127), ("./Procfile", 126)]
)
def test_the_exit_code_is_the_shells_for_signals_and_for_what_cannot_run(app: App, command: str, code: int) -> None:
    app.write("Procfile", f"job: {command}\n")
    assert app.start("--restart", "never").end() == code


def test_a_command_that_does_not_exist_is_named_and_the_others_start(app: App) -> None:
    app.write("Procfile", f"bad: no-such-program --x\nweb: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready web.1")
    supervisor.wait_for(r"bad\.1 could not be started: no-such-program: ")
    bad = app.until(lambda instances: instances["bad.1"]["state"] == "backoff")["bad.1"]
    assert "no-such-program" in bad["why"]
    assert "next try in" in bad["why"]
    supervisor.stop()


def test_a_reader_that_has_seen_enough_ends_it_cleanly(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    done = subprocess.run(  # noqa: S602 (the pipe is the point)
        "procsup start | head -1",
        shell=True,
        cwd=app.folder,
        env=app.environment | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "started" in done.stdout or "ready" in done.stdout
    assert done.stderr == ""


def test_detach_returns_when_the_formation_is_up_and_shutdown_ends_it(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    said = app.ok("start", "--detach")
    assert "runs in the background" in said
    status = app.status()
    assert [each["state"] for each in status["instances"]] == ["running"]
    app.ok("shutdown")
    assert not alive(status["pid"])
    assert app.run("status").returncode == 3


def test_detach_says_what_did_not_come_up(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nbad: sh -c 'exit 4'\n")
    done = app.run("start", "--detach")
    assert done.returncode == 1
    assert "bad.1" in done.stderr
    assert "web.1" not in done.stderr
    app.ok("shutdown")


def test_detach_with_a_supervisor_already_there_exits_3(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    app.ok("start", "--detach")
    assert app.run("start", "--detach").returncode == 3
    app.ok("shutdown")


def test_a_closed_terminal_stops_everything(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    supervisor.send(signal.SIGHUP)  # without a terminal to lose, SIGHUP means reload
    supervisor.wait_for("reloaded")
    assert supervisor.stop() == 0


def test_a_supervisor_whose_state_folder_was_removed_still_holds_its_root(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    shutil.rmtree(os.environ["PROCSUP_STATE_DIR"])
    again = app.run("start")
    assert again.returncode == 3
    assert "not to be found" in again.stderr
    assert "ready" not in again.stdout
    supervisor.stop()


def test_ctrl_backslash_leaves_nothing_behind(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    assert supervisor.stop(signal.SIGQUIT) == 128 + signal.SIGQUIT


def test_the_last_line_names_whom_it_had_to_kill(app: App) -> None:
    app.write("Procfile", f"deaf: {DEAF}\nweb: {READY}\n")
    supervisor = app.start("--grace", "1")
    supervisor.wait_for("ready", 2)
    pid = app.instances()["deaf.1"]["pid"]
    supervisor.stop()
    assert re.search(rf"1 stopped, 1 killed after [\d.]+ s \(deaf\.1, pid {pid}, sh\), 0 left", supervisor.text)


def test_a_formation_of_nobody_says_so_and_waits_to_be_scaled(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("-m", "web=0")
    supervisor.wait_for("nothing runs: .*procsup scale NAME=1")
    app.ok("scale", "web=1")
    supervisor.wait_for("ready web.1")
    supervisor.stop()


@pytest.mark.parametrize("policy", ["always", "never"])
def test_a_sigterm_to_all_at_once_respawns_nothing_and_keeps_the_grace(
    app: App, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.setattr("tests.e2e.app.COMMAND", LONG_IN_DOUBT)
    slow = """sh -c 'trap "sleep 0.3; echo clean; exit 0" TERM; echo ready; while :; do sleep 0.05; done'"""
    app.write("Procfile", f"a: {READY}\nb: {slow}\n")
    supervisor = app.start("--restart", policy)
    supervisor.wait_for("ready", 2)
    os.kill(app.instances()["a.1"]["pid"], signal.SIGTERM)
    supervisor.wait_for(r"a\.1 ended")
    assert supervisor.stop() == 0
    assert "clean" in supervisor.text
    assert supervisor.text.count("a.1 started") == 1


def test_a_command_that_comes_too_late_has_failed_and_is_no_wrong_usage(app: App) -> None:
    app.write("Procfile", f"deaf: {DEAF}\n")
    supervisor = app.start("--grace", "600")
    supervisor.wait_for("ready")
    supervisor.send(signal.SIGTERM)
    supervisor.wait_for("stopping")
    late = app.run("scale", "deaf=2")
    assert late.returncode == 1
    assert "shutting down" in late.stderr
    assert supervisor.stop() == 0
