"""Types with a `socket`: gunicorn and uvicorn are replaced under load, and nobody is turned away."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.app import PATIENCE, App
from tests.e2e.load import Load
from tests.e2e.services import free_port
from tests.faults.needs import needs
from tests.faults.watching import Record

RATE = 200  # requests a second
BESIDE = Path(sys.executable).parent
BROKEN = "test ! -e broken || {{ echo no database; {}; }}; "
GUNICORN = shlex.quote(str(BESIDE / "gunicorn")) + " --threads 4 shop_page:wsgi"
UVICORN = shlex.quote(str(BESIDE / "uvicorn")) + " --fd 3 --timeout-graceful-shutdown 10 --lifespan off shop_page:asgi"
pytestmark = needs(
    all(map(find_spec, ("gunicorn", "uvicorn"))),
    "gunicorn and uvicorn are not installed: pip install procsup[examples]",
)


def shop(app: App, *, ready: bool, count: int = 1, before: str = "") -> Load:
    """Both behind one socket, so that any request may be answered by either."""
    port = free_port()
    shutil.copy(Path(__file__).with_name("shop_page.py"), app.folder)
    app.write("gunicorn.conf.py", "control_socket_disable = True\n")  # where it has one; all copies would share it
    app.write("Procfile", f"wsgi: {before}exec {GUNICORN}\nasgi: {before}exec {UVICORN}\n")
    checks = "ready = 'log Booting worker'", "ready = 'log running on'"
    tables = "".join(
        f"[processes.{name}]\ncount = {count}\n{check if ready else ''}\n"
        for name, check in zip(("wsgi", "asgi"), checks, strict=True)
    )
    app.write("procsup.toml", f'socket = "127.0.0.1:{port}"\n{tables}')
    app.start()
    app.until(lambda found: bool(found) and all(each["state"] == "running" for each in found.values()))
    return Load(("127.0.0.1", port), RATE)


def unharmed(load: Load) -> None:
    """Nobody was turned away. uvicorn, when it stops, closes what it has taken and not read yet."""
    assert all("reset" in each.why for each in load.failed), load.failed
    assert len(load.failed) <= load.requests / 50, load.failed


def pids(app: App) -> dict[str, int]:
    return {name: each["pid"] for name, each in app.instances().items()}


def edit(app: App, name: str, old: str, new: str) -> None:
    text = (app.folder / name).read_text()
    assert old in text
    app.write(name, text.replace(old, new))


def answered_by(load: Load, version: str) -> None:
    """Until somebody of that version has answered."""
    until = time.monotonic() + PATIENCE
    while not any(answer.startswith(f"{version} ") for answer in list(load.answers)):
        assert time.monotonic() < until, load.answers
        time.sleep(0.01)  # the pace of asking


def test_restarts_and_reloads_turn_nobody_away(app: App, record_property: Record) -> None:
    load = shop(app, ready=True)
    with load.on():
        for _ in range(3):
            before = pids(app)
            app.ok("restart", "--rolling")
            after = pids(app)
            assert after.keys() == before.keys()
            assert not {*after.values()} & {*before.values()}
        edit(app, "Procfile", "exec ", "VERSION=2 exec ")
        app.ok("reload")
        load.forget_answers()
        answered_by(load, "2")
        edit(app, "procsup.toml", "socket =", "env = { VERSION = 3 }\nsocket =")
        edit(app, "Procfile", "VERSION=2 ", "")
        app.ok("reload")
        load.forget_answers()
        answered_by(load, "3")
    record_property("under load", load.summary)
    unharmed(load)
    assert {answer[0] for answer in load.answers} == {"3"}


def test_without_a_check_of_its_readiness_one_that_stays_up_for_a_second_is_good(
    app: App, record_property: Record
) -> None:
    load = shop(app, ready=False)
    with load.on():
        edit(app, "Procfile", "asgi: exec", "asgi: VERSION=2 exec")
        before, begun = pids(app), time.monotonic()
        app.ok("reload")
        assert time.monotonic() - begun > 2  # the one more, and the one in place of the old
        after = pids(app)
        load.forget_answers()
        answered_by(load, "2")
    record_property("under load", load.summary)
    unharmed(load)
    assert before["wsgi.1"] == after["wsgi.1"]
    assert before["asgi.1"] != after["asgi.1"]


def test_who_is_killed_takes_only_those_along_whom_it_was_serving(app: App, record_property: Record) -> None:
    load = shop(app, ready=True, count=2)
    with load.on():
        victim = pids(app)["asgi.2"]
        answered_by(load, "1")
        under_way = load.under_way  # more than a few where this machine is so busy that they pile up
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        app.until(lambda found: found["asgi.2"]["pid"] not in (None, victim) and found["asgi.2"]["state"] == "running")
        app.ok("restart", "--rolling", "wsgi")
    record_property("under load", load.summary)
    assert not [each for each in load.failed if each.begun > killed]
    assert len(load.failed) <= 5 + under_way


@pytest.mark.parametrize("command", ["restart --rolling", "reload"])
@pytest.mark.parametrize(
    ("what", "said"),
    [("exit 3", r"exit 3; those that run are as they were"), ("exec sleep 1000", "not ready in time")],
    ids=["ends at once", "never ready"],
)
def test_a_broken_version_replaces_nobody(app: App, command: str, what: str, said: str) -> None:
    load = shop(app, ready=True, before=BROKEN.format(what))
    before = pids(app)
    with load.on():
        answered_by(load, "1")
        app.write("broken", "")
        edit(app, "procsup.toml", "socket =", "ready_timeout = 2\nsocket =")
        if command == "reload":
            edit(app, "Procfile", "exec ", "VERSION=2 exec ")
        else:
            app.ok("reload")  # the timeout is nothing to restart for
        shown = refused_at_length(app.run(*command.split()))
        load.forget_answers()
        answered_by(load, "1")
        assert pids(app) == before
    assert not load.failed
    assert "no database" in shown
    assert re.search(said, shown), shown
    assert app.started[0].stop() == 0
    assert app.started[0].text.count("rolling restart halted: the new ") == 1


def refused_at_length(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr
