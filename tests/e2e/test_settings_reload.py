"""`reload` after a change of procsup.toml: what changed is done and nothing else, and `--plan` names the keys."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.app import PROBE, App
from tests.e2e.refusal import refused
from tests.e2e.test_settings import DIARY, heard_by

PROCFILE = "web: sleep 1000\nworker: sleep 1000\n"


@pytest.fixture
def running(app: App) -> App:
    app.write("Procfile", PROCFILE)
    app.write("procsup.toml", "# nothing yet\n")
    app.start()
    app.until_running("web.1", "worker.1")
    return app


def pids(app: App) -> dict[str, int]:
    return {name: each["pid"] for name, each in app.instances().items()}


def planned(app: App, *options: str) -> dict[str, tuple[str, str]]:
    lines = [line[2:].split(maxsplit=2) for line in app.ok("reload", *options).splitlines() if "(" in line]
    return {name: (action, why[1:-1]) for action, name, why in lines}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cwd = 'sub'", "its cwd changed"),
        ("tty = true", "its tty changed"),
        ("mounts = ['scratch']", "its mounts changed"),
        ("cwd = 'sub'\nmounts = ['scratch']\ngrace = 1", "its cwd and mounts changed"),
        ("env = { LEVEL = 'x' }", "its environment changed: LEVEL (env in procsup.toml)"),
        ("env_file = 'worker.env'", "its environment changed: OF_FILE (env_file in procsup.toml)"),
        (
            "relationships = ['q']\n[relationships]\nq = 'Q_*'\nlang = 'SEEN_BY_*'",
            "its environment changed: SEEN_BY_SOME (relationships in procsup.toml)",
        ),
    ],
)
def test_what_a_copy_was_started_with_restarts_those_that_it_concerns(app: App, text: str, why: str) -> None:
    app.environment["SEEN_BY_SOME"] = "x"
    (app.folder / "sub").mkdir()
    app.write("worker.env", "OF_FILE=1\n")
    app.write("Procfile", PROCFILE)
    app.start()
    app.until_running("web.1", "worker.1")
    before = pids(app)
    app.write("procsup.toml", f"[processes.worker]\n{text}\n")
    plan = {"web.1": ("keep", "nothing changed"), "worker.1": ("restart", why)}
    assert planned(app, "--plan") == plan
    assert pids(app) == before
    assert planned(app) == plan
    after = app.until(
        lambda found: found["worker.1"]["state"] == "running" and found["worker.1"]["pid"] != before["worker.1"]
    )
    assert after["web.1"]["pid"] == before["web.1"]


def test_how_a_copy_is_restarted_and_stopped_changes_without_a_restart(app: App) -> None:
    app.write(
        "Procfile", f"web: {DIARY} INT\nflaky: sh -c 'echo up; while [ ! -e fail ]; do sleep 0.05; done; exit 1'\n"
    )
    app.write("procsup.toml", "")
    supervisor = app.start()
    supervisor.wait_for("ready")
    supervisor.wait_for("up$")
    before = pids(app)
    app.write(
        "procsup.toml",
        """
grace = 900
[processes.web]
stop = 'USR1, 1, INT'
[processes.flaky]
max_restarts = 0
restart = 'on-failure'
""",
    )
    plan = {
        "web.1": ("keep", "its grace and stop changed, which needs no restart"),
        "flaky.1": ("keep", "its restart, max_restarts and grace changed, which needs no restart"),
    }
    assert planned(app, "--plan") == plan
    assert planned(app) == plan
    assert pids(app) == before
    app.write("fail", "")
    app.until(lambda found: found["flaky.1"]["state"] == "failed")
    app.ok("stop", "web")
    supervisor.wait_for(r"web\.1 +\| got INT")
    assert [word for word, _ in heard_by(supervisor, "web.1")] == ["USR1", "INT"]
    supervisor.stop()


def test_another_count_starts_and_stops_and_leaves_the_rest_alone(running: App) -> None:
    before = pids(running)
    running.write("procsup.toml", "[processes.worker]\ncount = 3\n")
    plan = {
        "web.1": ("keep", "nothing changed"),
        "worker.1": ("keep", "nothing changed"),
        "worker.2": ("start", "the count of worker is 3 now"),
        "worker.3": ("start", "the count of worker is 3 now"),
    }
    assert planned(running, "--plan") == plan
    assert planned(running) == plan
    found = running.until_running("web.1", "worker.1", "worker.2", "worker.3")
    assert {name: found[name]["pid"] for name in before} == before
    running.write("procsup.toml", "[processes.web]\ncount = 0\n")
    assert {name: action for name, (action, _) in planned(running).items()} == {
        "web.1": "stop", "worker.1": "keep", "worker.2": "stop", "worker.3": "stop",
    }  # fmt: skip
    assert running.until_running("worker.1")["worker.1"]["pid"] == before["worker.1"]


def test_what_was_scaled_stays_so_and_what_m_has_said_too(app: App) -> None:
    app.write("Procfile", PROCFILE + "mail: sleep 1000\n")
    app.write("procsup.toml", "count = 1\n")
    app.start("-m", "web=2")
    app.until_running("web.1", "web.2", "worker.1", "mail.1")
    app.ok("scale", "worker=2", "--wait")
    app.write("procsup.toml", "count = 3\n")
    plan = planned(app)
    assert {name for name, (action, _) in plan.items() if action != "keep"} == {"mail.2", "mail.3"}
    app.until_running("web.1", "web.2", "worker.1", "worker.2", "mail.1", "mail.2", "mail.3")


def test_types_that_were_left_out_stay_out(app: App) -> None:
    app.write("Procfile", PROCFILE)
    app.write("procsup.toml", "")
    app.start("web")
    app.until_running("web.1")
    app.write("procsup.toml", "count = 2\n")
    app.ok("reload")
    app.until_running("web.1", "web.2")


def test_more_than_max_processes_changes_nothing(running: App) -> None:
    before = pids(running)
    for text in ("max_processes = 1\n", "max_processes = 4\n[processes.worker]\ncount = 5\n"):
        running.write("procsup.toml", text)
        for options in (["--plan"], []):
            assert "max_processes in procsup.toml allows" in refused(running.run("reload", *options))
    assert pids(running) == before
    running.write("procsup.toml", "max_processes = 2\n")
    running.ok("reload")
    assert "allows 2" in refused(running.run("scale", "worker=2"))
    (running.folder / "procsup.toml").unlink()
    running.ok("reload")
    running.ok("scale", "worker=2", "--wait")


def test_a_broken_file_changes_nothing(running: App) -> None:
    before = pids(running)
    running.write("Procfile", "web: sleep 2000\nworker: sleep 1000\n")
    running.write("procsup.toml", "count = 2\n\n[processes.web]\nuser = 3\n[processes.web]\n")
    assert refused(running.run("reload")).startswith("procsup.toml:5:")
    running.write("procsup.toml", "count = 2\n\n[processes.web]\nuser = 3\n")
    assert refused(running.run("reload", "--plan")).startswith("procsup.toml:4:1: error: user must be ")
    supervisor = running.started[0]
    supervisor.send(signal.SIGHUP)
    supervisor.wait_for(r"not reloaded, nothing changed:")
    supervisor.wait_for(r"\| procsup.toml:4:1: error: user must be ")
    assert pids(running) == before


def test_a_changed_env_file_restarts_its_type_alone(app: App) -> None:
    app.write("Procfile", f"web: {PROBE}\nworker: {PROBE}\n")
    app.write("procsup.toml", "[processes.worker]\nenv_file = 'worker.env'\n")
    app.write("worker.env", "LEVEL=one\n")
    supervisor = app.start()
    assert supervisor.probe("worker.1")["env"]["LEVEL"] == "one"
    supervisor.probe("web.1")
    app.write("worker.env", "LEVEL=two\n")
    assert planned(app) == {
        "web.1": ("keep", "nothing changed"),
        "worker.1": ("restart", "its environment changed: LEVEL (env_file in procsup.toml)"),
    }
    assert supervisor.probe("worker.1", 2)["env"]["LEVEL"] == "two"
    supervisor.stop()


@pytest.mark.parametrize("name", ["procsup.toml", ".env", "own.env", "Procfile"])
def test_a_pipe_that_nobody_writes_to_does_not_hold_up_the_supervisor(app: App, name: str) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", "env_file = ['own.env']\n")
    app.write(".env", "A=1\n")
    app.write("own.env", "B=1\n")
    supervisor = app.start()
    before = app.until_running("web.1")
    (app.folder / name).unlink()
    os.mkfifo(app.folder / name)
    for command in (("reload", "--plan"), ("reload",)):
        said = refused(app.run(*command))
        assert f"{name}:1:1: error: is no file, and a running supervisor waits for nobody" in said
    supervisor.send(signal.SIGHUP)
    supervisor.wait_for("not reloaded, nothing changed")
    assert app.instances()["web.1"]["pid"] == before["web.1"]["pid"]
    assert supervisor.stop() == 0
