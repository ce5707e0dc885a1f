"""examples/container does what its Dockerfile says, without Docker: its entry point is PID 1 of a namespace.

In a container proper it runs in tests/boot.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from tests.e2e.pid_one import UNSHARE, Container
from tests.e2e.test_examples import free_port
from tests.faults.needs import needs, works
from tests.faults.watching import children, until

EXAMPLE = Path(__file__).parents[2] / "examples/container"


def instructions() -> dict[str, list[str]]:
    """What the Dockerfile says, by the kind of instruction."""
    found: dict[str, list[str]] = {}
    for each in DockerfileParser(str(EXAMPLE / "Dockerfile")).structure:
        if each["instruction"] != "COMMENT":
            found.setdefault(each["instruction"], []).append(each["value"])
    return found


@pytest.fixture
def app(tmp_path: Path, nothing_left_behind: None) -> Iterator[Container]:
    shutil.copytree(EXAMPLE, tmp_path / "app")
    app = Container(tmp_path / "app")
    try:
        yield app
    finally:
        app.clean_up()


def test_the_dockerfile_starts_procsup_itself_and_not_as_root() -> None:
    found = instructions()
    assert json.loads(found["ENTRYPOINT"][-1]) == ["procsup"]  # no shell, which would be PID 1 in its place
    assert json.loads(found["CMD"][-1]) == ["start"]
    assert found["USER"] == ["app"]
    assert ".env" in (EXAMPLE / ".dockerignore").read_text().split()
    state = re.fullmatch(r"PROCSUP_STATE_DIR=(\S+)", found["ENV"][0])
    assert state is not None
    assert f"--owner=app --mode=0700 {state[1]}" in found["RUN"][1]


@needs(works(*UNSHARE, "true"), "may not make a PID namespace here")
def test_its_entry_point_is_pid_1_answers_is_healthy_and_stops(app: Container) -> None:
    port = free_port()
    supervisor = app.start(*json.loads(instructions()["CMD"][-1])[1:], "-p", str(port))
    health = re.search(r"CMD (\[.*\])$", instructions()["HEALTHCHECK"][-1])
    assert health is not None
    app.started[-1].wait_for(r"worker\.2 +\| worker number \d is ready")
    app.ok("wait", "--ready")  # the others get there when they do
    assert app.run(*json.loads(health[1])[1:]).returncode == 0
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()
    assert page.startswith(b"web.1 on ")
    app.ok("scale", "worker=4", "--wait")
    until(lambda: len(children(supervisor.pid)) == 6)  # with the guardian
    assert supervisor.stop(signal.SIGTERM) == 0
    assert len(re.findall("has finished its work", supervisor.text)) == 4
    assert "0 killed, 0 left" in supervisor.text


@needs(works(*UNSHARE, "true"), "may not make a PID namespace here")
def test_the_image_can_also_run_one_type_or_the_release(app: Container) -> None:
    supervisor = app.start("worker", "-m", "worker=1")
    supervisor.wait_for("worker number 1 is ready")
    assert len(children(supervisor.pid)) == 2
    assert supervisor.stop() == 0
