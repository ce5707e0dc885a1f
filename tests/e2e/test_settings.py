"""What procsup.toml says is done, by the installed command; and the command line wins over it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from pathlib import Path

from tests.e2e.app import App, Supervisor
from tests.e2e.refusal import refused

DIARY = shlex.join([sys.executable, "-I", str(Path(__file__).with_name("signal_diary.py"))])
READY = "sh -c 'echo ready; exec sleep 1000'"


def counts(app: App) -> dict[str, int]:
    formation = app.ask("formation")
    assert isinstance(formation, dict)
    return formation


def heard_by(supervisor: Supervisor, name: str) -> list[tuple[str, float]]:
    """The signals that the diary has noted, each with the seconds since the first."""
    found = re.findall(rf"{re.escape(name)} +\| got (\w+) after (.*)$", supervisor.text, re.MULTILINE)
    return [(word, float(after)) for word, after in found]


# How many


def test_count_is_how_many_run_until_somebody_scales_and_m_wins_over_both(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\nrelease: sleep 1000\n")
    app.write("procsup.toml", "[processes.worker]\ncount = 2\n[processes.release]\ncount = 1\n")
    first = app.start()
    app.until_running("web.1", "worker.1", "worker.2", "release.1")
    app.ok("scale", "worker=3", "--wait")
    first.stop()
    second = app.start()
    app.until_running("web.1", "worker.1", "worker.2", "worker.3", "release.1")
    second.stop()
    third = app.start("-m", "worker=1,release=0")
    app.until_running("web.1", "worker.1")
    third.stop()


def test_a_count_at_the_top_is_that_of_all(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")
    app.write("procsup.toml", "count = 2\n[processes.web]\ncount = 0\n")
    supervisor = app.start()
    app.until_running("worker.1", "worker.2")
    supervisor.stop()


def test_more_than_max_processes_are_refused_by_the_name_of_the_limit(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")
    app.write("procsup.toml", "max_processes = 3\n")
    supervisor = app.start("-m", "worker=2")
    app.until_running("web.1", "worker.1", "worker.2")
    said = refused(app.run("scale", "worker=3"))
    assert "4 instances in all are too many; max_processes in procsup.toml allows 3" in said
    assert counts(app) == {"web": 1, "worker": 2}
    app.ok("scale", "worker=1", "web=2", "--wait")
    supervisor.stop()
    assert "max_processes in procsup.toml allows 3" in refused(app.run("start", "-m", "web=4"))
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\nmail: sleep 1000\n")
    assert "max_processes in procsup.toml allows 3" in refused(app.run("check"))


# Restarts


def test_each_type_has_its_own_restart(app: App) -> None:
    app.write("Procfile", f"stays: {READY}\nleaves: true\nfails: sh -c 'exit 3'\ncomes: sh -c 'echo came; exit 0'\n")
    app.write(
        "procsup.toml",
        "restart = 'on-failure'\n[processes.fails]\nrestart = 'never'\n[processes.comes]\nrestart = 'always'\n",
    )
    supervisor = app.start()
    supervisor.wait_for("comes.1 +. came", 2)
    found = app.until(lambda found: {found["leaves.1"]["state"], found["fails.1"]["state"]} == {"exited"})
    assert found["stays.1"]["state"] == "running"
    assert found["leaves.1"]["restarts"] == found["fails.1"]["restarts"] == 0
    supervisor.stop()


def test_restart_on_the_command_line_wins(app: App) -> None:
    app.write("Procfile", "once: sh -c 'echo came'\n")
    app.write("procsup.toml", "restart = 'always'\n")
    supervisor = app.start("--restart", "never")
    assert supervisor.end() == 0
    assert len(re.findall(r"\| came$", supervisor.text, re.MULTILINE)) == 1


def test_more_restarts_than_max_restarts_within_the_window_and_it_is_given_up(app: App) -> None:
    app.write("Procfile", f"bad: sh -c 'echo tried; exit 4'\ngood: {READY}\n")
    app.write("procsup.toml", "[processes.bad]\nmax_restarts = 1\nrestart_window = 30\n")
    supervisor = app.start()
    found = app.until(lambda found: found["bad.1"]["state"] == "failed")
    assert found["bad.1"]["restarts"] == 1
    assert found["good.1"]["state"] == "running"
    supervisor.stop()
    assert len(re.findall("tried$", supervisor.text, re.MULTILINE)) == 2


def test_restarts_outside_of_the_window_do_not_count(app: App) -> None:
    app.write("Procfile", "bad: sh -c 'echo tried; sleep 0.3; exit 4'\n")
    app.write("procsup.toml", "max_restarts = 1\nrestart_window = 0.2\n")
    supervisor = app.start()
    supervisor.wait_for("tried", 3)
    assert app.instances()["bad.1"]["state"] != "failed"
    supervisor.stop()


def test_a_one_shot_that_ends_with_0_is_done_and_one_that_fails_is_tried_again(app: App) -> None:
    app.write("Procfile", "job: sh -c 'if [ -e again ]; then echo done; else touch again; exit 1; fi'\n")
    app.write("procsup.toml", "[processes.job]\none_shot = true\n")
    supervisor = app.start()
    assert supervisor.end() == 0, "nothing was left to do"
    assert supervisor.text.index("job.1 ended: exit 1") < supervisor.text.index("| done")


def test_a_one_shot_that_is_done_leaves_the_others_alone(app: App) -> None:
    app.write("Procfile", f"job: true\nweb: {READY}\n")
    app.write("procsup.toml", "[processes.job]\none_shot = true\n")
    supervisor = app.start()
    found = app.until(lambda found: found["job.1"]["state"] == "exited" and found["web.1"]["state"] == "running")
    assert found["job.1"]["restarts"] == 0
    supervisor.stop()


# Stops


def test_a_stop_is_its_signals_in_their_order_and_pauses(app: App) -> None:
    app.write("Procfile", f"slow: {DIARY}\nsoon: {DIARY} USR1\nplain: {DIARY} TERM\n")
    app.write(
        "procsup.toml",
        """
stop = "TSTP, 1, USR1, 1, INT, 1, KILL"
[processes.plain]
stop = "TERM"
""",
    )
    supervisor = app.start()
    for name in ("slow", "soon", "plain"):
        supervisor.wait_for(f"{name}.1 +. ready")
    supervisor.stop()
    heard = {name: heard_by(supervisor, f"{name}.1") for name in ("slow", "soon", "plain")}
    assert [word for word, _ in heard["slow"]] == ["TSTP", "USR1", "INT"]
    (_, _), (_, to_usr1), (_, to_int) = heard["slow"]
    # Each may hear one of them late, and then seems to get the next too soon.
    assert 0.5 <= to_usr1 <= 6
    assert to_usr1 + 0.5 <= to_int <= 8
    assert [word for word, _ in heard["soon"]] == ["TSTP", "USR1"]
    assert [word for word, _ in heard["plain"]] == ["TERM"]
    assert re.search(r"2 stopped, 1 killed after .*slow\.1", supervisor.text)


def test_the_grace_of_a_type_is_how_long_it_has(app: App) -> None:
    app.write("Procfile", f"deaf: {DIARY}\n")
    app.write("procsup.toml", "grace = 1000\n[processes.deaf]\ngrace = 0.3\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    supervisor.stop()
    killed = re.search(r"1 killed after (\d+(?:\.\d+)?) s", supervisor.text)
    assert killed is not None
    assert float(killed[1]) < 10


def test_t_on_the_command_line_wins_over_grace(app: App) -> None:
    app.write("Procfile", f"deaf: {DIARY}\n")
    app.write("procsup.toml", "[processes.deaf]\ngrace = 1000\nstop = 'INT'\n")
    supervisor = app.start("-t", "1")
    supervisor.wait_for("ready")
    supervisor.stop()
    assert "got INT" in supervisor.text
    assert "1 killed after" in supervisor.text


def test_who_is_suspended_hears_its_stop_too(app: App) -> None:
    app.write("Procfile", f"web: {DIARY} TERM\n")
    app.write("procsup.toml", "stop = 'TSTP, 1, TERM'\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    os.kill(app.instances()["web.1"]["pid"], signal.SIGSTOP)
    supervisor.stop()
    assert [word for word, _ in heard_by(supervisor, "web.1")] == ["TSTP", "TERM"]


def test_a_file_that_is_wrong_starts_nothing(app: App) -> None:
    app.write("Procfile", "web: touch started\n")
    app.write("procsup.toml", "count = 'two'\n[processes.wbe]\n")
    done = app.run("start")
    assert done.returncode == 2
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == ["procsup.toml:1:1:", "procsup.toml:2:12:"]
    assert not (app.folder / "started").exists()


def test_a_second_signal_does_not_wait_for_a_long_stop(app: App) -> None:
    app.write("Procfile", f"slow: {DIARY}\n")
    app.write("procsup.toml", "stop = 'TSTP, 500, TERM, 500'\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    supervisor.send(signal.SIGTERM)
    supervisor.wait_for("got TSTP")
    supervisor.send(signal.SIGTERM)
    assert supervisor.end() == 0
    assert "got TERM" not in supervisor.text
