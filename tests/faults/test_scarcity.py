"""When something runs out: descriptors, processes, memory, or the programs and folders that a Procfile names."""

from __future__ import annotations

import os
import re
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import app as terminal
from tests.e2e.app import App, Supervisor
from tests.faults.needs import needs, works
from tests.faults.watching import NOISE, READY, Record, everybody, in_words, until, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

# Somebody else than root, whom the kernel counts the processes of; but who may read what root's tests are made of.
_USER = 100_000_000 + os.getpid()  # nobody else's: the limit is for all processes of a user, another run's too
_SOMEBODY = (
    "setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups",
    "--inh-caps=-all,+dac_override,+dac_read_search", "--bounding-set=-all,+dac_override,+dac_read_search",
    "--ambient-caps=-all,+dac_override,+dac_read_search",
)  # fmt: skip


@pytest.fixture(params=["", "1"], ids=["posix_spawn and pidfds", "fork and SIGCHLD"])
def either_way(request: pytest.FixtureRequest, app: App) -> App:
    app.environment["PROCSUP_PORTABLE"] = request.param
    return app


def _tried(found: dict[str, dict[str, object]], count: int) -> bool:
    return len(found) == count and all(each["state"] in ("running", "backoff") for each in found.values())


def _slowest(ask: Callable[[], object], seconds: float) -> float:
    """The longest of the answers that were had within a time."""
    end = time.monotonic() + seconds
    slowest = 0.0
    while (begun := time.monotonic()) < end:
        ask()
        slowest = max(slowest, time.monotonic() - begun)
    return slowest


def test_f20_two_hundred_that_fail_at_once_are_tried_again_one_after_the_other(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"bad: sh -c 'exit 1'\nweb: {READY}\n")
    supervisor = app.start("-m", "bad=200,web=0")
    supervisor.wait_for(r"bad\.200 started")
    asked = _slowest(lambda: app.ask("status", usage=False), 2.5)  # two waves of tries
    command = _slowest(lambda: app.ok("scale"), 1.5)
    record_property("slowest answer of the socket while 200 fail", in_words(asked))
    record_property("slowest command while 200 fail", in_words(command))
    assert asked < 1 + NOISE
    assert command < 1 + NOISE
    app.ok("scale", "web=1", "--wait")
    app.until(lambda found: all(each["state"] == "backoff" for name, each in found.items() if name != "web.1"))
    supervisor.wait_for(r"next try in (1\.[89]|2(\.\d)?) s", 200)
    waits = [float(each) for each in re.findall(r"next try in ([12]\.\d|[12]) s", supervisor.text)]
    second = [each for each in waits if each >= 1.7]
    assert len(second) >= 200
    assert len(set(second)) >= 4, "they all wait for the same moment"
    assert 1.8 <= min(second) <= max(second) <= 2.2
    record_property("jitter of a wait of 2 s", f"{min(second)} to {max(second)} s")
    with within(5 + NOISE):
        assert supervisor.stop() == 0


def _started_beside(app: App, *complaints: str) -> tuple[Supervisor, dict[str, dict[str, Any]], str]:
    """web.1 is up soon, while all others complain and wait for their next try; and how soon that was."""
    with within(1 + NOISE) as took:
        supervisor = app.start()
        supervisor.wait_for(r"web\.1 +\| ready")
    for complaint in complaints:
        supervisor.wait_for(complaint)
    found = app.until(lambda found: all(each["state"] == "backoff" for name, each in found.items() if name != "web.1"))
    assert all("next try in" in each["why"] for name, each in found.items() if name != "web.1")
    return supervisor, found, str(took)


@pytest.mark.parametrize("way", ["", "1"], ids=["posix_spawn", "fork"])
def test_f21_what_cannot_be_started_is_named_with_its_cause_and_the_others_start(
    app: App, way: str, record_property: Record
) -> None:
    app.environment["PROCSUP_PORTABLE"] = way
    app.write("text", "#!/bin/sh\n")  # not executable
    app.write("strange", "#!/no/such/interpreter\n").chmod(0o755)
    (app.folder / "folder").mkdir()
    app.write(
        "Procfile",
        f"missing: no-such-program --x\ntext: ./text\nfolder: ./folder\nstrange: ./strange\n"
        f"elsewhere: cd no-such-folder && exec sleep 1\nweb: {READY}\n",
    )
    supervisor, found, took = _started_beside(
        app,
        r"missing\.1 could not be started: no-such-program: .*not found|missing\.1 .*no-such-program: No such file",
        r"text\.1 could not be started: \./text: Permission denied",
        r"folder\.1 could not be started: \./folder: (Permission denied|Is a directory)",
        r"strange\.1 could not be started: \./strange: No such file",
        r"elsewhere\.1 +\| .*no-such-folder",
    )
    record_property("beside five that cannot be started, one that can is up after", took)
    assert "no-such-program" in found["missing.1"]["why"]
    assert supervisor.stop() == 0
    assert "Traceback" not in supervisor.text


def test_f21_a_folder_or_user_of_procsup_toml_that_is_not_there_is_named_and_the_others_start(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"folder: {READY}\nfile: {READY}\nuser: {READY}\nboth: {READY}\nweb: {READY}\n")
    app.write(
        "procsup.toml",
        '[processes.folder]\ncwd = "no-such-folder"\n[processes.file]\ncwd = "Procfile"\n'
        '[processes.user]\nuser = "no-such-user"\n[processes.both]\ncwd = "no-such-folder"\nuser = "no-such-user"\n',
    )
    supervisor, _, took = _started_beside(
        app,
        rf"folder\.1 could not be started: cwd \(procsup\.toml:2\): there is no folder {app.folder}/no-such-folder;",
        rf"file\.1 could not be started: cwd \(procsup\.toml:4\): {app.folder}/Procfile is no folder; name one",
        r'user\.1 could not be started: user \(procsup\.toml:6\): there is no user "no-such-user"; make it',
        r'both\.1 could not be started: user \(procsup\.toml:9\): there is no user "no-such-user"; make it',
    )
    record_property("beside four with a bad folder or user, one that can start is up after", took)
    app.write("procsup.toml", "")
    app.ok("reload")
    app.until_running("folder.1", "file.1", "user.1", "both.1", "web.1")
    assert supervisor.stop() == 0
    assert "Traceback" not in supervisor.text


def narrow(soft: int, hard: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_f22_as_many_as_fit_run_and_the_rest_back_off_and_say_why(either_way: App, record_property: Record) -> None:
    either_way.write("Procfile", "web: sleep 1000\n")
    supervisor = either_way.start("-m", "web=60", preexec_fn=narrow(64, 64))
    found = either_way.until(lambda found: _tried(found, 60))
    running = [name for name, each in found.items() if each["state"] == "running"]
    waiting = [each for each in found.values() if each["state"] == "backoff"]
    assert len(running) >= 4
    assert waiting
    assert all("Too many open files" in each["why"] and "next try in" in each["why"] for each in waiting)
    assert "web.1 " in either_way.ok("status")  # the socket still answers, with everything in it
    record_property("with ulimit -n 64, of 60 instances", f"{len(running)} run")
    either_way.ok("scale", "web=4", "--wait")
    either_way.ok("restart")  # with room again, all of them run
    either_way.until_running("web.1", "web.2", "web.3", "web.4")
    assert supervisor.stop() == 0
    assert "Traceback" not in supervisor.text


def test_f22_clients_that_hold_the_reserve_end_nothing(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start("-m", "web=60", preexec_fn=narrow(64, 64))
    found = app.until(lambda found: _tried(found, 60))
    (path,) = Path(app.environment["PROCSUP_STATE_DIR"]).rglob("*.sock")
    held = []
    for _ in range(40):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        held.append(connection)
    supervisor.wait_for(r"web\.\d+ could not be started: Too many open files", 100)  # it tries again, and again
    for connection in held:
        connection.close()
    after = app.until(lambda after: bool(after))
    before = {name: each["pid"] for name, each in found.items() if each["state"] == "running"}
    assert {name: after[name]["pid"] for name in before} == before
    assert supervisor.stop() == 0
    assert "Traceback" not in supervisor.text


def test_f22_the_soft_limit_is_raised_for_procsup_and_kept_for_the_children(either_way: App) -> None:
    either_way.write("Procfile", "web: sh -c 'echo limit $(ulimit -n); exec sleep 1000'\n")
    supervisor = either_way.start("-m", "web=80", preexec_fn=narrow(64, 4096))
    either_way.until(lambda found: len(found) == 80 and all(each["state"] == "running" for each in found.values()))
    supervisor.wait_for("limit 64$", 80)
    for count in (40, 90, 30, 95):
        assert "warning" not in either_way.ok("scale", f"web={count}", "--wait")
    assert {each["restarts"] for each in either_way.instances().values()} == {0}
    assert supervisor.stop() == 0


@needs(os.geteuid() == 0 and works(*_SOMEBODY, "true"), "only root can make a user whose processes are counted")
def test_f23_where_no_more_processes_may_be_the_rest_wait_and_come_when_there_is_room(
    app: App, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    monkeypatch.setattr(terminal, "COMMAND", (*_SOMEBODY, *terminal.COMMAND))
    app.environment |= {"PYTHONDONTWRITEBYTECODE": "1"}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (24, 24))

    app.write("Procfile", "web: sleep 1000\nother: sleep 1000\n")
    supervisor = app.start("-m", "web=40,other=0", preexec_fn=limit)
    supervisor.wait_for(r"web\.\d+ could not be started: ", 16)

    def states() -> dict[str, dict[str, object]]:
        return {each["name"]: each for each in app.status()["instances"]}

    found = states()
    until(lambda: _tried(found.update(states()) or found, 40))  # type: ignore[func-returns-value]
    running = [name for name, each in found.items() if each["state"] == "running"]
    waiting = [each for each in found.values() if each["state"] == "backoff"]
    assert len(running) >= 10
    assert waiting
    assert all("Resource temporarily unavailable" in str(each["why"]) for each in waiting)
    record_property("with 24 processes allowed, of 40 instances", f"{len(running)} run")
    app.ok("scale", "web=4", "--wait")
    app.ok("scale", "other=8", "--wait")
    until(lambda: all(each["state"] == "running" for each in states().values()))
    assert supervisor.stop() == 0
    assert "12 stopped, 0 killed, 0 left" in supervisor.text
    assert "Traceback" not in supervisor.text


def _tighten(supervisor: Supervisor, room: int) -> None:
    """It may have so many bytes more than it has now."""
    size = int(Path(f"/proc/{supervisor.pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
    resource.prlimit(supervisor.pid, resource.RLIMIT_AS, (size + room, size + room))


@pytest.mark.parametrize("room", [0, 256, 1024, 2048], ids=lambda room: f"{room} KiB")
def test_f24_a_supervisor_without_memory_ends_its_children_and_says_so(
    app: App, room: int, record_property: Record
) -> None:
    app.write("Procfile", "web: sh -c 'sleep 1000 & (setsid sleep 1000 &); echo ready; wait'\n")
    supervisor = app.start("-m", "web=3")
    supervisor.wait_for("ready", 3)
    app.until_running("web.1", "web.2", "web.3")
    _tighten(supervisor, room * 1024)
    with within(15 + NOISE) as took:
        app.run("scale", "web=9500")
        assert supervisor.end() == 1
        until(lambda: not everybody())
    record_property(f"out of memory ({room} KiB more than it had): all gone after", in_words(took.seconds))
    assert "ran out of memory" in supervisor.text.splitlines()[-1]
    assert "Traceback" not in supervisor.text
