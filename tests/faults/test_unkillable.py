"""A child that nothing can kill: it is told, nobody else waits for it, and the end comes in time.

Processes that hang in the kernel for good cannot be made to order. These here come as near as a test may: one belongs
to somebody whom procsup may not signal, and two are held by a debugger on their way out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import app as terminal
from tests.e2e.app import App, alive
from tests.faults.needs import needs, works
from tests.faults.watching import NOISE, READY, Record, in_words, ticks_in, within, zombies

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

_GRACE = 0.5
_HOPE = 5.0  # so much longer than the grace it may take, with the time in which SIGKILL is given a chance
_POWERLESS = ("setpriv", "--bounding-set=-kill")  # root, who may signal root's processes only
_ANOTHER = ("setpriv", "--reuid=64874", "--regid=64874", "--clear-groups")
_TRACER = Path(__file__).with_name("tracer.py")


@contextmanager
def _held(pid: int, how: str) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-I", _TRACER, str(pid), how], stdout=subprocess.PIPE) as tracer:
        try:
            assert tracer.stdout is not None
            assert tracer.stdout.readline() == b"holds it\n"
            yield
        finally:
            tracer.kill()


def _may_trace() -> bool:
    with subprocess.Popen(["sleep", "1000"]) as somebody:
        try:
            with _held(somebody.pid, "at-exit"):
                return True
        except AssertionError:
            return False
        finally:
            somebody.kill()


@needs(os.geteuid() == 0 and works(*_POWERLESS, *_ANOTHER, "true"), "only root can give a process to somebody else")
def test_f28_a_process_out_of_reach_is_told_and_keeps_nobody(
    app: App, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    monkeypatch.setattr(terminal, "COMMAND", (*_POWERLESS, *terminal.COMMAND))
    app.write("Procfile", f"foreign: exec {' '.join(_ANOTHER)} {READY}\nweb: {READY}\n")
    supervisor = app.start("--grace", str(_GRACE))
    pid = int(supervisor.wait_for(r"foreign\.1 +\| ready (\d+)")[1])
    supervisor.wait_for(r"web\.1 +\| ready")
    try:
        with within(_GRACE + _HOPE + NOISE) as took:
            assert supervisor.stop() == 1
        record_property(f"ended in spite of it, the grace being {_GRACE} s, after", in_words(took.seconds))
        assert alive(pid)
    finally:
        os.kill(pid, 9)
    assert rf"foreign.1 (pid {pid}, sleep) outlives SIGKILL" in supervisor.text
    assert supervisor.text.index("web.1 stopped") < supervisor.text.index("outlives")
    assert "1 stopped, 0 killed, 1 left" in supervisor.text
    assert "Traceback" not in supervisor.text


@needs(_may_trace(), "may not trace processes here")
@pytest.mark.parametrize(
    ("how", "way"),
    [("at-exit", ""), ("as-zombie", ""), ("as-zombie", "1")],
    ids=["at exit, pidfds", "as a zombie, pidfds", "as a zombie, SIGCHLD"],
)
def test_f28_one_that_does_not_get_done_with_dying_is_told_and_keeps_nobody(
    app: App, how: str, way: str, record_property: Record
) -> None:
    app.environment["PROCSUP_PORTABLE"] = way
    app.write("Procfile", f"stuck: {READY}\nweb: {READY}\n")
    supervisor = app.start("--grace", str(_GRACE))
    pid = int(supervisor.wait_for(r"stuck\.1 +\| ready (\d+)")[1])
    supervisor.wait_for(r"web\.1 +\| ready")
    with _held(pid, how):
        done = app.run("stop", "stuck")
        assert done.returncode == 1
        assert "SIGKILL did not end it" in done.stderr
        assert app.instances()["stuck.1"]["why"] == (
            "SIGKILL did not end it; it hangs in the kernel or is out of reach"
        )
        assert ticks_in(supervisor.pid, 0.5) <= 10  # it waits, and does not ask all the time
        assert app.instances()["web.1"]["state"] == "running"
        with within(NOISE) as took:
            assert supervisor.stop() == 1
        record_property(f"ended while one hangs {how} since its SIGKILL, after", in_words(took.seconds))
    assert rf"stuck.1 (pid {pid}, sleep) outlives SIGKILL" in supervisor.text
    assert "1 stopped, 0 killed, 1 left" in supervisor.text


@needs(_may_trace(), "may not trace processes here")
def test_f28_one_that_is_let_go_after_all_is_started_again(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("--grace", str(_GRACE))
    pid = int(supervisor.wait_for(r"ready (\d+)")[1])
    with _held(pid, "as-zombie"):
        os.kill(pid, 9)
        app.until(lambda _: pid in zombies(supervisor.pid))
        assert ticks_in(supervisor.pid, 0.5) <= 10
    supervisor.wait_for(r"web\.1 ended: killed by SIGKILL")
    supervisor.wait_for("ready", 2)
    assert supervisor.stop() == 0
