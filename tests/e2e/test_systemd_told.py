"""What `procsup start` tells systemd through NOTIFY_SOCKET, and that nobody else gets to know of that socket."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from tests.e2e.app import App
from tests.e2e.receiver import Receiver
from tests.faults.watching import until


@pytest.fixture(params=["path", "abstract"])
def any_receiver(request: pytest.FixtureRequest, app: App) -> Iterator[Receiver]:
    yield from _receiver(app, abstract=request.param == "abstract")


@pytest.fixture
def receiver(app: App) -> Iterator[Receiver]:
    yield from _receiver(app, abstract=True)


def _receiver(app: App, *, abstract: bool) -> Iterator[Receiver]:
    receiver = Receiver(abstract=abstract)
    app.environment["NOTIFY_SOCKET"] = receiver.address
    try:
        yield receiver
    finally:
        receiver.close()


def test_it_is_ready_when_all_run_and_says_how_many(app: App, any_receiver: Receiver) -> None:
    app.write("Procfile", "web: exec sleep 1000\nworker: exec sleep 1000\nidle: exec sleep 1000\n")
    supervisor = app.start("-m", "worker=3,idle=0")
    ready = any_receiver.wait_for("READY", "1")
    assert ready["STATUS"] == "web 1/1, worker 3/3"
    assert int(any_receiver.messages[0].get("EXTEND_TIMEOUT_USEC", "0")) >= 10_000_000
    assert any(said.get("STATUS", "").startswith("starting: web ") for said in any_receiver.messages)
    for pid in [each["pid"] for each in app.instances().values()]:
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert b"NOTIFY_SOCKET" not in file.read()
    app.ok("scale", "worker=1", "--wait")
    any_receiver.wait_for("STATUS", "web 1/1, worker 1/1")
    assert supervisor.stop() == 0


def test_where_readiness_is_checked_it_waits_for_that(app: App, receiver: Receiver) -> None:
    app.write("Procfile", "web: read line < go; echo serving; exec sleep 1000\n")
    app.write("procsup.toml", '[processes.web]\nready = "log serving"\n')
    os.mkfifo(app.folder / "go")
    app.start()
    receiver.wait_for("STATUS", "starting: web 0/1")
    app.until(lambda found: "web.1" in found and found["web.1"]["state"] == "starting")
    assert not any("READY" in said for said in [*receiver.messages, *receiver.take()])
    (app.folder / "go").write_text("go\n")
    assert receiver.wait_for("READY")["STATUS"] == "web 1/1"


def test_what_does_not_come_up_is_named_and_holds_nobody_up(app: App, receiver: Receiver) -> None:
    app.write("Procfile", "web: exec sleep 1000\nbad: exit 3\n")
    app.start()
    assert receiver.wait_for("READY")["STATUS"] == "web 1/1, bad 0/1; bad.1: exit 3"


@pytest.mark.parametrize("how", ["signal", "command"])
def test_a_reload_is_told_from_its_beginning_to_its_end(app: App, receiver: Receiver, how: str) -> None:
    app.write("Procfile", "web: exec sleep 1000\n")
    supervisor = app.start()
    receiver.wait_for("READY")
    app.write("Procfile", "web: exec sleep 1000\nworker: exec sleep 1000\n")
    begun = time.monotonic()
    if how == "signal":
        supervisor.send(signal.SIGHUP)
    else:
        app.ok("reload")
    reloading = receiver.wait_for("RELOADING", "1")
    assert begun <= int(reloading["MONOTONIC_USEC"]) / 1e6 <= time.monotonic()
    assert receiver.wait_for("READY", "1")["STATUS"] == "web 1/1, worker 1/1"
    app.write("Procfile", "no colon\n")
    app.run("reload")
    receiver.wait_for("RELOADING", "1")
    assert receiver.wait_for("READY", "1")["STATUS"] == "web 1/1, worker 1/1"


def test_a_stop_is_told_with_the_time_that_it_may_take(app: App, receiver: Receiver) -> None:
    app.write("Procfile", "web: exec sleep 1000\nworker: exec sleep 1000\n")
    app.write("procsup.toml", "[processes.worker]\ngrace = 100\n")
    supervisor = app.start()
    receiver.wait_for("READY")
    assert supervisor.stop() == 0
    stopping = receiver.wait_for("STOPPING", "1")
    assert 100e6 < int(stopping["EXTEND_TIMEOUT_USEC"]) < 200e6
    assert stopping["STATUS"] == "stopping, 2 to go"
    assert sum("STOPPING" in said for said in [*receiver.messages, *receiver.take()]) == 1


def test_what_is_over_at_once_was_ready_all_the_same(app: App, receiver: Receiver) -> None:
    app.write("Procfile", "web: true\n")
    assert app.start("--restart", "on-failure").end() == 0
    receiver.wait_for("READY")
    receiver.wait_for("STOPPING")


def test_it_proves_to_be_alive_twice_as_often_as_it_has_to_and_not_when_it_hangs(app: App, receiver: Receiver) -> None:
    app.write("Procfile", "web: exec sleep 1000\n")
    app.environment["WATCHDOG_USEC"] = "1000000"
    supervisor = app.start()
    receiver.wait_for("READY")
    receiver.take()
    said = []
    for _ in range(5):
        receiver.wait_for("WATCHDOG", "1")
        said.append(time.monotonic())
    assert 0.25 < median(after - before for before, after in pairwise(said)) < 1  # we may hear it late, and more of it
    supervisor.send(signal.SIGSTOP)
    until(lambda: Path(f"/proc/{supervisor.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    receiver.take()
    with pytest.raises(AssertionError, match="not said"):
        receiver.wait_for("WATCHDOG", within=0.8)
    supervisor.send(signal.SIGCONT)
    receiver.wait_for("WATCHDOG")


def test_a_watchdog_that_is_meant_for_somebody_else_is_not_answered(app: App, receiver: Receiver) -> None:
    app.write("Procfile", "web: exec sleep 1000\n")
    app.environment |= {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    app.start()
    receiver.wait_for("READY")
    with pytest.raises(AssertionError, match="not said"):
        receiver.wait_for("WATCHDOG", within=0.5)
    receiver.take()
    assert receiver.take() == []  # idle is idle


def test_where_nobody_listens_it_runs_all_the_same(app: App) -> None:
    app.environment |= {"NOTIFY_SOCKET": "/nowhere/at all", "WATCHDOG_USEC": "100000"}
    app.write("Procfile", "web: exec sleep 1000\n")
    supervisor = app.start()
    app.until_running("web.1")
    assert supervisor.stop() == 0
    app.environment["NOTIFY_SOCKET"] = "vsock:2:1234"
    app.write("Procfile", "web: true\n")
    assert app.start("--restart", "on-failure").end() == 0


def test_without_systemd_nothing_of_it_is_loaded(app: App) -> None:
    app.write("Procfile", "web: true\n")
    app.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    supervisor = app.start("--restart", "on-failure")
    supervisor.end()
    loaded = {line.rpartition("|")[2].strip() for line in supervisor.text.splitlines()}
    assert "procsup.runtime.supervise" in loaded
    assert not {"procsup.runtime.systemd.notify", "procsup.runtime.systemd.announcing"} & loaded


def test_over_an_upgrade_systemd_goes_on_to_be_told_and_the_app_is_not(app: App, receiver: Receiver) -> None:
    app.environment["WATCHDOG_USEC"] = "10000000"
    app.write("Procfile", "web: exec sleep 1000\nworker: exec sleep 1000\n")
    supervisor = app.start()
    receiver.wait_for("READY")
    receiver.wait_for("WATCHDOG")
    app.ok("upgrade")
    receiver.take()
    app.ok("scale", "worker=2", "--wait")
    receiver.wait_for("STATUS", "web 1/1, worker 2/2")
    receiver.wait_for("WATCHDOG")
    for each in app.instances().values():
        with open(f"/proc/{each['pid']}/environ", "rb") as file:
            assert not {b"NOTIFY_SOCKET", b"WATCHDOG_USEC"} & {line.split(b"=")[0] for line in file.read().split(b"\0")}
    assert supervisor.stop() == 0
    receiver.wait_for("STOPPING")


def test_a_reload_at_once_after_an_upgrade_is_told_too(app: App, receiver: Receiver) -> None:
    app.write("Procfile", "web: exec sleep 1000\n")
    supervisor = app.start()
    receiver.wait_for("READY")
    receiver.take()
    app.ok("upgrade")
    supervisor.send(signal.SIGHUP)
    receiver.wait_for("RELOADING", "1")
    assert receiver.wait_for("READY", "1")["STATUS"] == "web 1/1"
    assert not any(said.get("STATUS", "").startswith("starting") for said in receiver.messages)
    assert supervisor.stop() == 0


def test_who_is_upgraded_before_all_are_up_says_when_they_are(app: App, receiver: Receiver) -> None:
    app.write("Procfile", "web: read line < go; echo serving; exec sleep 1000\n")
    app.write("procsup.toml", '[processes.web]\nready = "log serving"\n')
    os.mkfifo(app.folder / "go")
    supervisor = app.start()
    app.until(lambda found: "web.1" in found and found["web.1"]["state"] == "starting")
    app.ok("upgrade")
    assert not any("READY" in said for said in receiver.take())
    (app.folder / "go").write_text("go\n")
    assert receiver.wait_for("READY")["STATUS"] == "web 1/1"
    assert supervisor.stop() == 0
