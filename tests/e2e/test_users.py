"""Processes that run as another user: what they get, and that they end like all others."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.app import App
from tests.e2e.mounts import OWN_MOUNTS, needs_own_mounts
from tests.e2e.services import free_port
from tests.e2e.somebody import (
    ANOTHER,
    SOMEBODY,
    TELL,
    in_any_container,
    open_app,
    root_only,
    start_through,
    told,
)
from tests.faults.needs import needs
from tests.faults.watching import everybody, until

app = open_app


@root_only
@pytest.mark.parametrize("start_limit", ["60", None], ids=["raised limit", "own limit"])
def test_it_is_that_user_and_nobody_else_and_the_rest_is_as_with_any_other(app: App, start_limit: str | None) -> None:
    (app.folder / "sub").mkdir()
    app.write("Procfile", f"web: {TELL}\nplain: {TELL}\nelsewhere: {TELL}\n")
    app.write("procsup.toml", '[processes.web]\nuser = "nobody"\n[processes.elsewhere]\ncwd = "sub"\n')
    before = (
        "sh",
        "-c",
        f"ulimit -Sn {start_limit or '$(ulimit -Sn)'}; umask 027; trap '' HUP PIPE INT; exec \"$@\"",
        "sh",
    )
    supervisor = start_through(app, before)
    web, plain, elsewhere = (told(supervisor, f"{name}.1") for name in ("web", "plain", "elsewhere"))
    assert web["uids"][1:] == [str(SOMEBODY.pw_uid)] * 4
    assert web["gids"][1:] == [str(SOMEBODY.pw_gid)] * 4
    assert sorted(web["groups"]) == sorted(map(str, os.getgrouplist("nobody", SOMEBODY.pw_gid)))
    assert web["who"] == [f"{SOMEBODY.pw_dir},nobody,nobody"]
    assert web["folder"] == [str(app.folder)] * 2
    assert elsewhere["folder"] == [f"{app.folder}/sub"] * 2
    for one in (web, elsewhere):
        for key in ("umask", "fds", "files"):
            assert one[key] == plain[key], key
        assert len(set(one["session"])) == 1  # its pid, its group and its session
        assert one["masks"] == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16]
    assert web["umask"] == ["0027"]
    assert web["fds"] == ["0,", "1,", "2"]
    supervisor.send(signal.SIGTERM)
    supervisor.end()


@root_only
@needs_own_mounts
def test_it_has_all_the_groups_of_the_user(app: App) -> None:
    groups = app.write("group", f"{Path('/etc/group').read_text()}first:x:64001:nobody\nother:x:64002:daemon,nobody\n")
    before = (*OWN_MOUNTS, "sh", "-c", f'mount --bind {groups} /etc/group && exec "$@"', "sh")
    app.write("Procfile", f"web: {TELL}\n")
    app.write("procsup.toml", 'user = "nobody"\n')
    supervisor = start_through(app, before)
    assert {"64001", "64002", str(SOMEBODY.pw_gid)} <= set(told(supervisor)["groups"])
    supervisor.stop()


@root_only
def test_a_number_means_the_user_who_has_it(app: App) -> None:
    app.write("Procfile", f"web: {TELL}\n")
    app.write("procsup.toml", f'user = "{ANOTHER.pw_uid}"\n')
    supervisor = app.start()
    assert told(supervisor)["who"] == [f"{ANOTHER.pw_dir},daemon,daemon"]
    supervisor.stop()


@root_only
def test_what_somebody_has_set_on_purpose_wins_over_what_the_login_would_set(app: App) -> None:
    app.environment |= {"HOME": "/root", "USER": "root", "LOGNAME": "root"}
    app.environment.pop("LOGNAME")
    app.write(".env", "LOGNAME=of-the-file\nUSER=of-the-file\n")
    app.write("Procfile", f"web: {TELL}\nother: {TELL}\n")
    app.write("procsup.toml", 'user = "nobody"\n[processes.web]\nenv = { HOME = "/of/toml" }\n')
    supervisor = app.start()
    assert told(supervisor)["who"] == ["/of/toml,nobody,of-the-file"]  # USER: the inherited one won over the file's
    assert told(supervisor, "other.1")["who"] == [f"{SOMEBODY.pw_dir},nobody,of-the-file"]
    supervisor.stop()


@root_only
@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
def test_it_may_open_its_own_output_by_name(app: App, tty: bool) -> None:
    """As programs do that are told to log to /dev/stdout."""
    app.write(
        "Procfile", "web: sh -c 'echo by name >/dev/stdout; echo or so >/dev/stderr; tty; echo ready; sleep 1000'\n"
    )
    app.write("procsup.toml", f'user = "nobody"\ntty = {str(tty).lower()}\n')
    supervisor = app.start()
    supervisor.wait_for(r"\| by name\r?$")
    supervisor.wait_for(r"\| or so\r?$")  # another pipe: it may come after "ready"
    supervisor.wait_for(r"\| ready\r?$")
    assert "denied" not in supervisor.text
    supervisor.stop()


@root_only
def test_it_is_stopped_with_all_that_got_away_from_it(app: App) -> None:
    app.write("Procfile", "web: sh -c '(setsid sleep 1000 &); sleep 1000 & echo ready; wait'\n")
    app.write("procsup.toml", 'user = "nobody"\n')
    supervisor = app.start("-m", "web=2")
    supervisor.wait_for("ready", 2)
    app.ok("restart", "web.1")
    supervisor.wait_for("ready", 3)
    app.ok("stop", "web")
    assert len([line for line in everybody().values() if "sleep 1000" in line]) == 0
    assert supervisor.stop() == 0
    assert "SIGKILL" not in supervisor.text


@root_only
@in_any_container
def test_the_guardian_ends_it_too(app: App, before: tuple[str, ...]) -> None:
    app.write("Procfile", "web: sh -c '(setsid sleep 1000 &); sleep 1000 & echo ready; wait'\n")
    app.write("procsup.toml", 'user = "nobody"\n')
    supervisor = start_through(app, before)
    supervisor.wait_for("ready")
    supervisor.send(signal.SIGKILL)
    supervisor.end()
    until(lambda: not everybody())
    assert "stopped the 3 processes it left" in supervisor.text


@root_only
@in_any_container
def test_the_next_start_sweeps_it_if_the_guardian_was_killed_as_well(app: App, before: tuple[str, ...]) -> None:
    app.write(
        "Procfile", "web: sh -c '(setsid sleep 1000 >/dev/null 2>&1 &); echo ready; exec sleep 1000 >/dev/null 2>&1'\n"
    )
    app.write("procsup.toml", 'user = "nobody"\n')
    supervisor = start_through(app, before)
    supervisor.wait_for("ready")
    [guardian] = [pid for pid, line in everybody().items() if "procsup-guardian" in line]
    os.kill(guardian, signal.SIGKILL)
    supervisor.send(signal.SIGKILL)
    supervisor.end()
    until(lambda: len([line for line in everybody().values() if "sleep 1000" in line]) == 2)
    again = start_through(app, before)
    again.wait_for("left 2 processes, which were stopped first")
    again.wait_for("ready")
    until(lambda: len([line for line in everybody().values() if "sleep 1000" in line]) == 2)
    assert again.stop() == 0


@root_only
@needs(shutil.which("perl") is not None, "there is no perl, which any user could run")
@in_any_container
def test_it_is_ready_when_it_listens(app: App, before: tuple[str, ...]) -> None:
    port = free_port()
    listen = (
        "socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in($ENV{PORT}, INADDR_LOOPBACK)); listen(S, 5); sleep 99"
    )
    app.write("Procfile", f"web: perl -MSocket -e '{listen}'\n")
    app.write("procsup.toml", 'user = "nobody"\nready = "port"\nready_timeout = 10\n')
    supervisor = start_through(app, before, "-p", str(port))
    supervisor.wait_for(r"web\.1 is ready")
    supervisor.stop()
