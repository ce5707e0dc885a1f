"""Children that do not want to end, or hide; signals that come twice, or to everybody."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress

import pytest

from tests.e2e.app import App, alive
from tests.faults.watching import DEAF, NOISE, READY, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

_DAEMON = """\
import os, time
ours, theirs = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(theirs, str(os.getpid()).encode())
        os.closerange(0, 256)
        time.sleep(1000)
    os._exit(0)
os.wait()
print("daemon", os.read(ours, 20).decode(), flush=True)
time.sleep(1000)
"""

# Each of them forks for ever, into sessions of their own, and none hears SIGTERM; but a minute later all are gone.
_BOMB = """\
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        print("full", flush=True)
        time.sleep(0.1)
"""
_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "prlimit", "--nproc=60")
_PYTHON = "/usr/bin/python3"  # one that everybody may run


def test_f04_one_that_ignores_the_stop_signal_is_killed_and_holds_up_nobody_else(app: App) -> None:
    app.write("Procfile", f"deaf: {DEAF}\nweb: {READY}\n")
    supervisor = app.start("--grace", "1")
    supervisor.wait_for("ready", 2)
    with within(1 + NOISE):
        assert supervisor.stop() == 0
    killed = supervisor.wait_for(r"deaf\.1 killed after 1(\.\d)? s")
    assert supervisor.wait_for(r"web\.1 stopped").start() < killed.start()


def test_f05_twenty_that_ignore_the_stop_signal_are_gone_together(app: App) -> None:
    app.write("Procfile", f"deaf: {DEAF}\n")
    supervisor = app.start("--grace", "1", "-m", "deaf=20")
    supervisor.wait_for(r"ready \d+", 20)
    pids = [each["pid"] for each in app.instances().values()]
    with within(1 + NOISE):
        assert supervisor.stop() == 0
    assert "20 killed after" in supervisor.text
    assert not any(alive(pid) for pid in pids)


def test_f06_both_sides_of_an_ampersand_end(app: App) -> None:
    app.write("Procfile", "web: sleep 1000 & echo left $! ready $$; sleep 1000\n")
    supervisor = app.start()
    found = supervisor.wait_for(r"left (\d+) ready (\d+)")
    with within(NOISE):
        assert supervisor.stop() == 0
    assert not alive(int(found[1]))
    assert not alive(int(found[2]))


def test_f07_a_daemon_that_forked_twice_and_closed_everything_ends(app: App) -> None:
    app.write("daemon.py", _DAEMON)
    app.write("Procfile", f"web: {sys.executable} -I daemon.py\n")
    supervisor = app.start()
    daemon = int(supervisor.wait_for(r"daemon (\d+)")[1])
    assert alive(daemon)
    assert supervisor.stop() == 0
    assert not alive(daemon)


def _bomb_possible() -> bool:
    programs = all(map(shutil.which, ("setpriv", "prlimit", _PYTHON)))
    return os.geteuid() == 0 and programs and subprocess.run([*_NOBODY, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not _bomb_possible(), reason="only root can give the bomb a user, and so a limit, of its own")
def test_f25_stop_ends_a_fork_bomb(app: App) -> None:
    app.write("bomb.py", _BOMB)  # which its user could not open
    app.write("Procfile", f'bomb: exec {" ".join(_NOBODY)} {_PYTHON} -I -c "$(cat bomb.py)"\nweb: {READY}\n')
    supervisor = app.start("--grace", "0.5")
    supervisor.wait_for("ready")
    supervisor.wait_for("full", 100)
    assert "stopped bomb.1" in app.ok("stop", "bomb")
    assert app.instances()["web.1"]["state"] == "running"
    assert supervisor.stop() == 0


def test_f26_a_suspended_child_is_shown_as_such_and_ends_at_once(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("--grace", "600")
    pid = int(supervisor.wait_for(r"ready (\d+)")[1])
    os.kill(pid, signal.SIGSTOP)
    app.until(lambda found: "stopped by a signal" in (found["web.1"]["why"] or ""), usage=True)
    with within(1 + NOISE):
        assert supervisor.stop() == 0
    assert "0 killed" in supervisor.text


def _hold(pid: int, held: ExitStack) -> int:
    pidfd = os.pidfd_open(pid)
    held.callback(os.close, pidfd)
    return pidfd


def test_f31_a_sigterm_to_everybody_at_once_starts_nobody_again(app: App) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {READY}\n")
    for turn in range(20):
        supervisor = app.start("-m", "all=3")
        supervisor.wait_for(r"ready \d+", 6)
        pids = [supervisor.pid, *(each["pid"] for each in app.until(lambda found: len(found) == 6).values())]
        with ExitStack() as held:
            everybody = [_hold(pid, held) for pid in pids]
            for pidfd in reversed(everybody) if turn % 2 else everybody:
                with suppress(ProcessLookupError):  # the supervisor was faster
                    signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        assert supervisor.end() == 0, supervisor.text
        assert supervisor.text.count(" started, pid ") == 6, supervisor.text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_f32_a_second_signal_ends_it_now(app: App, number: int, code: int) -> None:
    app.write("Procfile", f"deaf: {DEAF}\n")
    supervisor = app.start("--grace", "600")
    supervisor.wait_for("ready")
    supervisor.send(number)
    supervisor.wait_for(r"deaf\.1 stopping")
    with within(1 + NOISE):
        assert supervisor.stop(number) == code
    assert "1 killed after" in supervisor.text
