"""`procsup upgrade` and SIGUSR2: the supervisor becomes another version, and nobody who runs under it notices."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from procsup import __version__
from tests.e2e.app import COMMAND, PATIENCE, App, alive
from tests.e2e.refusal import refused
from tests.e2e.versions import SITE_PACKAGES, Gap, other_version
from tests.faults.watching import NOISE, everybody, guardian_of, until

TAKING_OVER = "runtime/upgrade/taking_over.py"

COUNTER = """\
import os, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
number = 0
while signal.SIGTERM not in signal.sigpending():  # it ends with a whole line
    lines = b"".join(b"%d\\n" % n for n in range(number, number + 50))
    number += 50
    os.write(1, lines[:-20])  # most of the time a line is not finished yet
    os.write(1, lines[-20:])
    os.write(2, b"e%d\\n" % number)
    time.sleep(0.004)
"""
SLOW = """\
import os, time
number = 0
while not os.path.exists("enough"):
    os.write(1, b"%d," % number)
    number += 1
    time.sleep(0.03)
os.write(1, b"\\n")
"""
# Tells on SIGUSR1 to the end what it has begun to say.
HALF = """\
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.write(1, b"ready\\nhalf")
signal.sigwait({signal.SIGUSR1})
os.write(1, b" and whole\\n")
signal.pause()
"""


@pytest.fixture
def gap(tmp_path: Path) -> Gap:
    return Gap(tmp_path)


def upgrading(app: App, gap: Gap) -> subprocess.Popen[str]:
    """The command, when the supervisor is in the gap."""
    command = subprocess.Popen(
        [*COMMAND, "upgrade", "--python", str(gap.python)],
        cwd=app.folder,
        env=app.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    gap.wait()
    return command


def kept(instance: dict[str, Any]) -> dict[str, Any]:
    """What does not change by itself."""
    return {key: value for key, value in instance.items() if key not in ("uptime", "cpu", "memory")}


def numbers(lines: list[str]) -> list[int]:
    return [int(line) for line in lines if line.isdigit()]


def test_everything_is_as_it_was_but_the_version(app: App, tmp_path: Path) -> None:
    app.write(
        "once.py", "import os, signal\nif not os.path.exists('x'): open('x', 'w'); raise SystemExit(3)\nsignal.pause()"
    )
    app.write(
        "Procfile", f"web: sh -c 'echo ready; exec sleep 1000'\nonce: {sys.executable} -S once.py\nother: sleep 1000\n"
    )
    supervisor = app.start("-m", "web=2,once=1,other=1")
    app.until(lambda found: found["other.1"]["state"] == "running")
    app.ok("stop", "other")
    app.ok("scale", "web=3")
    app.until(lambda found: found["once.1"]["restarts"] == 1 and found["once.1"]["state"] == "running")
    supervisor.wait_for("ready", 3)
    before = app.status()
    python = other_version(tmp_path / "new", {})
    said = app.ok("upgrade", "--python", python)
    after = app.status()
    assert f"pid {supervisor.pid} was procsup {__version__} and is procsup 9.9 now" in said
    assert after["pid"] == before["pid"] == supervisor.pid
    assert after["formation"] == before["formation"] == {"web": 3, "once": 1, "other": 1}
    assert list(map(kept, after["instances"])) == list(map(kept, before["instances"]))
    for one, other in zip(before["instances"], after["instances"], strict=True):
        assert other["uptime"] is None or other["uptime"] >= one["uptime"]
    info = app.ask("info")
    assert info["version"] == "9.9"
    assert info["upgrades"] == 1
    assert app.ok("logs", "web", "--no-timestamps").count("ready") == 3
    assert Path(f"/proc/{supervisor.pid}/cmdline").read_text().endswith("\0start\0-m\0web=2,once=1,other=1\0")
    assert python in Path(f"/proc/{guardian_of(supervisor.pid)}/cmdline").read_text()  # the other may be gone soon
    app.ok("restart", "once")
    app.ok("scale", "web=1", "--wait")
    assert supervisor.stop() == 0
    assert "Traceback" not in supervisor.text


def test_what_is_installed_in_the_place_of_our_own_files_takes_over(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `pip install --upgrade` does it; what writes our memory down must not be the new version's."""
    python = Path(other_version(tmp_path / "own", {}))
    package = python.parents[1] / SITE_PACKAGES / "procsup"
    monkeypatch.setattr("tests.e2e.app.COMMAND", (str(python), "-m", "procsup"))
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start()
    before = app.until_running("web.1")
    for version, old, new in (("10.0", "_sent", "_told_by_us"), ("10.1", "_told_by_us", "_was_told")):
        for path in package.rglob("*.py"):
            path.write_text(re.sub(rf"\b{old}\b", new, path.read_text()))
        (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
        for cache in list(package.rglob("__pycache__")):
            shutil.rmtree(cache)  # of the same second and length as the new ones are, and so taken for theirs
        assert f"and is procsup {version} now" in app.ok("upgrade")
    assert kept(app.instances()["web.1"]) == kept(before["web.1"])
    assert supervisor.stop() == 0


def test_when_our_own_files_are_gone_it_goes_on_and_so_does_an_upgrade_to_others(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = Path(other_version(tmp_path / "own", {}))
    others = python.parents[1] / SITE_PACKAGES / "others.pth"
    (tmp_path / "needed").symlink_to(others.read_text().strip())
    others.write_text(f"{tmp_path / 'needed'}\n")
    app.write("Procfile", "web: echo ready; exec sleep 1000\nother: own/program $SECRET\n")
    with monkeypatch.context() as before:
        before.setattr("tests.e2e.app.COMMAND", (str(python), "-m", "procsup"))
        supervisor = app.start("-m", "web=2,other=0")
        app.until_running("web.1", "web.2")
        supervisor.wait_for(r"\| ready$", 2)
    shutil.rmtree(tmp_path / "own")
    (tmp_path / "needed").unlink()
    found = app.status()
    assert [each["state"] for each in found["instances"]] == ["running", "running"]
    assert {each["cpu"] for each in found["instances"]} == {None}
    assert "CPU and memory are not known: No module named 'psutil'; if " in found["trouble"]
    assert "warning: CPU and memory are not known" in app.ok("status")
    app.ask("scale", changes=[{"type": "other", "count": 1, "relative": False}])
    supervisor.wait_for("other.1 could not be started")
    app.ok("scale", "other=0", "web=1", "--wait")
    assert "Traceback" not in supervisor.text
    app.ok("restart", "web")
    supervisor.wait_for(r"\| ready$", 3)
    assert app.ok("logs", "--no-timestamps").count("ready") == 3
    assert "and is procsup" in app.ok("upgrade", "--python", sys.executable)
    assert "trouble" not in app.status()
    assert app.status()["instances"][0]["memory"] > 0
    assert supervisor.stop() == 0


def test_a_guardian_that_was_stopped_holds_nobody_up(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start()
    app.until_running("web.1")
    for end in (lambda: app.ok("upgrade"), lambda: app.ok("shutdown")):
        os.kill(guardian_of(supervisor.pid), signal.SIGSTOP)
        end()
    assert supervisor.end() == 0


def test_a_signal_upgrades_as_well_and_is_told(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start()
    before = app.until_running("web.1")
    for time_ in (1, 2):
        supervisor.send(signal.SIGUSR2)
        supervisor.wait_for(f"upgraded from procsup {__version__} to {__version__}", time_)
    assert kept(app.instances()["web.1"]) == kept(before["web.1"])
    assert supervisor.stop() == 0


def test_no_byte_is_lost_or_said_twice(app: App) -> None:
    app.write("count.py", COUNTER)
    app.write("Procfile", f"web: {sys.executable} -S count.py\n")
    supervisor = app.start("-m", "web=3", "--log-dir", "log", "--history", "10M")
    supervisor.wait_for(r"web\.3 +\| 200$")
    path = app.folder / "followed"
    with path.open("w") as file:
        follower = subprocess.Popen(
            [*COMMAND, "logs", "-f", "-n", "0", "--no-timestamps"],
            cwd=app.folder,
            env=app.environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    until(lambda: path.stat().st_size > 0)
    for _ in range(3):
        app.ok("upgrade")
    assert supervisor.stop() == 0
    assert follower.wait(PATIENCE) == 0
    followed = path.read_text().splitlines()
    for name in ("web.1", "web.2", "web.3"):
        console = re.findall(rf"^\d\d:\d\d:\d\d {re.escape(name)} +\| (e?\d+)$", supervisor.text, re.MULTILINE)
        file = (app.folder / "log" / f"{name}.log").read_text().splitlines()
        stream = [line.partition("| ")[2].strip() for line in followed if line.startswith(name)]
        for lines in (console, file):
            assert numbers(lines) == list(range(len(numbers(lines))))
            errors = [int(line[1:]) for line in lines if line.startswith("e")]
            assert errors == list(range(50, 50 * len(errors) + 1, 50))
        assert sorted(console) == sorted(file)
        assert numbers(stream) == numbers(console)[-len(numbers(stream)) :]
    assert not re.search(r"\| e?\d+e?\d*[^\d\n]", re.sub(r"procsup +\|.*", "", supervisor.text)), "lines are torn"


def test_a_line_begun_before_is_finished_after(app: App) -> None:
    app.write("half.py", HALF)
    app.write("Procfile", f"web: {sys.executable} -S half.py\n")
    supervisor = app.start("--log-dir", "log")
    supervisor.wait_for(r"\| half$")
    app.ok("upgrade")
    os.kill(app.instances()["web.1"]["pid"], signal.SIGUSR1)
    supervisor.wait_for(r"\| half\n(.*procsup +\| .*\n)+.*web\.1 +\|  and whole$")  # our own word stands between
    assert "half and whole" in app.ok("logs", "web")
    assert supervisor.stop() == 0
    assert (app.folder / "log" / "web.1.log").read_text() == "ready\nhalf and whole\n"


def test_a_line_that_comes_bit_by_bit_is_one_line(app: App) -> None:
    """It is never silent for so long that a part of it would be shown, so all of it is held."""
    app.write("slow.py", SLOW)
    app.write("Procfile", f"web: {sys.executable} -S slow.py\n")
    supervisor = app.start("--restart", "on-failure", "--log-dir", "log", "--no-prefix")
    app.until(lambda found: found["web.1"]["state"] == "running")
    app.ok("upgrade")
    app.write("enough", "")
    assert supervisor.end() == 0
    said = "".join(re.findall(r"^[\d,]+$", supervisor.text, re.MULTILINE))
    line = "".join(f"{n}," for n in range(said.count(",")))
    assert said == line
    assert (app.folder / "log" / "web.1.log").read_text() == f"{line}\n"


@pytest.mark.parametrize("portable", ["", "1"], ids=["pidfd", "portable"])
def test_who_dies_in_the_gap_is_not_missed_nor_are_its_last_words(app: App, gap: Gap, portable: str) -> None:
    app.environment["PROCSUP_PORTABLE"] = portable
    app.write(
        "Procfile", "web: sh -c 'trap \"echo last words; exit 7\" USR1; echo ready; while :; do sleep 0.02; done'\n"
    )
    supervisor = app.start("--restart", "on-failure")
    supervisor.wait_for("ready")
    before = app.until_running("web.1")["web.1"]["pid"]
    command = upgrading(app, gap)
    os.kill(before, signal.SIGUSR1)
    until(lambda: not alive(before))
    gap.end()
    assert command.wait(PATIENCE) == 0
    assert command.communicate()[0].startswith(f"pid {supervisor.pid} was")
    supervisor.wait_for(r"web\.1 +\| ready$", 2)
    supervisor.wait_for(r"web\.1 +\| last words$")
    after = app.until_running("web.1")["web.1"]
    assert (after["restarts"], after["last_exit"]["code"]) == (1, 7)
    assert supervisor.stop() == 0


def test_a_command_that_comes_in_the_gap_waits_for_its_end(app: App, gap: Gap) -> None:
    app.write("Procfile", "web: sleep 1000\nlate: sleep 1000\n")
    app.write("procsup.toml", "[processes.late]\nready = 'log never'\n")
    supervisor = app.start("-m", "late=1")
    app.until(lambda found: found["web.1"]["state"] == "running")

    def begin(*arguments: str) -> subprocess.Popen[str]:
        environment = {**app.environment, "PYTHONUNBUFFERED": "1"}
        pipe = subprocess.PIPE
        return subprocess.Popen([*COMMAND, *arguments], cwd=app.folder, env=environment, stdout=pipe, text=True)

    waits = begin("wait", "late", "--timeout", "1000")  # since before the gap
    follows = begin("logs", "-f")
    assert follows.stdout is not None
    assert "started" in follows.stdout.readline()
    command = upgrading(app, gap)
    scale = begin("scale", "web=3")
    gap.end()
    begun = time.monotonic()
    assert scale.wait(PATIENCE) == 0
    assert time.monotonic() - begun < 1 + NOISE
    assert command.wait(PATIENCE) == 0
    app.ok("scale", "late=0")
    for each in (waits, scale, command):
        each.communicate()
    assert waits.returncode == 0  # nothing is left that it could wait for
    assert supervisor.stop() == 0
    follows.communicate()
    assert follows.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_gap_is_heard_after_it(app: App, gap: Gap, number: signal.Signals) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start()
    app.until_running("web.1")
    command = upgrading(app, gap)
    supervisor.send(number)
    supervisor.send(signal.SIGHUP)
    gap.end()
    assert supervisor.end() == (0 if number == signal.SIGTERM else 130)
    assert "1 stopped, 0 killed, 0 left" in supervisor.text
    command.communicate()
    assert command.returncode == 0


def test_killed_in_the_gap_it_is_the_guardians_turn(app: App, gap: Gap) -> None:
    app.write("Procfile", "web: sh -c 'echo ready $$; exec sleep 1000'\n")
    supervisor = app.start("-m", "web=3")
    pids = [int(supervisor.wait_for(r"ready (\d+)", each)[1]) for each in (1, 2, 3)]
    command = upgrading(app, gap)
    supervisor.send(signal.SIGKILL)
    supervisor.wait_for("the supervisor was killed; stopped the 3 processes it left")
    assert not any(map(alive, pids))
    assert "ended before it answered" in command.communicate()[0]
    assert command.returncode == 1
    supervisor.end()
    again = app.start()
    app.until_running("web.1")
    assert again.stop() == 0
    for each in Path(os.environ["PROCSUP_STATE_DIR"]).rglob("*.sock"):
        each.unlink()


def test_who_backs_off_does_so_as_long_as_it_would_have(app: App) -> None:
    app.write("web.py", "import time\nprint('up', time.monotonic(), flush=True)\nraise SystemExit(1)\n")
    app.write("Procfile", f"web: {sys.executable} -S web.py\n")
    supervisor = app.start()
    supervisor.wait_for(r"\| up ", 3)  # at once, and after 1 s; now it waits for 2
    for _ in range(2):
        app.ok("upgrade")
    supervisor.wait_for(r"\| up ", 4)
    third, fourth = (float(each) for each in re.findall(r"\| up (\S+)", supervisor.text)[2:4])
    assert 1.7 <= fourth - third <= 2.3 + NOISE
    assert app.instances()["web.1"]["restarts"] == 3
    assert supervisor.stop() == 0


@pytest.fixture
def running(app: App) -> Iterator[tuple[App, dict[str, Any]]]:
    app.write("Procfile", "web: sleep 1000\n")
    app.environment["PYTHONPATH"] = str(app.folder / "lib")
    supervisor = app.start()
    yield app, app.until_running("web.1")
    assert supervisor.stop() == 0


def nothing_changed(app: App, before: dict[str, Any]) -> None:
    assert {name: kept(each) for name, each in app.instances().items()} == {
        name: kept(each) for name, each in before.items()
    }
    assert app.ask("info")["upgrades"] == 0


def test_a_version_that_cannot_even_be_imported_changes_nothing(running: tuple[App, dict[str, Any]]) -> None:
    app, before = running
    (app.folder / "lib" / "procsup").mkdir(parents=True)
    app.write("lib/procsup/__init__.py", "raise RuntimeError('half installed')\n")
    environment = app.environment.pop("PYTHONPATH")
    said = refused(app.run("upgrade"), 1)
    assert "not upgraded, nothing changed" in said
    assert "half installed" in said
    nothing_changed(app, before)
    app.environment["PYTHONPATH"] = environment


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ({"core/snapshot.py": ("    streak: int\n", "")}, "streak"),
        ({"runtime/upgrade/document.py": ("FORMAT = 1", "FORMAT = 2")}, "of format 1; this one reads 2"),
        (
            {TAKING_OVER: ("from procsup.core.snapshot", "from procsup.core.elsewhere")},
            "elsewhere",
        ),
        ({"runtime/supervise.py": ("import gc", "import no_such_module")}, "no_such_module"),
    ],
)
def test_a_version_that_could_not_take_over_is_found_out_before(
    running: tuple[App, dict[str, Any]], tmp_path: Path, edits: dict[str, tuple[str, str]], why: str
) -> None:
    app, before = running
    said = refused(app.run("upgrade", "--python", other_version(tmp_path / "new", edits)), 1)
    assert "not upgraded, nothing changed" in said
    assert why in said
    nothing_changed(app, before)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("#!/bin/sh\necho no thanks; exit 5\n", "no thanks"),
        ("#!/bin/sh\nexit 0\n", "it said nothing"),
        (f'#!/bin/sh\n{sys.executable} "$@"\nexit\n', "starts another process in its place"),
        ("#!/no/such/interpreter\n", "cannot be started: No such file"),
    ],
    ids=["refuses", "says nothing", "forks", "cannot be executed"],
)
def test_what_is_no_python_with_procsup_is_not_gone_on_with(
    running: tuple[App, dict[str, Any]], program: str, why: str
) -> None:
    app, before = running
    app.write("python", program).chmod(0o755)
    said = refused(app.run("upgrade", "--python", "./python"), 1)
    assert why in said
    nothing_changed(app, before)


def test_a_python_that_is_not_there_is_an_error_of_usage(app: App) -> None:
    assert "not to be found" in refused(app.run("upgrade", "--python", "no-such-python"), 2)


def test_without_a_supervisor_there_is_nothing_to_upgrade(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    assert "no supervisor is running" in refused(app.run("upgrade"), 3)


def test_a_version_that_breaks_down_while_it_takes_over_gives_everything_back(app: App, tmp_path: Path) -> None:
    app.write("Procfile", "web: sh -c 'echo ready; exec sleep 1000'\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    before = app.until_running("web.1")
    python = other_version(
        tmp_path / "new",
        {TAKING_OVER: ("    _set_alarm(daemon)\n", "    raise LookupError('oh no')\n")},
    )
    said = refused(app.run("upgrade", "--python", python), 1)
    assert "oh no" in said
    assert "goes on" in said
    assert {name: kept(each) for name, each in app.instances().items()} == {
        name: kept(each) for name, each in before.items()
    }
    assert app.ask("info")["version"] == __version__
    app.ok("upgrade")
    app.ok("scale", "web=2", "--wait")
    assert supervisor.stop() == 0
    assert supervisor.text.count("| ready") == 2


@pytest.mark.parametrize("when", ["at once", "later"])
def test_one_that_breaks_down_with_no_other_to_go_back_to_leaves_nothing_running(
    app: App, tmp_path: Path, when: str
) -> None:
    """The trial went well, and then somebody installs another version in the same place."""
    lib = tmp_path / "new" / "lib"
    if when == "at once":
        (lib / "procsup").mkdir(parents=True)
        (lib / "procsup" / "__init__.py").write_text("raise RuntimeError('oh no')\n")
    else:
        broken = {TAKING_OVER: ("    _set_alarm(daemon)\n", "    raise LookupError('oh no')\n")}
        lib = Path(other_version(tmp_path / "new", broken)).parents[1] / SITE_PACKAGES
    gap = Gap(tmp_path, before=f"os.environ['PYTHONPATH'] = {str(lib)!r}")
    app.write("Procfile", "web: sh -c 'trap \"echo bye; exit\" TERM; echo ready $$; while :; do sleep 0.02; done'\n")
    supervisor = app.start("-m", "web=2", "--log-dir", "log")
    pids = [int(supervisor.wait_for(r"ready (\d+)", each)[1]) for each in (1, 2)]
    command = upgrading(app, gap)
    gap.end()
    supervisor.wait_for(r"stopped the \d processes it left")
    assert not any(map(alive, pids))
    assert command.communicate()
    assert command.returncode == 1
    assert supervisor.end() == 1
    assert "oh no" in supervisor.text
    for each in Path(os.environ["PROCSUP_STATE_DIR"]).rglob("*.sock"):
        each.unlink()


def test_one_in_the_background_is_upgraded_as_well(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.ok("start", "--detach")
    before = app.until_running("web.1")
    app.ok("upgrade")
    assert kept(app.instances()["web.1"]) == kept(before["web.1"])
    [log] = Path(os.environ["PROCSUP_STATE_DIR"]).rglob("output.log")
    assert "upgraded from procsup" in log.read_text()
    app.ok("shutdown")
    assert "1 stopped, 0 killed, 0 left" in log.read_text()


def test_an_order_that_is_being_carried_out_is_waited_for(app: App) -> None:
    app.write("Procfile", """web: sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done'\n""")
    supervisor = app.start("--grace", "1")
    supervisor.wait_for("ready")
    stop = subprocess.Popen([*COMMAND, "stop", "web"], cwd=app.folder, env=app.environment, stdout=subprocess.PIPE)
    app.until(lambda found: found["web.1"]["state"] == "stopping")
    app.ok("upgrade")
    assert stop.communicate()[0] == b"stopped web.1\n"
    assert stop.returncode == 0
    assert app.instances()["web.1"]["state"] == "stopped"
    assert supervisor.stop() == 0


def test_an_order_is_not_carried_out_twice(app: App) -> None:
    app.write(
        "Procfile", "web: sh -c 'until [ -e go$PROCSUP_INSTANCE ]; do sleep 0.02; done; echo go; exec sleep 1000'\n"
    )
    app.write("procsup.toml", "ready = 'log go'\n")
    app.write("go1", "")
    supervisor = app.start()
    supervisor.wait_for("ready")
    begin = partial(subprocess.Popen, cwd=app.folder, env=app.environment, stdout=subprocess.PIPE)
    scale = begin([*COMMAND, "scale", "web=+1", "--wait"])
    app.until(lambda found: found.get("web.2", {}).get("state") == "starting")
    # Tells when the new version is being tried, which may be over before anybody has looked for it.
    app.write("python", f'#!/bin/sh\n: > {app.folder}/tried\nexec {sys.executable} "$@"\n').chmod(0o755)
    upgrade = begin([*COMMAND, "upgrade", "--python", "./python"])
    until((app.folder / "tried").exists)
    until(lambda: not any("--try" in command for command in everybody().values()))
    app.write("go2", "")
    for each in (scale, upgrade):
        each.communicate()
        assert each.returncode == 0
    assert app.ask("info")["upgrades"] == 1
    assert set(app.until_running("web.1", "web.2")) == {"web.1", "web.2"}
    assert supervisor.stop() == 0


def test_an_answer_that_nobody_reads_is_not_lost_and_does_not_come_twice(app: App) -> None:
    app.write(".env", "".join(f"BIG{number}={chr(97 + number) * 100_000}\n" for number in range(8)))
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start()
    app.until_running("web.1")
    [path] = Path(os.environ["PROCSUP_STATE_DIR"]).rglob("*.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        client.sendall(b'{"jsonrpc":"2.0","id":1,"method":"environment","params":{"name":"web.1"}}\n')
        client.recv(1)
        for _ in range(2):
            app.ok("upgrade")
        client.sendall(b'{"jsonrpc":"2.0","id":2,"method":"info"}\n')
        with client.makefile("rb") as stream:
            first, second = json.loads(b"{" + stream.readline()), json.loads(stream.readline())
    assert first["id"] == 1
    assert first["result"]["environment"]["BIG7"] == "h" * 100_000
    assert (second["id"], second["result"]["upgrades"]) == (2, 2)
    assert supervisor.stop() == 0


def test_what_it_slept_through_does_not_count_afterwards_either(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nfails: sh -c 'exit 1'\n")
    supervisor = app.start()
    waits = app.until(lambda found: found["fails.1"]["restarts"] >= 1 and found["fails.1"]["state"] == "backoff")
    due = re.search(r"next try in ([\d.]+) s", waits["fails.1"]["why"])
    assert due is not None
    supervisor.send(signal.SIGSTOP)
    time.sleep(float(due[1]) + 1.5)  # for so long it sleeps: what is late by more than a second is told
    supervisor.send(signal.SIGCONT)
    supervisor.wait_for("did not run for")
    begun, before = time.monotonic(), app.instances()["web.1"]["uptime"]
    app.ok("upgrade")
    after, passed = app.instances()["web.1"]["uptime"], time.monotonic() - begun
    assert before <= after <= before + passed + 0.1
    assert supervisor.stop() == 0


def test_who_is_being_stopped_is_not_upgraded(app: App) -> None:
    app.write("Procfile", """web: sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done'\n""")
    supervisor = app.start()
    supervisor.wait_for("ready")
    supervisor.send(signal.SIGTERM)
    supervisor.wait_for("stopping")
    assert "not upgraded, nothing changed: the supervisor is being stopped" in refused(app.run("upgrade"), 1)
    supervisor.send(signal.SIGUSR2)
    supervisor.wait_for("not upgraded, nothing changed: the supervisor is being stopped")
    assert supervisor.stop() == 0


def test_a_release_is_not_interrupted(app: App) -> None:
    app.write("Procfile", "release: sh -c 'echo migrating; read x < go'\nweb: sh -c 'echo ready; exec sleep 1000'\n")
    os.mkfifo(app.folder / "go")
    supervisor = app.start("--release")
    supervisor.wait_for("migrating")
    assert "the release is under way" in refused(app.run("upgrade"), 1)
    (app.folder / "go").write_text("now\n")
    supervisor.wait_for("ready")
    app.ok("upgrade")
    assert supervisor.stop() == 0


def test_the_files_are_not_read_again_but_a_reload_finds_them(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write(".env", "A=1\n")
    supervisor = app.start()
    before = app.until_running("web.1")
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")
    app.ok("upgrade")
    assert kept(app.instances()["web.1"]) == kept(before["web.1"])
    assert set(app.instances()) == {"web.1"}
    assert "start    worker.1" in app.ok("reload")
    found = app.until_running("web.1", "worker.1")
    assert found["web.1"]["pid"] == before["web.1"]["pid"]
    assert supervisor.stop() == 0


def test_what_the_new_ones_own_surroundings_are_is_nobodys_change(app: App, tmp_path: Path) -> None:
    gap = Gap(tmp_path, before="os.environ['ANOTHER'] = 'world'; os.chdir('/')")
    app.write("Procfile", "web: sh -c 'echo another:$ANOTHER in $(pwd); exec sleep 1000'\n")
    supervisor = app.start()
    app.until_running("web.1")
    command = upgrading(app, gap)
    gap.end()
    command.communicate()
    assert command.returncode == 0
    assert "keep     web.1" in app.ok("reload", "--plan")
    app.ok("restart", "web")
    supervisor.wait_for(rf"\| another: in {re.escape(str(app.folder))}$", 2)
    assert supervisor.stop() == 0


def test_json_lines_stay_whole(app: App) -> None:
    app.write("count.py", COUNTER)
    app.write("Procfile", f"web: {sys.executable} -S count.py\n")
    supervisor = app.start("--format", "json")
    supervisor.wait_for('"text": "200"')
    app.ok("upgrade")
    assert supervisor.stop() == 0
    told = [json.loads(line) for line in supervisor.text.splitlines()]
    assert any("upgraded from" in each["text"] for each in told)


def test_a_reload_by_a_signal_is_waited_for(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start()
    app.until_running("web.1")
    for each in (signal.SIGSTOP, signal.SIGHUP, signal.SIGUSR2, signal.SIGCONT):  # both are found at once
        supervisor.send(each)
    supervisor.wait_for("upgraded from")
    assert "reloaded" in supervisor.text
    assert "not upgraded" not in supervisor.text
    assert supervisor.stop() == 0


def test_what_the_types_ask_for_is_tried_too(app: App, tmp_path: Path) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", "[processes.web]\ncwd = '.'\n")
    supervisor = app.start()
    before = app.until_running("web.1")
    broken = {"runtime/users.py": ("import errno\n", "import no_such_module\n")}
    said = refused(app.run("upgrade", "--python", other_version(tmp_path / "new", broken)), 1)
    assert "was tried, and cannot take over" in said
    assert "no_such_module" in said
    nothing_changed(app, before)
    assert supervisor.stop() == 0


def test_what_the_types_ask_for_is_loaded_before_it_is_needed(app: App, tmp_path: Path) -> None:
    """As after a start: later no descriptor may be left to load it with, or it may be gone."""
    app.write("Procfile", "web: sh -c 'echo ready; exec sleep 1000'\n")
    app.write("procsup.toml", "[processes.web]\ncwd = '.'\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    app.ok("upgrade", "--python", other_version(tmp_path / "new", {}))
    (tmp_path / "new" / SITE_PACKAGES / "procsup" / "runtime" / "users.py").unlink()
    app.ok("restart", "web")
    supervisor.wait_for("ready", 2)
    assert supervisor.stop() == 0


def test_a_type_that_came_by_a_reload_has_its_count_from_the_file_afterwards_too(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start("web")
    app.until_running("web.1")
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")
    app.ok("reload")
    app.until_running("web.1", "worker.1")
    app.ok("upgrade")
    app.write("procsup.toml", "[processes.worker]\ncount = 2\n")
    app.ok("reload")
    app.until_running("web.1", "worker.1", "worker.2")
    assert supervisor.stop() == 0
