"""`procsup install --print`, and what install refuses. That the unit does what it says is shown by tests/boot."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from procsup.cli.service import with_sudo
from tests.e2e.app import App
from tests.faults.needs import needs

_ROOT = os.geteuid() == 0
# Where a systemd runs, root's `procsup install` would be in earnest.
_BOOTED = os.path.isdir("/run/systemd/system")
_ME = pwd.getpwuid(os.geteuid()).pw_name
verifies = needs(shutil.which("systemd-analyze") is not None, "needs systemd-analyze (apt-get install systemd)")
harmless = pytest.mark.skipif(_BOOTED, reason="a systemd runs here, and would do what is asked")


@pytest.fixture
def project(app: App) -> App:
    app.write("Procfile", "web: exec sleep 1000\nworker: exec sleep 1000\n")
    return app


def _lines(app: App, *arguments: str) -> dict[str, str]:
    """The unit, by what stands before the `=`."""
    unit = app.ok("install", "--print", *arguments)
    return dict(line.split("=", 1) for line in unit.splitlines() if "=" in line)


def _start_words(app: App, *arguments: str) -> list[str]:
    words = shlex.split(_lines(app, *arguments)["ExecStart"].removeprefix(":"))
    assert words[1:5] == ["-P", "-m", "procsup", "start"]
    return words[5:]


def test_print_shows_the_unit_and_does_nothing(project: App) -> None:
    lines = _lines(project)
    assert lines["Type"] == "notify"
    assert lines["User"] == _ME
    assert lines["WorkingDirectory"] == str(project.folder)
    assert (lines["KillMode"], lines["Delegate"], lines["OOMPolicy"]) == ("mixed", "yes", "continue")
    assert (lines["RuntimeDirectory"], lines["RuntimeDirectoryMode"]) == ("procsup-system/app", "0700")
    assert lines["ExecReload"].endswith(f"reload --root {project.folder}")
    assert "EnvironmentFile" not in lines
    assert project.ok("install", "--print") == project.ok("install", "--print")
    assert not Path("/etc/systemd/system/procsup-app.service").exists()


def test_a_user_s_own_unit_has_only_what_a_user_may_say(project: App) -> None:
    lines = _lines(project, "--user")
    assert lines["WantedBy"] == "default.target"
    assert not {"User", "RuntimeDirectory", "ProtectSystem", "After"} & set(lines)
    assert project.environment["PROCSUP_STATE_DIR"] in project.ok("install", "--print", "--user")


@verifies
@pytest.mark.parametrize("user", [(), ("--user",)])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, project: App, user: tuple[str, ...]) -> None:
    folder = tmp_path / "50% of $HOME 'one' \"two\" \\back ☃"
    project.folder.rename(folder)
    unit = tmp_path / "procsup-shop.service"
    unit.write_text(project.run("-d", str(folder), "install", "--print", "--name", "shop", *user, cwd=tmp_path).stdout)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *user, unit], capture_output=True, text=True, timeout=60, check=False
    )
    assert "procsup-shop" not in done.stderr
    assert done.returncode == 0 or user, done.stderr  # without a user's systemd there is no default.target


def test_the_stop_has_more_time_than_the_longest_grace(project: App) -> None:
    assert 15 + 5 < int(_lines(project)["TimeoutStopSec"]) < 60
    project.write("procsup.toml", '[processes.worker]\nstop = "TSTP, 10, TERM, 600, KILL"\n')
    assert 610 + 5 < int(_lines(project)["TimeoutStopSec"]) < 660
    assert int(_lines(project, "-t", "100")["TimeoutStopSec"]) > 100 + 5


def test_options_are_handed_on_so_that_they_hold_from_anywhere(project: App) -> None:
    root = str(project.folder)
    assert _start_words(project) == ["--root", root]
    project.write("Procfile.production", "web: exec sleep 1000\n")
    project.write("more.env", "A=b\n")
    words = _start_words(project, "-f", "Procfile.production", "-E", "production", "-e", "more.env", "--env-override")
    assert words == [
        *("--root", root, "--procfile", f"{root}/Procfile.production", "--env-name", "production"),
        *("--env", f"{root}/more.env", "--env-override"),
    ]
    words = _start_words(
        project, "-p", "7000", "-t", "1.5", "-q", "web", "-q", "worker", "--log-dir", "log", "--release"
    )
    assert words[2:] == [
        *("--port", "7000", "--grace", "1.5", "--quiet", "web,worker", "--log-dir", f"{root}/log", "--release")
    ]
    project.environment["PROCFILE"] = "Procfile.production"
    assert _start_words(project)[2:] == ["--procfile", f"{root}/Procfile.production"]


def test_a_release_that_fails_is_not_run_again_and_again(project: App) -> None:
    assert _lines(project)["Restart"] == "on-failure"
    assert _lines(project, "--release")["Restart"] == "on-abnormal"


def test_how_many_is_no_part_of_the_unit_because_scale_has_the_last_word(project: App) -> None:
    assert project.ok("install", "--print", "-m", "web=3") == project.ok("install", "--print")
    assert project.run("install", "--print", "-m", "wrb=3").returncode == 2


def test_no_secret_is_in_the_unit(project: App) -> None:
    project.environment["DATABASE_URL"] = "hush-1"
    project.write(".env", "API_TOKEN=hush-2\n")
    done = project.run("install", "--print", "--set", "DATABASE_URL", "--set", "OTHER=hush-3")
    assert done.returncode == 0
    assert "hush" not in done.stdout + done.stderr
    assert "EnvironmentFile=/etc/procsup/app.env" in done.stdout
    assert "DATABASE_URL, OTHER" in done.stderr


def test_the_path_is_as_it_is_here_but_for_what_depends_on_the_folder(project: App) -> None:
    project.environment["PATH"] = "relative::/usr/bin:/bin:/usr/bin"
    assert _lines(project)["Environment"] == '"PATH=/usr/bin:/bin"'


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--name", "a/b"), 2, "'a/b' cannot be the name of a unit"),
        (("--as", "nobody-at-all"), 2, 'there is no user "nobody-at-all"'),
        (("--user", "--as", "root"), 2, "--user runs as you are"),
        (("--set", "NOT_SET_ANYWHERE"), 2, "it has no value here"),
        (("--set", "A B=c"), 2, "'A B' is no name of a variable"),
        (("--set", "A=\x1b"), 2, "A has the control character"),
        (("-f", "-"), 2, "standard input"),
        (("-q", "wrb"), 2, 'did you mean "web"'),
    ],
)
def test_what_makes_no_sense_is_refused(project: App, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = project.run("install", "--print", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_a_variable_that_sudo_has_left_out_is_told_with_what_keeps_it(project: App) -> None:
    said = project.run("install", "--print", "--set", "NOT_SET").stderr
    assert "sudo --preserve-env=NOT_SET" in said


def test_the_command_line_for_root_can_be_run_as_it_is(project: App) -> None:
    module = with_sudo(["/lib/procsup/__main__.py", "install", "--help"], kept=["A", "B"])
    sudo, keep, *words = shlex.split(module)
    assert (sudo, keep) == ("sudo", "--preserve-env=A,B")
    assert "Usage:" in subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    assert with_sudo(["/bin/procsup", "uninstall"], kept=[]) == "sudo /bin/procsup uninstall"


_FULL = """
import resource, sys
from procsup.cli.files_of_ours import write_ours
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
write_ours(sys.argv[1], "longer than that", 0o600)
"""


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    words = [sys.executable, "-c", _FULL, str(tmp_path / "unit")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "unit cannot be written: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_mistakes_in_the_files_come_before_anything_else(project: App) -> None:
    project.write("Procfile", "no colon\n")
    assert project.run("install").returncode == 2


@pytest.mark.skipif(not _ROOT, reason="only root can be told to run as somebody else")
def test_a_user_who_cannot_become_the_types_users_is_told_so(project: App) -> None:
    project.write("procsup.toml", '[processes.worker]\nuser = "root"\n')
    assert project.run("install", "--print").returncode == 0
    done = project.run("install", "--print", "--as", "nobody")
    assert done.returncode == 2
    assert 'procsup.toml:2: worker is to run as "root", and the unit would run as nobody' in done.stderr


@pytest.mark.skipif(not _ROOT, reason="needs another user")
def test_who_has_no_home_of_his_own_gets_a_folder_for_the_state_from_systemd(project: App) -> None:
    unit = project.ok("install", "--print", "--as", "nobody")
    assert "StateDirectory=procsup-app" in unit
    assert 'Environment="PROCSUP_STATE_DIR=/var/lib/procsup-app"' in unit


@harmless
@pytest.mark.parametrize("arguments", [(), ("--user",)])
def test_without_systemd_it_says_what_there_is_instead(project: App, arguments: tuple[str, ...]) -> None:
    done = project.run("install", *arguments)
    assert done.returncode == 1
    assert "there is no systemd that runs here; procsup start --detach" in done.stderr
    done = project.run("uninstall", *arguments)
    assert done.returncode == 1
    assert f"nothing is installed for {project.folder}" in done.stderr


def test_a_folder_that_no_unit_can_name_is_refused(tmp_path: Path, project: App) -> None:
    folder = tmp_path / "two\nlines"
    project.folder.rename(folder)
    done = project.run("install", "--print", cwd=folder)
    assert done.returncode == 2
    assert "newline" in done.stderr
