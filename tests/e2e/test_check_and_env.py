"""`check` and `env`: what procsup would do with these files, without doing it."""

from __future__ import annotations

import os
import re
import subprocess

from tests.e2e.app import COMMAND, PATIENCE, App
from tests.e2e.refusal import refused


def test_check_names_the_types_warns_and_starts_nothing(app: App) -> None:
    app.write("Procfile", "web: touch started\n release: x\nmy_worker: y &\n")
    done = app.run("check")
    assert done.returncode == 0
    assert done.stdout == "Procfile is valid: web, release, my_worker\n"
    assert all(re.match(r"Procfile:[23]:\d+: warning: ", line) for line in done.stderr.splitlines())
    assert len(done.stderr.splitlines()) >= 4
    assert not (app.folder / "started").exists()


def test_check_expand_shows_port_and_command_and_no_secret(app: App) -> None:
    app.write(".env", "API_KEY=abcdefghijkl\nDB=postgres://me:s3cretpw@db/x\nPLAIN=seen\n")
    app.write("Procfile", "web: serve --port $PORT --key $API_KEY $PLAIN\nworker: work $DB | tee <<UNIQUE_INT>>\n")
    said = app.ok("check", "--expand")
    assert "web.1     port 5000  serve --port 5000 --key **** seen" in said
    assert "worker.1  port 5100  /bin/sh: work $DB | tee 2" in said
    assert "abcdefghijkl" not in said
    assert "s3cretpw" not in said


def test_env_shows_what_a_type_gets_and_masks_secrets(app: App) -> None:
    app.write("Procfile", "web: x\nworker: y\n")
    app.write(".env", "API_TOKEN=abcdef\nDB=postgres://me:s3cretpw@db/x\nPLAIN=seen\n")
    lines = app.ok("env", "worker").splitlines()
    assert {"API_TOKEN=****", "DB=postgres://me:****@db/x", "PLAIN=seen", "PORT=5100", "PS=worker.1"} <= set(lines)
    assert "PS=worker.1" not in app.ok("env").splitlines()
    assert 'did you mean "worker"?' in refused(app.run("env", "wroker"))


def test_env_of_an_instance_has_its_own_port_and_number(app: App) -> None:
    app.write("Procfile", "web: x\nworker: y\n")
    app.write("procsup.toml", "[processes.worker]\ncount = 3\n")
    assert {"PORT=5102", "PS=worker.3", "PROCSUP_INSTANCE=3"} <= set(app.ok("env", "worker.3").splitlines())
    assert app.ok("env", "worker.2", "--explain", "PORT") == "PORT=5101  from procsup\n"
    assert "worker.4 is not in the formation, which has worker=3" in refused(app.run("env", "worker.4"))
    assert 'did you mean "worker"?' in refused(app.run("env", "wroker.1"))


def test_env_explain_says_where_each_value_comes_from(app: App) -> None:
    app.write("Procfile", "web: x\n")
    app.write(".env", "A=one\nPORT=7000\n\nSECRET_A=hidden\n")
    app.environment["A"] = "two"
    assert app.ok("env", "--explain", "A").splitlines() == [
        "A=two  from inherited environment  (wins)",
        "A=one  from .env:1",
    ]
    assert app.ok("--env-override", "env", "--explain", "A").splitlines()[0] == "A=one  from .env:1  (wins)"
    assert app.ok("env", "web", "--explain", "PORT").splitlines() == [
        "PORT=7000  from procsup  (wins)",
        "PORT=7000  from .env:2",
    ]
    assert app.ok("env", "--explain", "SECRET_A") == "SECRET_A=****  from .env:4\n"
    assert "NOT_THERE is not set" in refused(app.run("env", "--explain", "NOT_THERE"))


def test_an_environment_that_is_no_utf8_is_no_trouble(app: App) -> None:
    app.write("Procfile", "web: sh -c 'printf %s \"$ODD\" | od -An -tx1; exec sleep 1000'\n")
    app.environment["ODD"] = os.fsdecode(b"\xff\xfe")
    done = subprocess.run(
        [*COMMAND, "env"], cwd=app.folder, env=app.environment, capture_output=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"ODD=\xff\xfe\n" in done.stdout
    supervisor = app.start()
    supervisor.wait_for(r"\|  ff fe$")
    supervisor.stop()
