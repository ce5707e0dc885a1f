"""examples/container in a container proper, played after its Dockerfile: systemd-nspawn builds and runs it.

There is no registry here, and so no image to begin with: ours is a Debian with Python, and procsup is in it already.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from dockerfile_parse import DockerfileParser

from tests.boot.conftest import Installed
from tests.boot.machine import PATIENCE, Machine, remove_groups, run_in_folder

_EXAMPLE = Path(__file__).parents[2] / "examples/container"
_PATH = "/opt/procsup/bin:/usr/local/bin:/usr/bin:/bin"


def _build(root: Path, usr: Path) -> list[str]:
    """Do what the Dockerfile says; the arguments for systemd-nspawn that say the rest."""
    options, command, folder = [f"--setenv=PATH={_PATH}"], [], "/"
    for each in DockerfileParser(str(_EXAMPLE / "Dockerfile")).structure:
        value = each["value"]
        match each["instruction"]:
            case "RUN" if not value.startswith("pip install"):
                run_in_folder(root, "/bin/sh", "-c", value, usr=usr)
            case "WORKDIR":
                folder = value
                options.append(f"--chdir={value}")
            case "COPY":
                assert value == ". ."
                shutil.copytree(_EXAMPLE, root / folder.lstrip("/"), dirs_exist_ok=True)
            case "ENV":
                options.append(f"--setenv={value}")
            case "USER":
                options.append(f"--user={value}")
            case "ENTRYPOINT" | "CMD":
                command += json.loads(value)
            case "FROM" | "ARG" | "RUN" | "EXPOSE" | "COMMENT" | "HEALTHCHECK":
                pass
            case other:
                raise AssertionError(f"the Dockerfile has a {other}")
    return [*options, "--", *command]


def test_the_example_is_built_runs_and_stops_as_its_dockerfile_says(machine: Machine, installed: Installed) -> None:
    options = _build(machine.root, installed.usr)
    where = [f"--directory={machine.root}", f"--bind-ro={installed.usr}:/usr", "--private-network", "--pipe"]
    quiet = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--kill-signal=SIGTERM"]
    output = machine.root.with_suffix(".output")
    with output.open("wb") as file, open(os.devnull, "rb") as nothing:
        container = subprocess.Popen([*quiet, *where, *options], stdin=nothing, stdout=file, stderr=file)
    try:
        _wait_for(output, "worker number 3 is ready", container)
        first = _first_of(container.pid)
        inside = ["nsenter", f"--target={first}", "--all", "--setuid=10001", "--setgid=10001", "--", "env"]
        inside += [f"PATH={_PATH}", "PROCSUP_STATE_DIR=/var/lib/procsup"]  # as `docker exec` has them from the image
        asked = [*inside, "procsup", "status", "--root", "/app", "--json"]
        status = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE)
        assert status.returncode == 0, status.stderr
        told = json.loads(status.stdout)
        assert told["pid"] == 1
        assert {each["state"] for each in told["instances"]} == {"running"}
        owner = Path(f"/proc/{first}/status").read_text().split("Uid:")[1].split()[0]
        assert owner == "10001"
        os.kill(first, signal.SIGTERM)
        assert container.wait(PATIENCE) == 0
    finally:
        if container.poll() is None:
            os.kill(_first_of(container.pid), signal.SIGKILL)  # and with it all that is inside
        container.wait(PATIENCE)
        remove_groups()
    assert "3 stopped, 0 killed, 0 left" in output.read_text()


def _wait_for(output: Path, words: str, container: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while words not in output.read_text(errors="replace"):
        assert container.poll() is None, output.read_text(errors="replace")
        assert time.monotonic() < end, output.read_text(errors="replace")
        time.sleep(0.02)  # the pace of looking


def _first_of(nspawn: int) -> int:
    """The container's PID 1, as we see it: the one below systemd-nspawn that is 1 to itself."""
    waiting = [nspawn]
    while waiting:
        pid = waiting.pop()
        if Path(f"/proc/{pid}/status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1] == "1":
            return pid
        waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    raise AssertionError("the container has no first process")
