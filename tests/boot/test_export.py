"""The units of an export on a systemd that boots: as many, with procsup's numbers and variables, stopped as asked."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

from tests.boot.machine import PATIENCE, Machine
from tests.boot.rootfs import PROCSUP
from tests.export.example import HARD_NAME, ROOT, RUNNING, given

_FOLDER = f"/srv/{HARD_NAME}"
_REPORTS = "/srv/reports"
_TARGET = "export-example.target"
# What systemd sets for its own sake, and a mount, whose folder it makes itself.
_OWN = (
    "PROCSUP_TEST_COOKIE",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID",
    "STATE_DIRECTORY",
    "NOTIFY_SOCKET",
    "PROCSUP_MOUNT_",
)
_SOCKET = """
[processes.api]
socket = "127.0.0.1:8080"
ready = "notify"
user = "nobody"
"""
_API = """api: python3 api.py
"""
_ANSWER = """import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid())
listening = socket.socket(fileno=3)
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\\0"))
while True:
    connected, _ = listening.accept()
    connected.recv(100)
    connected.sendall(" ".join((os.environ["PS"], str(os.getuid()), os.environ["HOME"])).encode())
    connected.close()
"""


def _told(machine: Machine, kind: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((machine.root / _REPORTS[1:]).glob(f"*.{kind}*"), key=lambda each: each.stat().st_mtime_ns):
        found.setdefault(path.name.rsplit(".", 2)[0], []).append(json.loads(path.read_text()))
    return found


def _until_told(machine: Machine, kind: str, *names: str, times: int = 1) -> dict[str, dict[str, Any]]:
    end = time.monotonic() + PATIENCE
    while sorted(found := _told(machine, kind)) != sorted(names) or min(map(len, found.values())) < times:
        assert time.monotonic() < end, f"{sorted(found)}: {machine.ok('journalctl', '--no-pager')}"
        time.sleep(0.05)  # the pace of looking
    return {name: each[-1] for name, each in _told(machine, kind).items()}


def _forget(machine: Machine) -> None:
    for path in (machine.root / _REPORTS[1:]).iterdir():
        path.unlink()


def test_the_units_run_and_stop_the_example(machine: Machine) -> None:
    project = machine.root / _FOLDER[1:]
    shutil.copytree(ROOT / "examples/export", project)
    with open(project / ".env", "a") as file:
        file.write(f"\nREPORTS={_REPORTS}\n")
    with open(project / "procsup.toml", "a") as file:
        file.write(_SOCKET)
    with open(project / "Procfile", "a") as file:
        file.write(_API)
    (project / "api.py").write_text(_ANSWER)
    (machine.root / _REPORTS[1:]).mkdir()
    machine.boot()
    # What procsup's own children see there.
    machine.ok(PROCSUP, "start", "--detach", "--root", _FOLDER, "--env-override")
    ours = _until_told(machine, "ready", *RUNNING)
    machine.ok(PROCSUP, "shutdown", "--root", _FOLDER)
    _forget(machine)

    machine.ok(PROCSUP, "export", "systemd", "/etc/systemd/system", "--root", _FOLDER)
    machine.ok("systemd-analyze", "verify", f"/etc/systemd/system/{_TARGET}")
    machine.ok("systemctl", "daemon-reload")
    machine.ok("systemctl", "enable", "--now", _TARGET)
    theirs = _until_told(machine, "ready", *RUNNING)
    for name in RUNNING:
        assert given(theirs[name], *_OWN) == given(ours[name], *_OWN)
        assert theirs[name]["cwd"] == ours[name]["cwd"] == (f"{_FOLDER}/work" if "worker" in name else _FOLDER)
        assert theirs[name]["argv"] == ours[name]["argv"]
    assert theirs["web.2"]["env"]["PROCSUP_MOUNT_SCRATCH"] == "/var/lib/export-example/web/scratch"
    assert machine.ok("stat", "--format=%a", "/var/lib/export-example/web/scratch").strip() == "700"
    asked = "import socket; s = socket.create_connection(('127.0.0.1', 8080)); s.send(b'x'); print(s.recv(99).decode())"
    assert machine.ok("python3", "-c", asked).split() == ["api.1", "65534", "/nonexistent"]
    shown = machine.ok(
        "systemctl", "show", "export-example-worker@2.service", "--property=MemoryMax,CPUQuotaPerSecUSec"
    )
    assert shown.split() == ["CPUQuotaPerSecUSec=500ms", "MemoryMax=268435456"]
    assert "hunter2" not in machine.ok("systemctl", "show", "export-example-web@1.service")

    # One that was not exported has no numbers, and shares nobody's.
    refused = machine.run("systemctl", "start", "export-example-worker@7.service", check=False)
    assert refused.returncode
    assert "worker.7" not in _told(machine, "ready")

    machine.reboot()
    _until_told(machine, "ready", *RUNNING, times=2)
    assert {name: len(each) for name, each in _told(machine, "ready").items()} == dict.fromkeys(RUNNING, 2)
    _forget(machine)
    began = time.monotonic()
    machine.ok("systemctl", "stop", _TARGET)
    end = time.monotonic() + PATIENCE
    while machine.ok("systemctl", "list-units", "--plain", "--no-legend", "--state=running,deactivating", "export-*"):
        assert time.monotonic() < end
        time.sleep(0.05)  # the pace of asking
    took = time.monotonic() - began
    stopped = {name: [each["signal"] for each in told] for name, told in _told(machine, "stopped").items()}
    one, two = ["SIGINT"], ["SIGUSR1", "SIGTERM"]
    assert stopped == {"web.1": one, "web.2": one, "worker.1": two, "worker.2": two, "worker.3": two}
    assert 0.9 < took < 15, "the deaf one has a grace of one second"
    machine.power_off()
