"""procsup as PID 1 of a container: its stops, its signals, and everybody's orphans."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import app as terminal
from tests.e2e.pid_one import UNSHARE, Container
from tests.e2e.screen import Screen

# The very tests of any supervisor's stops, but for those that signal a pid that they were told.
from tests.e2e.test_start_and_stop import (  # noqa: F401
    DEAF,
    READY,
    test_a_closed_terminal_stops_everything,
    test_a_command_that_comes_too_late_has_failed_and_is_no_wrong_usage,
    test_a_deaf_member_that_outlives_its_leader_is_killed,
    test_a_process_that_ignores_sigterm_is_killed_when_its_grace_is_over,
    test_a_second_signal_kills_at_once,
    test_all_types_of_the_procfile_run_and_sigterm_ends_them_with_exit_code_0,
    test_ctrl_backslash_leaves_nothing_behind,
    test_ctrl_c_ends_them_with_exit_code_130,
    test_everything_in_the_process_group_ends_with_it,
    test_keep_going_lets_the_others_end_on_their_own,
    test_start_ends_by_itself_when_all_have_ended_well,
    test_start_with_a_name_starts_what_is_stopped_in_the_running_supervisor,
    test_the_exit_code_is_the_shells_for_signals_and_for_what_cannot_run,
    test_the_last_line_names_whom_it_had_to_kill,
    test_while_it_waits_it_says_who_holds_it_up_and_until_when,
    test_with_restart_never_the_first_failure_stops_the_rest_and_is_the_exit_code,
)
from tests.faults.needs import needs, works
from tests.faults.watching import NOISE, children, until, within, zombies

pytestmark = needs(works(*UNSHARE, "true"), "may not make a PID namespace here")


@pytest.fixture
def app(tmp_path: Path, nothing_left_behind: None) -> Iterator[Container]:
    app = Container(tmp_path / "app")
    try:
        yield app
    finally:
        app.clean_up()


def _is_caught(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_a_signal_that_comes_before_anything_was_started_ends_it(app: Container, number: int) -> None:
    """The kernel drops what a PID 1 has no handler for, and `docker stop` would wait its ten seconds."""
    supervisor = app.start("-f", "-", stdin=subprocess.PIPE)  # as long as nobody writes it, the Procfile is not read
    until(lambda: _is_caught(supervisor.pid, signal.SIGTERM))
    with within(1 + NOISE):
        code = supervisor.stop(number)
    assert supervisor.process.stdin is not None
    supervisor.process.stdin.close()
    assert code == 128 + number
    assert supervisor.text == ""


def test_sigterm_among_the_first_children_stops_them_all(app: Container) -> None:
    app.write("Procfile", "".join(f"web{n}: sh -c 'exec sleep 1000'\n" for n in range(20)))
    supervisor = app.start()
    until(lambda: len(children(supervisor.pid)) > 3)
    with within(5 + NOISE):
        assert supervisor.stop() == 0
    assert re.search(r"\d+ stopped, 0 killed, 0 left", supervisor.text)


def test_orphans_that_ended_before_the_loop_ran_are_reaped_too(app: Container) -> None:
    app.write("Procfile", "web: sh -c '(setsid true &); (setsid sleep 0.01 &); echo ready; exec sleep 1000'\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    until(lambda: len(children(supervisor.pid)) == 2, bound=1 + NOISE)  # the instance and the guardian
    assert supervisor.stop() == 0


def test_exit_codes_are_those_of_the_instances_among_dying_orphans(app: Container) -> None:
    codes = range(10, 20)
    orphans = 'for i in 1 2 3 4 5; do (setsid sh -c "sleep 0.0$i; exit 99" &); done'
    app.write("Procfile", "".join(f"job{code}: sh -c '{orphans}; exit {code}'\n" for code in codes))
    supervisor = app.start("--restart", "on-failure")
    for code in codes:
        supervisor.wait_for(rf"job{code}\.1 ended: exit {code} ", 2)  # twice: each comes back once, at once
    until(lambda: not zombies(supervisor.pid), bound=1 + NOISE)
    assert supervisor.stop() == 0
    ends = set(re.findall(r"job(\d+)\.1 ended: exit (\d+)", supervisor.text))
    assert ends == {(str(code), str(code)) for code in codes}


def test_a_daemon_ends_when_its_instance_is_stopped(app: Container) -> None:
    daemon = 'setsid sh -c "sleep 1000 >/dev/null 2>&1 </dev/null & echo ready"'
    app.write("Procfile", f"web: sh -c '{daemon}; exec sleep 1000'\nother: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready", 2)
    until(lambda: len(children(supervisor.pid)) == 4)  # the daemon comes to us when who has started it has ended
    assert "stopped web.1" in app.ok("stop", "web")
    until(lambda: len(children(supervisor.pid)) == 2, bound=1 + NOISE)  # with the dead, who are buried a moment later
    assert supervisor.stop() == 0
    assert "0 left" in supervisor.text


def test_if_it_is_killed_the_kernel_ends_all_and_the_next_start_is_clean(app: Container) -> None:
    app.write("Procfile", f"web: {DEAF}\nworker: sh -c '(setsid sleep 1000 &); echo ready; exec sleep 1000'\n")
    for _ in range(2):
        supervisor = app.start()
        supervisor.wait_for("ready", 2)
        inside = children(supervisor.pid)
        assert len(inside) == 4  # with the guardian, which dies as the others do
        with within(1 + NOISE):
            assert supervisor.stop(signal.SIGKILL) != 0
        assert not any(os.path.exists(f"/proc/{pid}") for pid in inside)
    supervisor = app.start("--grace", "0.2")
    supervisor.wait_for("ready", 2)
    assert len(app.instances()) == 2
    assert supervisor.stop() == 0
    assert "the last supervisor was killed" not in supervisor.text


def test_an_instance_can_ask_for_the_end_but_not_kill_it(app: Container) -> None:
    app.write(
        "Procfile", "web: sh -c 'kill -KILL 1; echo ready; until [ -e go ]; do sleep 0.01; done; kill 1; read x'\n"
    )
    supervisor = app.start()
    supervisor.wait_for("ready")
    app.write("go", "")
    assert supervisor.end() == 0


def test_sighup_reloads_and_sigusr1_opens_the_log_files_again(app: Container) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("--log-dir", "log")
    supervisor.wait_for("ready web.1")
    log = app.folder / "log/web.1.log"
    until(log.exists)
    log.rename(log.with_suffix(".old"))
    supervisor.send(signal.SIGUSR1)
    app.write("Procfile", f"web: {READY}\nworker: {READY}\n")
    supervisor.send(signal.SIGHUP)
    supervisor.wait_for("ready worker.1")
    app.ok("restart", "web")
    until(lambda: log.exists() and "ready web.1" in log.read_text())
    assert supervisor.stop() == 0


def test_commands_from_inside_and_from_outside_reach_it(app: Container) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    status = app.status()
    assert status["pid"] == 1
    assert [each["state"] for each in status["instances"]] == ["running"]
    assert "started web.2" in app.ok("scale", "web=2", "--wait")
    assert len(app.instances()) == 2  # this one asks from outside
    again = app.run("start")
    assert again.returncode == 3
    assert "pid 1" in again.stderr
    app.run("shutdown")  # it is in there, and gone with all the others before it can say so
    assert supervisor.end() == 0


def test_ctrl_c_at_the_containers_terminal_ends_it(app: Container) -> None:
    app.write("Procfile", f"web: {READY}\n")
    screen = Screen(app, *UNSHARE, *terminal.COMMAND, "start")
    try:
        screen.wait_for("ready web.1")
        screen.type("\x03")
        screen.wait_for("1 stopped, 0 killed, 0 left")
        assert screen.end() == 130
    finally:
        screen.close()


def test_it_becomes_another_version_and_is_stopped_by_the_same_signals(app: Container) -> None:
    app.write("Procfile", "web: sh -c 'sleep 0.01 & echo ready; exec sleep 1000'\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    before = app.instances()["web.1"]["pid"]
    for _ in range(2):
        app.ok("upgrade")
        supervisor.send(signal.SIGWINCH)
    assert app.instances()["web.1"]["pid"] == before
    until(lambda: not zombies(supervisor.pid))
    assert supervisor.stop() == 0
    assert "1 stopped, 0 killed, 0 left" in supervisor.text


def test_detach_is_refused_as_it_would_end_the_container(app: Container) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("--detach")
    assert supervisor.end() == 2
    assert "--detach would end this container" in supervisor.text


def test_a_proc_of_another_namespace_is_refused(app: Container) -> None:
    app.write("Procfile", f"web: {READY}\n")
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", *terminal.COMMAND, "start"],
        cwd=app.folder,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "/proc is that of another PID namespace" in done.stderr
    assert "ready" not in done.stdout
