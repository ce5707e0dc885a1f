"""Which project is meant: options, variables, files, and the folder one is in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App
from tests.e2e.refusal import refused

TALKING = ("scale", "status", "stop web", "restart", "reload", "shutdown")


def test_a_supervisor_is_found_from_any_folder_below_its_root(running: App) -> None:
    below = running.folder / "src" / "deep"
    below.mkdir(parents=True)
    assert running.run("scale", cwd=below).stdout == "web=1\nworker=1\n"
    elsewhere = running.folder.parent
    assert running.run("scale", cwd=elsewhere).returncode == 3
    assert running.run("scale", "-d", "app", cwd=elsewhere).stdout == "web=1\nworker=1\n"
    assert running.run("-f", "app/Procfile", "scale", cwd=elsewhere).stdout == "web=1\nworker=1\n"
    assert running.run("scale", "--app", "app", cwd=elsewhere).stdout == "web=1\nworker=1\n"


def test_start_sees_a_running_supervisor_of_another_procfile_or_a_folder_above(app: App) -> None:
    app.write("Procfile.example", "web: sleep 1000\n")
    supervisor = app.start("-f", "Procfile.example")
    app.until_running("web.1")
    below = app.folder / "src"
    below.mkdir()
    for folder in (app.folder, below):
        said = refused(app.run("start", cwd=folder), 3)
        assert f"a supervisor runs already for {app.folder} (pid {supervisor.pid})" in said
        assert app.run("stop", "web", cwd=folder).stdout == "stopped web.1\n"
        assert app.run("start", "web", cwd=folder).stdout == "started web.1\n"
    assert refused(app.run("start", "-f", "Procfile.other")).startswith("Procfile.other:1:1: error: ")
    supervisor.stop()
    assert refused(app.run("start")).startswith("Procfile:1:1: error: ")


def test_two_of_one_name_are_an_error_that_lists_the_roots(running: App, tmp_path: Path) -> None:
    (tmp_path / "twin").mkdir()
    other = App(tmp_path / "twin" / "app")
    other.write("Procfile", "web: sleep 1000\n")
    other.start()
    try:
        other.until_running("web.1")
        said = refused(running.run("status", "--app", "app"))
        assert str(running.folder) in said
        assert str(other.folder) in said
    finally:
        other.clean_up()


@pytest.mark.parametrize("command", TALKING)
def test_where_none_runs_the_exit_code_is_3_and_the_root_is_named(app: App, command: str) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    said = refused(app.run(*command.split()), 3)
    assert f"no supervisor is running for {app.folder}" in said
    assert 'application "nothing"' in refused(app.run(*command.split(), "--app", "nothing"), 3)


# Common options, variables, which file


def test_common_options_stand_before_or_after_the_command_and_behind_wins(app: App) -> None:
    app.write("one", "first: x\n")
    app.write("two", "second: x\n")
    app.write("extra", "A=extra\n")
    assert "first" in app.ok("-f", "one", "check")
    assert "first" in app.ok("check", "-f", "one")
    assert "second" in app.ok("-f", "one", "check", "-f", "two")
    assert "A=extra" in app.ok("-e", "extra", "env", "-f", "one").splitlines()
    assert "A=extra" in app.ok("-f", "one", "env", "-e", "extra").splitlines()
    app.environment["A"] = "inherited"
    assert "A=extra" in app.ok("--env-override", "-f", "one", "env", "-e", "extra").splitlines()


def test_every_option_has_a_variable_and_what_is_typed_wins_over_it(app: App) -> None:
    app.write("Procfile", "web: x\n")
    app.write("other", "second: x\n")
    app.write("third", "third: x\n")
    app.write("a", "A=1\n")
    app.write("b", "B=2\n")
    app.environment |= {"PROCSUP_CHECK_PROCFILE": "other", "PROCSUP_ENV_ENV": "a,b", "PROCSUP_CHECK_EXPAND": "1"}
    assert "second.1  port 5000" in app.ok("check")
    assert "third" in app.ok("check", "-f", "third")
    assert "third" in app.ok("-f", "third", "check")
    assert {"A=1", "B=2"} <= set(app.ok("env").splitlines())


def test_start_takes_its_options_from_variables_as_well(app: App) -> None:
    app.write("Procfile", "web: sh -c 'echo ready; exec sleep 1000'\nnoisy: sh -c 'echo noise; exec sleep 1000'\n")
    app.environment |= {
        "PROCSUP_START_PORT": "6000",
        "PROCSUP_START_FORMATION": "web=2",
        "PROCSUP_START_NO_TIMESTAMPS": "1",
        "PROCSUP_START_QUIET": "noisy",
    }
    supervisor = app.start()
    supervisor.wait_for(r"^web\.\d +\| ready$", 2)
    assert {each["port"] for each in app.until_running("web.1", "web.2", "noisy.1").values()} == {6000, 6001, 6100}
    supervisor.stop()
    assert "noise" not in supervisor.text


@pytest.mark.parametrize("how", ["PROCSUP_ENV", "-E"])
def test_the_name_of_the_environment_chooses_procfile_and_env_file(app: App, how: str) -> None:
    app.write("Procfile", "plain: x\n")
    app.write(".env", "FROM=.env\nPLAIN=1\n")
    app.write(".env.staging", "FROM=.env.staging\n")
    arguments = ["-E", "staging"] if how == "-E" else []
    if not arguments:
        app.environment["PROCSUP_ENV"] = "staging"
    assert "plain" in app.ok("check", *arguments)
    assert {"FROM=.env.staging", "PLAIN=1"} <= set(app.ok("env", *arguments).splitlines())
    app.write("Procfile.staging", "dotted: x\n")
    assert "Procfile.staging is valid: dotted" in app.ok("check", *arguments)
    app.write("Procfile_staging", "underlined: x\n")
    assert "Procfile_staging is valid: underlined" in app.ok("check", *arguments)


def test_f_wins_over_the_environments_procfile_and_that_over_the_variable(app: App) -> None:
    for name in ("one", "two", "three", "Procfile", "Procfile_staging"):
        app.write(name, f"{name}: x\n".replace("Procfile", "default"))
    app.write(".env", "PROCFILE=two\n")
    assert "two" in app.ok("check")
    app.environment["PROCFILE"] = "three"
    assert "three" in app.ok("check")
    assert "default_staging" in app.ok("check", "-E", "staging")
    assert "one" in app.ok("check", "-f", "one", "-E", "staging")


def test_a_procfile_named_by_the_variable_is_found_by_every_command(app: App) -> None:
    (app.folder / "deploy").mkdir()
    app.write("deploy/Procfile.web", "web: sleep 1000\n")
    app.environment["PROCFILE"] = "deploy/Procfile.web"
    app.start()
    app.started[0].wait_for("web.1 started")
    assert app.ok("scale") == "web=1\n"
    app.ok("shutdown")


@pytest.mark.parametrize("env_files", [(), ("-e", "other.env")], ids=["env", "other"])
def test_a_procfile_named_by_the_env_file_is_found_by_every_command(app: App, env_files: tuple[str, ...]) -> None:
    (app.folder / "deploy").mkdir()
    app.write("deploy/Procfile", "web: sleep 1000\n")
    app.write("other.env" if env_files else ".env", "PROCFILE=deploy/Procfile\n")
    supervisor = app.start("web", *env_files)
    supervisor.wait_for("web.1 started")
    assert app.ok("scale", *env_files) == "web=1\n"
    assert app.run("scale", cwd=app.folder / "deploy").stdout == "web=1\n"
    assert app.ok("start", "web", *env_files) == "started web.1\n"
    app.ok("shutdown", *env_files)
    assert f"no supervisor is running for {app.folder}/deploy" in refused(app.run("scale", *env_files), 3)


def test_the_environments_procfile_wins_over_the_variable_for_every_command(app: App) -> None:
    (app.folder / "deploy").mkdir()
    app.write("deploy/Procfile", "elsewhere: sleep 1000\n")
    app.write("Procfile_dev", "web: sleep 1000\n")
    app.environment["PROCFILE"] = "deploy/Procfile"
    app.start("-E", "dev").wait_for("web.1 started")
    assert app.ok("scale", "-E", "dev") == "web=1\n"
    assert f"no supervisor is running for {app.folder}/deploy" in refused(app.run("scale"), 3)


def test_a_broken_env_file_does_not_hide_a_supervisor_that_runs(running: App) -> None:
    running.write(".env", "PROCFILE=Procfile\nnonsense\n")
    assert running.ok("scale") == "web=1\nworker=1\n"
    running.ok("shutdown")
    assert refused(running.run("scale")).startswith(".env:2:1: error: ")


def test_a_procfile_can_come_from_standard_input(app: App) -> None:
    done = subprocess.run(
        [*COMMAND, "check", "-f", "-"], cwd=app.folder, env=app.environment, input=b"web: x\nno colon\n",
        capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(b"<stdin>:2:1: error: ")
