"""The commands as a person types them: what they print, where they look, and how they refuse."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App

COMMANDS = (
    "start", "scale", "status", "ps", "stop", "restart", "reload", "shutdown",
    "run", "check", "env", "list", "completion",
)  # fmt: skip
TALKING = ("scale", "status", "stop web", "restart", "reload", "shutdown")


@pytest.fixture
def running(app: App) -> App:
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")
    app.start("-p", "6000")
    app.until_running("web.1", "worker.1")
    return app


def refused(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """What it says, in at most two lines."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "bug in procsup" not in done.stderr
    assert 1 <= len(done.stderr.splitlines()) <= 2, done.stderr
    return done.stderr


# Help


def test_procsup_alone_shows_the_help(app: App) -> None:
    said = app.ok()
    assert said == app.ok("--help")
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", said, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_shows_an_example(app: App, command: str) -> None:
    said = app.ok(command, "--help")
    assert re.search(rf"Examples?:\n +procsup ({command}|status)\b", said)
    assert all(len(line) <= 80 for line in said.splitlines())


def test_an_unknown_command_or_option_says_what_was_meant(app: App) -> None:
    assert 'did you mean "status"?' in refused(app.run("statsu"))
    assert "--port" in refused(app.run("start", "--prot", "1"))
    assert "procsup start --help" in refused(app.run("start", "--prot", "1"))


# status, list


KEYS = {"app", "root", "pid", "formation", "instances"}
INSTANCE_KEYS = {
    "name", "type", "number", "state", "pid", "port", "unique_int", "uptime", "restarts", "last_exit", "cpu", "memory",
    "why",
}  # fmt: skip


def test_status_as_json_has_exactly_the_keys_it_promises(running: App) -> None:
    running.ok("stop", "worker")
    status = running.status()
    assert set(status) == KEYS
    assert status["app"] == "app"
    assert status["root"] == str(running.folder)
    assert status["pid"] == running.started[0].pid
    assert status["formation"] == {"web": 1, "worker": 1}
    web, worker = status["instances"]
    assert set(web) == set(worker) == INSTANCE_KEYS
    assert (web["name"], web["type"], web["number"], web["state"], web["port"]) == ("web.1", "web", 1, "running", 6000)
    assert web["uptime"] > 0
    assert web["cpu"] >= 0
    assert web["memory"] > 100_000
    assert web["why"] is web["last_exit"] is None
    assert worker["state"] == "stopped"
    assert worker["pid"] is worker["uptime"] is worker["cpu"] is worker["memory"] is None


@pytest.mark.parametrize("command", ["status", "ps"])
def test_status_is_a_table_with_a_sentence_on_what_is_not_simply_running(running: App, command: str) -> None:
    running.ok("stop", "worker")
    heading, titles, web, worker = running.ok(command).splitlines()
    assert str(running.folder) in heading
    assert titles.split() == ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", "PORT", "WHY"]
    assert web.split()[:2] == ["web.1", "running"]
    assert worker.split()[:3] == ["worker.1", "stopped", "-"]
    assert worker.rstrip().endswith("stopped by request; procsup start worker.1 brings it back")


def test_status_watch_shows_it_again_and_again_until_ctrl_c(running: App) -> None:
    process = subprocess.Popen(
        [*COMMAND, "status", "--watch", "--json"], cwd=running.folder, env=running.environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout as lines:
        assert set(json.loads(lines.readline())) == KEYS
        assert set(json.loads(lines.readline())) == KEYS
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) in (0, 130)


def test_status_memory_and_cpu_are_of_the_whole_tree(app: App) -> None:
    hungry = "x = b'x' * 50_000_000; print('full', flush=True); import time; time.sleep(1000)"
    app.write("Procfile", f"""web: sh -c '"{sys.executable}" -c "$CODE" & wait'\n""")
    app.environment["CODE"] = hungry
    supervisor = app.start()
    supervisor.wait_for("full")
    assert app.status()["instances"][0]["memory"] > 50_000_000
    supervisor.stop()


def test_list_shows_every_supervisor_of_this_user_with_pid_and_root(running: App, tmp_path: Path) -> None:
    other = App(tmp_path / "other")
    other.write("Procfile", "web: sleep 1000\n")
    supervisor = other.start()
    try:
        other.until_running("web.1")
        lines = running.ok("list").splitlines()
        assert f"app  pid {running.started[0].pid}  {running.folder}" in lines
        assert f"other  pid {supervisor.pid}  {other.folder}" in lines
        assert len(lines) == 2
        assert [each["name"] for each in json.loads(running.ok("--app", "other", "status", "--json"))["instances"]] == [
            "web.1"
        ]
    finally:
        other.clean_up()
    assert len(running.ok("list").splitlines()) == 1


# Which supervisor


def test_a_supervisor_is_found_from_any_folder_below_its_root(running: App) -> None:
    below = running.folder / "src" / "deep"
    below.mkdir(parents=True)
    assert running.run("scale", cwd=below).stdout == "web=1\nworker=1\n"
    elsewhere = running.folder.parent
    assert running.run("scale", cwd=elsewhere).returncode == 3
    assert running.run("scale", "-d", "app", cwd=elsewhere).stdout == "web=1\nworker=1\n"
    assert running.run("-f", "app/Procfile", "scale", cwd=elsewhere).stdout == "web=1\nworker=1\n"
    assert running.run("scale", "--app", "app", cwd=elsewhere).stdout == "web=1\nworker=1\n"


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


def test_a_procfile_can_come_from_standard_input(app: App) -> None:
    done = subprocess.run(
        [*COMMAND, "check", "-f", "-"], cwd=app.folder, env=app.environment, input=b"web: x\nno colon\n",
        capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(b"<stdin>:2:1: error: ")


# check, env


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


# run


def test_run_has_the_apps_environment_no_prefix_and_the_commands_exit_code(app: App) -> None:
    app.write("Procfile", "web: sh -c 'echo \"$PS on $PORT: <<UNIQUE_INT>>\"; exit 4'\n")
    app.write(".env", "A=from .env\n")
    assert app.ok("run", "echo $A").strip() == "from .env"
    assert app.ok("run", "printenv", "A").strip() == "from .env"
    assert app.ok("run", "echo", "$A").strip() == "$A"
    done = app.run("run", "web")
    assert (done.returncode, done.stdout) == (4, "web.1 on 5000: 1\n")
    assert app.run("run", "sh", "-c", "kill -9 $$").returncode == -9
    assert app.ok("run", "ls", "-a", "--color=never").split() == [".", "..", ".env", "Procfile"]
    below = app.folder / "below"
    below.mkdir()
    assert app.run("run", "-d", "..", "pwd", cwd=below).stdout.strip() == str(app.folder)
    for command, code in (("no-such-program", 127), ("./Procfile", 126)):
        assert command in refused(app.run("run", command, "x"), code)


def test_run_gives_a_process_type_a_unique_int_that_no_live_instance_has(running: App) -> None:
    running.write("Procfile", "web: sleep 1000\nworker: sleep 1000\njob: echo <<UNIQUE_INT>>\n")
    assert running.ok("run", "job").strip() == "3"


def test_run_has_the_terminal_and_the_default_for_sigpipe(app: App) -> None:
    app.write("Procfile", "web: x\n")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", "sh", "-c", "test -t 0 && test -t 1 && read line && echo got $line && exit 5"],
        cwd=app.folder, env=app.environment, stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    os.write(master, b"these words\n")
    code = process.wait(PATIENCE)
    said = os.read(master, 4096)
    os.close(master)
    assert (code, b"got these words" in said) == (5, True), said
    assert int(re.search(r"SigIgn:\s+(\w+)", app.ok("run", "cat", "/proc/self/status"))[1], 16) == 0


# Odds and ends


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(app: App, shell: str) -> None:
    assert "_PROCSUP_COMPLETE" in app.ok("completion", shell)


def test_completion_completes_commands_and_process_types(app: App) -> None:
    app.write("Procfile", "web: x\nworker: y\n")

    def complete(words: str) -> list[str]:
        app.environment |= {
            "_PROCSUP_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        return [line.split(",")[1] for line in app.run().stdout.splitlines()]

    assert complete("procsup sta") == ["start", "status"]
    assert complete("procsup stop wo") == ["worker"]


GARBAGE: tuple[tuple[str, ...], ...] = (
    ("start", "--port", "http"),
    ("start", "--port", "70000"),
    ("start", "--grace", "-1"),
    ("start", "--grace", "nan"),
    ("start", "--grace", "inf"),
    ("start", "-d", ""),
    ("start", "-q", ""),
    ("start", "--restart", "sometimes"),
    ("start", "--color", "blue"),
    ("start", "--format", "xml"),
    ("start", "--quiet", "wbe"),
    ("start", "wbe"),
    ("start", "-m", ""),
    ("start", "-m", "web=1=2"),
    ("start", "-m", "web=\u0661"),
    ("start", "-f", "no-such-file"),
    ("start", "-f", ""),
    ("start", "-d", "no-such-folder"),
    ("start", "-e", "no-such-file"),
    ("start", "-e", ","),
    ("start", "-E", "a/b"),
    ("start", "-E", "a\nb"),
    ("start", "-f", "."),
    ("check", "extra"),
    ("env", "web", "extra"),
    ("stop",),
    ("run",),
    ("completion", "tcsh"),
    ("-x",),
    ("no\nsuch\x1b[31m",),
    ("scale", "web=1\n2"),
    ("start", "we\udcffb"),
)


@pytest.mark.parametrize("arguments", GARBAGE, ids=lambda arguments: repr(" ".join(arguments)))
def test_garbage_is_refused_in_a_line_or_two_and_nothing_is_started(app: App, arguments: tuple[str, ...]) -> None:
    app.write("Procfile", "web: touch started\n")
    done = app.run(*arguments)
    refused(done)
    assert "\x1b" not in done.stderr
    assert done.stdout == ""
    assert not (app.folder / "started").exists()


def test_a_command_whose_reader_has_gone_says_nothing(running: App) -> None:
    read, write = os.pipe()
    os.close(read)
    for command in (("status",), ("env",), ("check",), ("--help",)):
        done = subprocess.run(
            [*COMMAND, *command], cwd=running.folder, env=running.environment, stdout=write,
            stderr=subprocess.PIPE, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.stderr == b""
    os.close(write)


def test_a_client_that_is_killed_does_not_end_what_it_asked_for(app: App) -> None:
    app.write("Procfile", """deaf: sh -c 'trap "" TERM; echo deaf; while :; do sleep 1000; done'\nweb: sleep 1000\n""")
    supervisor = app.start("--grace", "1")
    supervisor.wait_for("deaf$")
    client = subprocess.Popen([*COMMAND, "restart", "deaf"], cwd=app.folder, env=app.environment)
    before = app.until(lambda found: found["deaf.1"]["state"] == "stopping")["deaf.1"]["pid"]
    client.kill()
    client.wait()
    supervisor.wait_for("deaf$", 2)
    assert app.instances()["deaf.1"]["pid"] not in (before, None)
    supervisor.stop()


def test_several_terminals_at_once_are_all_answered(running: App) -> None:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(running.ask("status"))) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 30
    assert all(set(answer) == KEYS for answer in answers)
