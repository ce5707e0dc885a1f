"""No secret in anything that procsup itself says: each test looks for a canary in a place where one got out."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.app import App
from tests.e2e.refusal import refused

CANARY = "canarytok123456"


def test_a_command_that_cannot_be_started_is_told_without_the_secret_in_it(app: App) -> None:
    app.write(".env", f"API_TOKEN='{CANARY} {CANARY}'\n")
    app.write("Procfile", "web: $API_TOKEN --flag\nother: sleep 1000\n")
    supervisor = app.start()
    supervisor.wait_for(r"web\.1 could not be started: \*\*\*\*: No such file", 2)
    table, told = app.ok("status"), app.ok("status", "--json")
    why = "could not be started: ****: No such file or directory"
    web = app.until(lambda found: why in (found["web.1"]["why"] or ""))["web.1"]
    supervisor.stop()
    assert CANARY not in supervisor.text + table + told + str(web)


@pytest.mark.parametrize(
    "command", [("web",), ("$API_TOKEN x",), (CANARY, "x"), ("$DB",)], ids=["type", "text", "typed", "url"]
)
def test_run_names_what_it_cannot_run_without_the_secret_in_it(app: App, command: tuple[str, ...]) -> None:
    app.write(".env", f"API_TOKEN={CANARY}\nDB=db://me:{CANARY}@h/x\n")
    app.write("Procfile", "web: $API_TOKEN --flag\n")
    said = refused(app.run("run", *command), 127)
    assert "****" in said
    assert CANARY not in said


def test_check_expand_masks_what_is_split_quoted_or_grown_together(app: App) -> None:
    app.write(".env", f"API_TOKEN='{CANARY} \"{CANARY}'\nPIN_KEY=c9z\nDB=db://me:{CANARY}@h/x\n")
    app.write("Procfile", 'web: serve $API_TOKEN "x${API_TOKEN}" --pin${PIN_KEY}x $DB\n')
    said = app.ok("check", "--expand")
    assert "web.1  port 5000  serve **** x**** --pin****x db://me:****@h/x" in said
    assert CANARY not in said
    assert "c9z" not in said


def test_env_masks_a_secret_inside_of_another_value(app: App) -> None:
    app.write("Procfile", "web: x\n")
    app.write(".env", f"API_TOKEN={CANARY}\nHOOK=https://h/${{API_TOKEN}}/x\nAPI_TOKEN=another\n")
    assert "HOOK=https://h/****/x" in app.ok("env").splitlines()
    assert app.ok("env", "--explain", "HOOK") == "HOOK=https://h/****/x  from .env:2\n"
    assert CANARY not in app.ok("env", "web")


def test_a_private_key_without_quotes_is_not_shown_by_the_error(app: App) -> None:
    app.write("Procfile", "web: x\n")
    app.write(".env", f"KEY=-----BEGIN PRIVATE KEY-----\n{CANARY}\n{CANARY}=\n-----END PRIVATE KEY-----\n")
    done = app.run("check")
    assert done.returncode == 2
    assert ".env:2:1: error: this line has no value; write NAME=value" in done.stderr
    assert CANARY not in done.stdout + done.stderr


def test_an_env_file_in_the_procfiles_place_is_not_shown_by_the_error(app: App) -> None:
    app.write("Procfile", f"API_TOKEN={CANARY}\nHOOK_{CANARY}=http://h\n")
    done = app.run("check")
    assert done.returncode == 2
    assert CANARY not in done.stdout + done.stderr


def test_a_variable_too_long_to_hand_over_is_named(app: App) -> None:
    app.write("Procfile", "web: ./serve\n")
    app.write("serve", "#!/bin/sh\n").chmod(0o700)
    app.write(".env", f"BIG={'x' * 140_000}\n")
    supervisor = app.start()
    supervisor.wait_for(r"web\.1 could not be started: \./serve: Argument list too long: .* BIG, has 136 KiB")
    supervisor.stop(signal.SIGTERM)
    assert "BIG, has 136 KiB" in refused(app.run("run", "web"), 126)
    assert os.path.getsize(app.folder / ".env") > len(supervisor.text)
