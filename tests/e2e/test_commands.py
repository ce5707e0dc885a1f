"""All commands alike: their help, how they refuse nonsense, and how they end."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from typing import Any

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App
from tests.e2e.refusal import refused
from tests.e2e.test_status import KEYS

COMMANDS = (
    "start", "scale", "status", "ps", "stop", "restart", "reload", "upgrade", "shutdown",
    "run", "check", "env", "list", "completion",
)  # fmt: skip


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


@pytest.mark.parametrize("command", ["start", "install", "export", "logs", "wait"])
def test_a_help_names_units_and_not_kinds_of_numbers(app: App, command: str) -> None:
    assert " RANGE" not in app.ok(command, "--help")


def test_what_is_no_number_is_told_in_words_of_its_unit(app: App) -> None:
    assert "'soon' is not a valid number of seconds" in refused(app.run("start", "--grace", "soon"))
    assert "'http' is not a valid port" in refused(app.run("start", "--port", "http"))
    assert "'few' is not a valid whole number" in refused(app.run("logs", "-n", "few"))


def test_a_missing_argument_is_told_with_its_choices_in_one_line(app: App) -> None:
    assert "Choose from: bash, zsh, fish\n" in refused(app.run("completion"))
    assert "Choose from: systemd, supervisord, runit" in refused(app.run("export"))


@pytest.mark.parametrize("command", ["start", "stop", "restart", "logs", "wait"])
def test_several_names_in_a_word_or_a_count_are_told_how_to_be_written(running: App, command: str) -> None:
    assert "write them apart: web worker\n" in refused(running.run(command, "web,worker"))
    assert "counts are for start -m and procsup scale\n" in refused(running.run(command, "web=2"))


def test_an_unknown_command_or_option_says_what_was_meant(app: App) -> None:
    assert 'did you mean "status"?' in refused(app.run("statsu"))
    assert "--port" in refused(app.run("start", "--prot", "1"))
    assert "procsup start --help" in refused(app.run("start", "--prot", "1"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(app: App, shell: str) -> None:
    assert "_PROCSUP_COMPLETE" in app.ok("completion", shell)


def test_completion_completes_commands_and_process_types(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")

    def complete(words: str) -> list[str]:
        asked = {
            "_PROCSUP_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        done = subprocess.run(
            COMMAND, cwd=app.folder, env=app.environment | asked, capture_output=True, text=True, timeout=PATIENCE
        )
        return [line.split(",")[1] for line in done.stdout.splitlines()]

    assert complete("procsup sta") == ["start", "status"]
    assert complete("procsup stop wo") == ["worker"]
    assert complete("procsup scale wo") == ["worker="]
    assert complete("procsup run w") == ["web", "worker"]
    app.start()
    app.until_running("web.1", "worker.1")
    assert complete("procsup restart w") == ["web", "worker", "web.1", "worker.1"]
    (app.folder / "below").mkdir()
    app.write("below/Procfile", "another: x\n")
    assert complete("procsup -d below env a") == ["another"]


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
    before = app.until_running("deaf.1", "web.1")["deaf.1"]["pid"]
    client = subprocess.Popen([*COMMAND, "restart", "deaf"], cwd=app.folder, env=app.environment)
    supervisor.wait_for(r"deaf\.1 stopping")  # whoever asks for the state may come when that is over
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
