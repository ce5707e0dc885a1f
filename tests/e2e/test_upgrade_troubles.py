"""What cannot be written or reached, and was said to be so, is not said once more by the next version."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App
from tests.e2e.services import free_port
from tests.faults.watching import sockets, until

_TROUBLES = {
    "cannot write to the log": "the logs in .* can be written to again; nothing is missing",
    "syslog at .* cannot be reached": "syslog at .* takes lines again; nothing is lost",
    "the formation is not kept": "the formation is kept again",
    "the control socket .* is gone and cannot be made again yet": "the control socket .* it is there again",
}


def test_a_trouble_is_told_once_and_its_end_once(app: App) -> None:
    port = free_port()
    in_the_way = app.folder / "log" / "web.1.log"
    in_the_way.mkdir(parents=True)
    app.write("Procfile", "web: echo ready; exec sleep 1000\n")
    supervisor = app.start("--log-dir", "log", "--syslog", f"tcp://127.0.0.1:{port}")
    supervisor.wait_for(r"\| ready$")
    formation = app.ask("info")["state"] + "/formation.json"
    os.mkdir(formation)
    app.ask("scale", changes=[{"type": "web", "count": 2, "relative": False}], wait=True)
    [control] = sockets()
    other = control.with_name("other")
    other.write_text("in the way")
    other.rename(control)
    for told in _TROUBLES:
        supervisor.wait_for(told)
    for number in (1, 2):
        supervisor.send(signal.SIGUSR2)
        supervisor.wait_for("upgraded from", number)
    os.rmdir(formation)
    in_the_way.rmdir()
    control.unlink()
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(PATIENCE)
        receiver, _ = server.accept()
        with receiver:
            for told, over in _TROUBLES.items():
                supervisor.wait_for(over)
                for each in (told, over):
                    assert len(re.findall(rf"procsup \| (warning: )?{each}", supervisor.text)) == 1, supervisor.text
            assert "trouble" not in app.status()
            assert in_the_way.read_text() == "ready\n"
            assert supervisor.stop() == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_that_the_output_cannot_be_written_is_told_once(app: App) -> None:
    app.write("Procfile", "web: echo ready; exec sleep 1000\n")
    complaints = app.folder / "complaints"
    with open("/dev/full", "wb") as full, complaints.open("wb") as errors:
        command = [*COMMAND, "start"]
        supervisor = subprocess.Popen(command, cwd=app.folder, env=app.environment, stdout=full, stderr=errors)
    try:
        until(lambda: "cannot write to" in complaints.read_text())
        app.until_running("web.1")
        for _ in range(2):
            app.ok("upgrade")
        assert "No space left on device; nothing is lost so far" in app.status()["trouble"]
        app.ok("shutdown")
    finally:
        supervisor.terminate()
        supervisor.wait(PATIENCE)
    [first, last] = complaints.read_text().splitlines()
    assert first.endswith("what does not fit is lost until it can be written to again")
    assert re.search(r"No space left on device; \d+ bytes of output are lost$", last)
