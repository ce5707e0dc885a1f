"""What is closed to a process that runs as another user, and what is its own; and who is let in beside it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.app import App
from tests.e2e.refusal import refused
from tests.e2e.somebody import (
    ANOTHER,
    SOMEBODY,
    backs_off,
    open_app,
    root_only,
    start_through,
)
from tests.faults.needs import works

app = open_app


@root_only
def test_a_user_who_is_not_there_is_named_and_the_others_start(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nother: sleep 1000\n")
    app.write("procsup.toml", '[processes.web]\nuser = "no-such-user"\n')
    backs_off(app, app.start(), 'there is no user "no-such-user"', "useradd")


@root_only
def test_who_is_not_root_is_told_that_he_cannot_choose(app: App) -> None:
    shutil.chown(app.folder, SOMEBODY.pw_uid, SOMEBODY.pw_gid)
    state = app.folder.parent / "nobodys"
    state.mkdir()
    shutil.chown(state, SOMEBODY.pw_uid)
    app.environment["PROCSUP_STATE_DIR"] = str(state)
    app.write("Procfile", "web: sleep 1000\nown: sleep 1000\n").chmod(0o644)
    app.write(
        "procsup.toml", '[processes.web]\nuser = "daemon"\n[processes.own]\nuser = "nobody"\nmounts = ["a"]\n'
    ).chmod(0o644)
    caps = "+dac_override,+dac_read_search"  # to read what root's tests are made of, wherever that is
    before = (
        *("setpriv", f"--reuid={SOMEBODY.pw_uid}", f"--regid={SOMEBODY.pw_gid}", "--clear-groups"),
        *(f"--inh-caps=-all,{caps}", f"--bounding-set=-all,{caps}", f"--ambient-caps=-all,{caps}"),
    )
    if not works(*before, "true"):
        pytest.skip("setpriv cannot take rights away here")
    supervisor = start_through(app, before)
    supervisor.wait_for(
        r'web\.1 could not be started: user \(procsup\.toml:2\): procsup runs as nobody, and only root .* "daemon"'
    )
    supervisor.wait_for(r"own\.1 started")
    assert supervisor.stop() == 0
    [folder] = Path(state, "mounts").glob("*/own/a")
    assert folder.stat().st_uid == SOMEBODY.pw_uid


@root_only
def test_a_folder_or_program_closed_to_the_user_is_named(app: App) -> None:
    closed = app.folder / "closed"
    (closed / "in").mkdir(parents=True)
    shutil.copy("/bin/sleep", closed / "program")
    closed.chmod(0o700)
    app.write("Procfile", f"web: sleep 1000\nprogram: {closed}/program 1000\nother: sleep 1000\n")
    app.write(
        "procsup.toml", '[processes.web]\ncwd = "closed/in"\nuser = "nobody"\n[processes.program]\nuser = "nobody"\n'
    )
    supervisor = app.start()
    supervisor.wait_for(rf"web\.1 could not be started: cwd \(procsup\.toml:2\): user nobody may not enter {closed};")
    supervisor.wait_for(rf"program\.1 could not be started: {closed}/program: Permission denied to user nobody")
    supervisor.wait_for(r"other\.1 started")
    assert supervisor.stop() == 0


@root_only
def test_a_visitor_is_that_user_in_that_folder_with_its_mounts(app: App) -> None:
    (app.folder / "sub").mkdir()
    app.write("Procfile", "web: sh -c 'echo ready; exec sleep 1000'\n")
    app.write("procsup.toml", 'user = "nobody"\ncwd = "sub"\nmounts = ["a"]\n')
    supervisor = app.start()
    supervisor.wait_for("ready")
    said = app.ok("exec", "web.1", "sh", "-c", "id -u; id -G; pwd; echo $HOME; touch $PROCSUP_MOUNT_A/x && echo yes")
    groups = " ".join(map(str, os.getgrouplist("nobody", SOMEBODY.pw_gid)))
    expected = [str(SOMEBODY.pw_uid), groups, f"{app.folder}/sub", SOMEBODY.pw_dir, "yes"]
    assert said.splitlines() == expected
    supervisor.stop()


@root_only
def test_so_is_what_is_run_by_hand_by_the_name_of_a_type_also_when_there_never_was_a_supervisor(app: App) -> None:
    (app.folder / "sub").mkdir()
    app.write("Procfile", "web: sh -c 'id -u; pwd; echo $PWD $HOME; touch $PROCSUP_MOUNT_A/x && echo yes'\n")
    app.write("procsup.toml", 'user = "nobody"\ncwd = "sub"\nmounts = ["a"]\n')
    app.environment["PROCSUP_STATE_DIR"] += "/not/there/yet"
    said = app.run("run", "web")
    assert "may not enter" in refused(said, 1)  # what procsup makes on the way there is closed to others
    (app.folder.parent / "state").chmod(0o711)
    (app.folder.parent / "state" / "not").chmod(0o711)
    (app.folder.parent / "state" / "not" / "there").chmod(0o711)
    folder = f"{app.folder}/sub"
    assert app.ok("run", "web").splitlines() == [str(SOMEBODY.pw_uid), folder, f"{folder} {SOMEBODY.pw_dir}", "yes"]
    app.write("procsup.toml", 'cwd = "nowhere"\n')
    assert f"there is no folder {app.folder}/nowhere" in refused(app.run("run", "web"), 1)


# user and mounts


WRITE = (
    "sh -c 'cd $PROCSUP_MOUNT_SCRATCH && echo $PS $(id -u) >> seen; cat $PROCSUP_MOUNT_SCRATCH/seen; "
    "echo end; sleep 1000'"
)


def stat_of(app: App) -> os.stat_result:
    [mount] = json.loads(app.ok("mounts", "--json"))["mounts"]
    return os.stat(mount["path"])


@root_only
def test_the_mount_is_the_users_also_after_a_second_start_was_refused(app: App) -> None:
    app.write("Procfile", f"web: {WRITE}\n")
    app.write("procsup.toml", 'user = "nobody"\nmounts = ["scratch"]\n')
    supervisor = app.start()
    supervisor.wait_for(r"\| end$")
    assert f"| web.1 {SOMEBODY.pw_uid}" in supervisor.text
    found = stat_of(app)
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (SOMEBODY.pw_uid, SOMEBODY.pw_gid, 0o700)
    refused(app.run("start"), 3)  # it makes sure that the state is private
    app.ok("restart", "web")
    supervisor.wait_for(r"\| end$", 2)
    assert "denied" not in supervisor.text
    [own] = [each for each in Path(os.environ["PROCSUP_STATE_DIR"]).iterdir() if each.name.startswith("app-")]
    assert own.stat().st_mode & 0o777 == 0o700
    supervisor.stop()


@root_only
def test_when_the_user_changes_an_empty_mount_goes_along_and_a_full_one_waits_for_a_decision(app: App) -> None:
    app.write("Procfile", f"web: {WRITE}\n")
    app.write("procsup.toml", 'user = "nobody"\nmounts = ["scratch"]\n')
    supervisor = app.start()
    supervisor.wait_for(r"\| end$")
    app.write("procsup.toml", 'user = "daemon"\nmounts = ["scratch"]\n')
    app.ok("reload")
    found = app.until(lambda found: found["web.1"]["state"] == "backoff")
    for word in ("mounts (procsup.toml:2)", "belongs to nobody", "daemon's", "chown -R daemon:"):
        assert word in found["web.1"]["why"]
    app.ok("stop", "web")
    app.ok("mounts", "--clear", "web/scratch")
    app.ok("start", "web")
    supervisor.wait_for(r"\| end$", 2)
    assert supervisor.text.count(f"web.1 {ANOTHER.pw_uid}") == 1
    assert stat_of(app).st_uid == ANOTHER.pw_uid
    supervisor.stop()


@root_only
def test_a_state_folder_that_the_user_cannot_reach_is_named(app: App) -> None:
    closed = app.folder.parent / "closed"
    closed.mkdir(mode=0o700)
    app.environment["PROCSUP_STATE_DIR"] = str(closed / "state")
    app.write("Procfile", "web: sleep 1000\nother: sleep 1000\n")
    app.write("procsup.toml", '[processes.web]\nmounts = ["a"]\nuser = "nobody"\n')
    backs_off(app, app.start(), f"user nobody may not enter {closed};", "PROCSUP_STATE_DIR")
    assert closed.stat().st_mode & 0o777 == 0o700


@root_only
def test_a_user_who_fills_his_mount_with_links_gains_nothing_by_a_clear(app: App) -> None:
    app.write(
        "Procfile",
        "web: sh -c 'cd $PROCSUP_MOUNT_A && ln -s ../../.. up && ln -s /etc etc && echo ready; sleep 1000'\n",
    )
    app.write("procsup.toml", 'user = "nobody"\nmounts = ["a"]\n')
    supervisor = app.start()
    supervisor.wait_for("ready")
    before = stat_of(app)
    app.ok("mounts", "--clear", "web", "--force")
    assert os.path.exists("/etc/passwd")
    after = stat_of(app)
    assert (after.st_ino, after.st_uid) == (before.st_ino, before.st_uid)
    supervisor.stop()
