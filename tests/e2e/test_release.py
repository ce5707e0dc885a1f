"""`start --release`: the release first, to its end; the others only if it went well."""

from __future__ import annotations

import re
import signal

from tests.e2e.app import PROBE, App
from tests.e2e.refusal import refused
from tests.faults.watching import NOISE, within

READY = "sh -c 'echo ready; exec sleep 1000'"
WAITS = "sh -c 'echo migrating; until [ -e go ]; do sleep 0.01; done; echo migrated'"


def test_the_others_start_when_the_release_has_ended_well(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nrelease: {WAITS}\nworker: {READY}\n")
    supervisor = app.start("--release", "-m", "worker=2")
    supervisor.wait_for(r"release\.1 +\| migrating$")
    found = app.until(lambda found: found["release.1"]["state"] == "running")
    assert {name: each["pid"] for name, each in found.items() if name != "release.1"} == {
        "web.1": None,
        "worker.1": None,
        "worker.2": None,
    }
    app.write("go", "")
    supervisor.wait_for("ready", 3)
    assert supervisor.text.index("migrated") < supervisor.text.index("ready")
    app.until_running("web.1", "worker.1", "worker.2")
    assert app.status()["formation"] == {"web": 1, "release": 0, "worker": 2}
    assert "migrated" in app.ok("logs", "release")
    assert supervisor.stop() == 0


def test_the_release_has_its_environment_and_the_others_keep_their_numbers(app: App) -> None:
    app.write(".env", "DATABASE_URL=db\n")
    app.write("procsup.toml", "[processes.release]\nenv = { LEVEL = 'high' }\n")
    app.write("Procfile", f"web: {PROBE}\nrelease: sh -c 'echo $PORT $PS $DATABASE_URL $LEVEL'\n")
    supervisor = app.start("--release")
    supervisor.wait_for(r"release\.1 +\| 5100 release\.1 db high$")
    assert supervisor.probe()["env"]["PORT"] == "5000"
    supervisor.stop()


def test_a_release_that_fails_is_the_exit_code_and_nothing_else_was_started(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nrelease: sh -c 'echo broken; exit 3'\n")
    for arguments in ((), ("--keep-going", "--restart", "never"), ("--restart", "always")):
        supervisor = app.start("--release", *arguments)
        assert supervisor.end() == 3
        assert "release.1 | broken" in supervisor.text
        assert "release.1 failed, and nothing else runs" in supervisor.text or "--keep-going" in arguments
        assert "web.1 started" not in supervisor.text


def test_a_release_that_cannot_be_found_is_127(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nrelease: no-such-program\n")
    assert app.start("--release").end() == 127


def test_ctrl_c_stops_the_release_with_its_grace_and_starts_nothing(app: App) -> None:
    cleans_up = """sh -c 'trap "echo cleaned; exit 0" TERM; echo migrating; while :; do sleep 0.01; done'"""
    app.write("Procfile", f"web: {READY}\nrelease: {cleans_up}\n")
    supervisor = app.start("--release")
    supervisor.wait_for("migrating$")
    with within(1 + NOISE):
        supervisor.send(signal.SIGINT)
        assert supervisor.end() == 130
    assert "cleaned" in supervisor.text
    assert "ready" not in supervisor.text


def test_several_releases_run_one_after_the_other(app: App) -> None:
    app.write(
        "Procfile",
        f"web: {READY}\nmigrate: sh -c 'sleep 0.1; echo migrated'\nassets: sh -c 'echo compiled'\nrelease: {READY}\n",
    )
    app.write(
        "procsup.toml",
        "release = true\n[processes.web]\nrelease = false\n[processes.release]\nrelease = false\n",
    )
    supervisor = app.start("--release")
    app.until_running("web.1", "release.1")  # which is a name like any other now
    supervisor.wait_for("ready", 2)
    said = [line.partition("| ")[2] for line in supervisor.text.splitlines() if "procsup " not in line]
    assert said == ["migrated", "compiled", "ready", "ready"]
    supervisor.stop()


def test_the_second_release_that_fails_ends_it_too(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nmigrate: true\nassets: sh -c 'exit 4'\n")
    app.write("procsup.toml", "[processes.migrate]\nrelease = true\n[processes.assets]\nrelease = true\n")
    supervisor = app.start("--release")
    assert supervisor.end() == 4
    assert "ready" not in supervisor.text


def test_without_the_option_no_release_runs_and_all_means_the_others(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nmigrate: {READY}\nrelease: {READY}\n")
    app.write("procsup.toml", "[processes.migrate]\nrelease = true\n")
    supervisor = app.start("-m", "all=2")
    app.until_running("web.1", "web.2")
    app.ok("scale", "all=1", "--wait")
    app.until_running("web.1")
    supervisor.stop()


def test_a_release_that_is_asked_for_by_name_runs_once(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nrelease: echo migrated; exit $CODE\n")
    app.write("procsup.toml", "restart = 'always'\nenv = { CODE = 3 }\n")
    supervisor = app.start()
    app.until_running("web.1")
    app.run("start", "release")
    app.ok("scale", "release=1")
    failed = app.until(lambda found: found["release.1"]["state"] == "exited")["release.1"]
    assert "exit 3" in failed["why"]
    app.write("procsup.toml", "restart = 'always'\nenv = { CODE = 0 }\n")
    app.ok("reload")
    supervisor.wait_for("release.1 ended: exit 0")
    assert app.until(lambda found: found["release.1"]["state"] == "exited")["release.1"]["why"] == "done"
    assert len(re.findall(r"release\.1 +\| migrated", supervisor.text)) == 2
    assert supervisor.stop() == 0


def test_with_detach_the_command_returns_when_the_others_are_up_or_says_what_failed(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nrelease: sh -c 'echo migrated'\n")
    assert "in the background" in app.ok("start", "--release", "--detach")
    assert app.until_running("web.1")
    assert "migrated" in app.ok("logs", "release")
    app.ok("shutdown")
    app.write("Procfile", f"web: {READY}\nrelease: sh -c 'exit 3'\n")
    said = refused(app.run("start", "--release", "--detach"), 1)
    assert "release.1: exit 3" in said
    assert "web" not in said
    refused(app.run("status"), 3)


def test_a_long_release_is_waited_for_even_where_nobody_comes_after_it(app: App) -> None:
    app.write("Procfile", "release: sh -c 'sleep 1.2; exit 3'\n")  # longer than what runs has to run to count as up
    assert "release.1: exit 3" in refused(app.run("start", "--release", "--detach"), 1)


def test_whom_the_release_needs_starts_before_it_and_ends_with_it(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nrelease: sh -c 'echo migrating; exit 3'\ndb: {READY}\n")
    app.write("procsup.toml", "[processes.release]\ndepends_on = ['db']\n")
    for arguments in ((), ("--keep-going", "--restart", "never")):
        supervisor = app.start("--release", *arguments)
        assert supervisor.end() == 3
        assert supervisor.text.index("db.1 started") < supervisor.text.index("migrating")
        assert "db.1 stopped" in supervisor.text
        assert "web.1 started" not in supervisor.text


def test_names_choose_who_starts_after_it(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nrelease: sh -c 'echo migrated'\nworker: {READY}\n")
    supervisor = app.start("web", "--release")
    supervisor.wait_for("migrated")
    app.until_running("web.1")
    supervisor.stop()


def test_where_nothing_is_a_release_the_option_is_refused(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    said = refused(app.run("start", "--release"), 2)
    assert "--release: Procfile has no release" in said
    assert "release = true" in said


def test_a_reload_meanwhile_does_not_make_it_run_twice(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nrelease: {WAITS}\n")
    supervisor = app.start("--release")
    supervisor.wait_for("migrating$")
    app.ok("reload")
    app.write("go", "")
    supervisor.wait_for("ready$")
    assert supervisor.text.count("migrating") == 1
    assert supervisor.stop() == 0


def test_a_release_that_is_stopped_by_hand_is_skipped(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nrelease: {WAITS}\n")
    supervisor = app.start("--release")
    supervisor.wait_for("migrating$")
    app.ok("stop", "release")
    supervisor.wait_for("ready$")
    app.until_running("web.1")
    assert supervisor.stop() == 0


def test_who_is_scaled_up_meanwhile_waits_too(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nrelease: {WAITS}\n")
    supervisor = app.start("--release")
    supervisor.wait_for("migrating$")
    app.ok("scale", "web=2")
    found = app.instances()
    assert {name: each["pid"] for name, each in found.items() if name != "release.1"} == {"web.1": None, "web.2": None}
    app.write("go", "")
    app.until_running("web.1", "web.2")
    assert supervisor.stop() == 0


def test_where_there_is_nothing_but_the_release_its_end_is_the_end(app: App) -> None:
    app.write("Procfile", "release: sh -c 'echo migrated'\n")
    supervisor = app.start("--release")
    assert supervisor.end() == 0
    assert "migrated" in supervisor.text


def test_it_is_not_kept_so_the_next_start_is_one_without(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nrelease: sh -c 'echo migrated'\n")
    app.start("--release", "-m", "release=2").wait_for("ready$")
    app.ok("scale", "web=2", "--wait")
    assert app.started[0].stop() == 0
    supervisor = app.start()
    app.until_running("web.1", "web.2")
    supervisor.stop()
    assert "migrated" not in supervisor.text
