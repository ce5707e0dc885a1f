"""`depends_on` of procsup.toml: who needs others starts when they are up, and nobody waits in a circle."""

from __future__ import annotations

import pytest

from tests.e2e.app import App
from tests.e2e.refusal import refused
from tests.e2e.test_ready import BOOTING, SLOW, free_port, linux


def test_it_starts_when_what_it_depends_on_is_ready(app: App) -> None:
    app.write("Procfile", f"web: echo here; sleep 1000\ndb: exec {SLOW} port\n")
    app.write("procsup.toml", '[processes.web]\ndepends_on = ["db"]\n[processes.db]\nready = "port"\n')
    supervisor = app.start("-p", str(free_port()))
    supervisor.wait_for(r"web\.1 waits for db$")
    supervisor.wait_for(BOOTING)
    waits = app.until(lambda found: found["web.1"]["why"] == "waits for db")["web.1"]
    assert (waits["state"], waits["pid"]) == ("starting", None)
    app.write("go", "")
    supervisor.wait_for(r"web\.1 +\| here$")
    supervisor.wait_for(r"web\.1 started")  # a busy procsup says so later
    assert supervisor.text.index("db.1 is ready") < supervisor.text.index("web.1 started")
    assert supervisor.stop() == 0


def test_a_one_shot_has_to_be_done_first_and_well(app: App) -> None:
    app.write("Procfile", "web: echo $(cat made); sleep 1000\nsetup: test -e go && echo yes > new && mv new made\n")
    app.write("procsup.toml", 'depends_on = ["setup"]\n[processes.setup]\none_shot = true\n')
    supervisor = app.start()
    supervisor.wait_for(r"setup\.1 ended: exit 1", 2)
    assert app.instances()["web.1"]["why"] == "waits for setup"
    app.write("go", "")
    app.ok("restart", "setup")
    supervisor.wait_for(r"web\.1 +\| yes$")
    app.until(lambda found: found["setup.1"]["why"] == "done")  # it may also have been tried again by itself before
    assert supervisor.stop() == 0


def test_nobody_waits_for_a_type_that_has_no_instance_and_start_says_so(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\ndb: sleep 1000\n")
    app.write("procsup.toml", '[processes.web]\ndepends_on = ["db"]\n')
    supervisor = app.start("web")
    app.until_running("web.1")
    supervisor.wait_for(r"web does not wait for db, which has no instance")


def test_wait_names_the_one_that_all_wait_for_first(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\ndb: echo no disk; exit 5\n")
    app.write("procsup.toml", '[processes.web]\ndepends_on = ["db"]\n[processes.db]\nready = "port"\n')
    app.start()
    # Not the first pause: it lasts about as long as a slow command takes, and behind it db.1 is no more in back-off.
    app.until(lambda found: found["db.1"]["state"] == "backoff" and found["db.1"]["restarts"] >= 2)
    done = app.run("wait", "--ready", "--timeout", "0")
    assert done.returncode == 1
    assert done.stderr.index("db.1 is backoff: exit 5") < done.stderr.index("web.1 is starting: waits for db")
    assert "db.1 | no disk" in done.stderr


def test_it_ends_when_all_that_is_left_waits_for_what_was_given_up(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\ndb: exit 5\n")
    settings = '[processes.web]\ndepends_on = ["db"]\n[processes.db]\nready = "port"\nmax_restarts = 0\n'
    app.write("procsup.toml", settings)
    supervisor = app.start()
    assert supervisor.end() == 5
    assert "web.1 started" not in supervisor.text


def test_a_start_in_the_background_fails_with_what_the_others_wait_for(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\ndb: exit 5\n")
    app.write("procsup.toml", '[processes.web]\ndepends_on = ["db"]\n')
    assert "not up: db.1: exit 5" in refused(app.run("start", "--detach"), 1)
    app.ok("shutdown")


def test_a_command_does_not_wait_for_ever_for_what_waits_for_a_failure(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\ndb: exit 5\nother: sleep 1000\n")
    app.write("procsup.toml", '[processes.web]\ndepends_on = ["db"]\n[processes.db]\nmax_restarts = 0\n')
    app.start()
    app.until(lambda found: found["db.1"]["state"] == "failed")
    said = refused(app.run("restart", "web", "--rolling"), 1)
    assert "web.1 is running: left as it was, because what it depends on is not up" in said
    assert "web.1 is starting: waits for db" in refused(app.run("restart", "web"), 1)
    assert "web.1 is starting: waits for db" in app.run("wait", "web", "--timeout", "1000").stderr


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        pytest.param("sleep 1000", "one_shot = true", id="one-shot"),
        pytest.param(f"exec {SLOW} notify", 'ready = "notify"', id="who says something", marks=linux),
    ],
)
def test_who_is_spared_by_a_rolling_restart_is_told_so_whatever_else_is_to_be_said_of_it(
    app: App, command: str, settings: str
) -> None:
    app.write("go", "")
    app.write("Procfile", f"web: {command}\ndb: until test -e fail; do sleep 0.01; done; exit 5\nother: sleep 1000\n")
    app.write("procsup.toml", f"[processes.web]\ndepends_on = ['db']\n{settings}\n[processes.db]\nmax_restarts = 0\n")
    app.start()
    app.until_running("web.1", "db.1", "other.1")
    app.write("fail", "")
    app.until(lambda found: found["db.1"]["state"] == "failed")
    said = refused(app.run("restart", "web", "--rolling"), 1)
    assert "web.1 is running: left as it was, because what it depends on is not up" in said


@pytest.mark.parametrize("command", ["check", "start"])
@pytest.mark.parametrize(
    ("settings", "place", "says"),
    [
        ('[processes.a]\ndepends_on = ["b"]\n[processes.b]\ndepends_on = ["a"]\n', "2:", "a → b → a"),
        (
            '[processes.a]\ndepends_on = ["b"]\n[processes.b]\ndepends_on = ["c"]\n[processes.c]\ndepends_on = "b"\n',
            "4:",
            "b → c → b",
        ),
        ('[processes.b]\ndepends_on = ["b"]\n', "2:", "b → b"),
        ('depends_on = ["a", "b"]\n', "1:", "a → b → a"),
        ('[processes.a]\ndepends_on = ["bb"]\n', "2:", 'no process type "bb" to depend on; did you mean "b"?'),
        ('depends_on = ["zebra"]\n', "1:", 'no process type "zebra" to depend on; there are: a, b, c'),
    ],
)
def test_a_circle_and_an_unknown_name_are_errors_with_their_line(
    app: App, settings: str, place: str, says: str, command: str
) -> None:
    app.write("Procfile", "a: sleep 1000\nb: sleep 1000\nc: sleep 1000\n")
    app.write("procsup.toml", settings)
    said = refused(app.run(command))
    assert said.startswith(f"procsup.toml:{place}")
    assert says in said


def test_what_holds_for_all_does_not_hold_for_what_it_names(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\ndb: sleep 1000\nworker: sleep 1000\n")
    app.write("procsup.toml", 'depends_on = ["db"]\n')
    supervisor = app.start()
    app.until_running("web.1", "db.1", "worker.1")
    for name in ("web", "db", "worker"):
        supervisor.wait_for(rf"{name}\.1 started")
    started = {name: supervisor.text.index(f"{name}.1 started") for name in ("web", "db", "worker")}
    assert min(started, key=lambda name: started[name]) == "db"
