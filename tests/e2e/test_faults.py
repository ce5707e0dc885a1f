"""Ordinary faults of the world around: a line or two that say what to do, never a traceback, never "a bug"."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import app as terminal
from tests.e2e.app import COMMAND, PATIENCE, App
from tests.e2e.refusal import refused


@pytest.fixture
def project(app: App) -> App:
    app.write("Procfile", "web: sleep 1000\n")
    return app


def write_to(target: str, app: App, *arguments: str) -> subprocess.CompletedProcess[str]:
    with open(target, "w") as stdout:
        return subprocess.run(
            [*COMMAND, *arguments], cwd=app.folder, env=app.environment, stdout=stdout, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip


@pytest.mark.parametrize("arguments", [("check",), ("--help",), ("env",), ("check", "--help")])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_the_output_is_said(project: App, arguments: tuple[str, ...], unbuffered: str) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    project.environment["PYTHONUNBUFFERED"] = unbuffered
    said = refused(write_to("/dev/full", project, *arguments), 1)
    assert "cannot write to standard output (No space left on device); send it" in said


@pytest.mark.parametrize("arguments", [("check",), ("env",), ("--help",)])
def test_a_closed_output_is_said(project: App, arguments: tuple[str, ...]) -> None:
    said = refused(project.run(*arguments, preexec_fn=lambda: os.close(1)), 1)
    assert "cannot write to standard output" in said


def close_all() -> None:
    os.closerange(0, 3)


def test_all_streams_closed_change_nothing_but_the_words(project: App) -> None:
    assert project.run("check", preexec_fn=close_all).returncode == 1
    assert project.run("nonsense", preexec_fn=close_all).returncode == 2


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)], ids=str)
def test_a_supervisor_runs_with_streams_that_are_closed(project: App, closed: tuple[int, ...]) -> None:
    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    supervisor = project.start(preexec_fn=close)
    project.until_running("web.1")
    assert supervisor.stop() == 0
    assert "bug" not in supervisor.text


def test_detaching_with_all_streams_closed_brings_up_what_it_should(project: App) -> None:
    project.run("start", "--detach", preexec_fn=close_all)
    project.until_running("web.1")
    project.ok("shutdown")


@pytest.mark.parametrize("arguments", [("check",), ("start",), ("status",), ("run", "x")])
def test_a_folder_that_is_gone_is_said(project: App, arguments: tuple[str, ...]) -> None:
    gone = project.folder / "gone"
    gone.mkdir()
    said = refused(project.run(*arguments, cwd=gone, preexec_fn=gone.rmdir), 1)
    assert "the folder that procsup was called in cannot be found" in said
    assert project.run("list", cwd=project.folder, preexec_fn=lambda: None).returncode == 0


def test_a_closed_standard_input_is_said(project: App) -> None:
    said = refused(project.run("check", "-f", "-", preexec_fn=lambda: os.close(0)))
    assert said.startswith("<stdin>:1:1: error: cannot be read (Bad file descriptor); give it a Procfile")


def test_a_standard_input_without_end_is_refused(project: App) -> None:
    def endless() -> None:
        os.dup2(os.open("/dev/zero", os.O_RDONLY), 0)

    assert "<stdin>:1:1: error: is larger than 8 MiB" in refused(project.run("check", "-f", "-", preexec_fn=endless))


def test_a_value_that_doubles_and_doubles_is_an_error_and_not_the_end_of_memory(project: App) -> None:
    project.write(".env", "A=xxxxxxxxxxxxxxxx\n" + "A=${A}${A}\n" * 40)
    limit = 500 * 1024 * 1024
    done = project.run("check", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert ".env:18:1: error: the value is longer than 1 MiB" in refused(done)


def test_a_folder_in_place_of_the_env_file_gets_advice_that_helps(project: App) -> None:
    (project.folder / ".env").mkdir()
    assert ".env:1:1: error: is a folder; put a file there that can be read" in refused(project.run("check"))


# Raises KeyboardInterrupt, as Ctrl-C does, when a module is about to be imported.
_INTERRUPTED = """
import os, signal, sys
unlucky = sys.argv.pop()
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == unlucky:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from procsup.__main__ import main
sys.argv.append("check")
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["procsup.cli.main", "click", "procsup.cli.check", "procsup.config.project"])
def test_ctrl_c_while_procsup_is_still_loading_ends_it_in_silence(project: App, module: str) -> None:
    done: Any = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, module], cwd=project.folder, env=project.environment,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")


_WITH_A_BUG = """
import sys
from procsup.runtime.requests import Requests
async def fail(*arguments):
    raise KeyError("a bug")
Requests._formation = fail
from procsup.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("debug", ["", "1"], ids=["for people", "with all details"])
def test_a_bug_in_what_the_supervisor_is_asked_leaves_its_trace_in_the_output(
    project: App, monkeypatch: pytest.MonkeyPatch, debug: str
) -> None:
    project.environment["PROCSUP_DEBUG"] = debug
    with monkeypatch.context() as patch:
        patch.setattr(terminal, "COMMAND", (sys.executable, "-c", _WITH_A_BUG))
        supervisor = project.start()
    project.until_running("web.1")
    assert "kept it from carrying out formation; its output says more" in refused(project.run("scale"), 1)
    bug = supervisor.wait_for("warning: an error inside procsup kept it from carrying out formation: KeyError: (.*)$")
    assert bug[1] == ("'a bug'" if debug else "'a bug'; PROCSUP_DEBUG=1 shows where")
    if debug:
        supervisor.wait_for(", in fail$")
    assert supervisor.stop() == 0
    assert ("Traceback" in supervisor.text) == bool(debug)


def test_the_command_begins_where_ctrl_c_is_looked_after() -> None:
    begins = 'procsup = "procsup.__main__:main"'
    assert begins in Path(__file__).parents[2].joinpath("pyproject.toml").read_text()


@pytest.mark.parametrize("command", ["status", "scale", "list", "check"])
def test_a_reader_that_leaves_is_no_failure(app: App, command: str) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.start()
    app.until_running("web.1")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, command], cwd=app.folder, env=app.environment, stdout=write, stderr=subprocess.PIPE,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
