"""Processes that multiply without an end, each copy in a session of its own, inside a limit of their own."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys

import pytest

from tests.e2e.app import App, Supervisor
from tests.faults.bombs import RELAY, most_alive
from tests.faults.watching import NOISE, READY, Record, in_words, within

_LIMIT = 60
# Nobody else's, and another one for each test: a limit counts all processes of a user, the dead ones too.
_USERS = itertools.count(1_000_000 + 10 * os.getpid())
_PYTHON = "/usr/bin/python3"  # one that everybody may run

# None hears SIGTERM; where one is killed, another takes its place at once. After half a minute all are gone anyway.
_BOMB = """\
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 30
while time.monotonic() < end:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        print("full", flush=True)
        time.sleep(0.001)
"""


def _confined(user: int) -> tuple[str, ...]:
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "prlimit", f"--nproc={_LIMIT}")


def _why_not() -> str | None:
    if not all(map(shutil.which, ("setpriv", "prlimit", _PYTHON))):
        return f"needs setpriv, prlimit and {_PYTHON}"
    if os.geteuid() != 0 or subprocess.run([*_confined(next(_USERS)), "true"], capture_output=True).returncode:
        return "only root can give the bomb a user, and so a limit, of its own"
    return None


@pytest.fixture
def user() -> int:
    reason = _why_not() if sys.platform == "linux" else "looks into /proc"
    if reason is not None:
        pytest.skip(reason)
    return next(_USERS)


def _start(app: App, bomb: str, user: int, *arguments: str) -> Supervisor:
    app.write("bomb.py", bomb)  # which its user could not open
    app.write("Procfile", f'bomb: exec {" ".join(_confined(user))} {_PYTHON} -I -c "$(cat bomb.py)"\nweb: {READY}\n')
    supervisor = app.start(*arguments)
    supervisor.wait_for("ready")
    supervisor.wait_for("full")
    assert most_alive(user) > 1
    return supervisor


BOMBS = pytest.mark.parametrize("bomb", [_BOMB, RELAY], ids=["all stay", "each goes at once"])


@BOMBS
def test_f25_a_fork_bomb_whose_every_copy_has_its_own_session_is_gone_when_the_stop_is_told(
    app: App, bomb: str, user: int, record_property: Record
) -> None:
    supervisor = _start(app, bomb, user, "--grace", "0.2")
    with within(0.2 + NOISE) as took:
        assert "stopped bomb.1" in app.ok("stop", "bomb")
    assert most_alive(user) == 0
    assert app.instances()["web.1"]["state"] == "running"
    record_property("all gone after the grace, later by", in_words(took.seconds - 0.2))
    assert supervisor.stop() == 0


@BOMBS
def test_f25_the_guardian_ends_a_fork_bomb_too(app: App, bomb: str, user: int) -> None:
    supervisor = _start(app, bomb, user, "--grace", "0.2")
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.end()  # its output ends when the last of them is gone
    assert "the supervisor was killed; stopped the" in supervisor.text
    assert most_alive(user) == 0
    app.write("Procfile", f"web: {READY}\n")
    again = app.start()  # what is left is no obstacle
    again.wait_for("ready")
    assert again.stop() == 0
