"""Time that passes without procsup, and clocks that people set."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.app import App, alive
from tests.faults.needs import needs
from tests.faults.watching import NOISE, READY, Record, Took, in_words, ticks_in, until, within, zombies

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

_ASLEEP = 3.0  # seconds; longer than any wait that the tests give to procsup
# Hears the stop signal, and ends when it may.
_CAREFUL = """sh -c 'trap "echo going; while [ ! -e go ]; do sleep 0.02; done; exit 0" TERM
echo ready $$; while :; do sleep 0.02; done'""".replace("\n", "; ")


@contextmanager
def _asleep(*pids: int) -> Iterator[None]:
    """These do not run for a while, whatever happens."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + _ASLEEP
    try:
        yield
        time.sleep(max(0.0, end - time.monotonic()))  # the length of the sleep is what it is about
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _starts(text: str, name: str) -> int:
    return len(re.findall(rf"{re.escape(name)} started, pid ", text))


def test_f27_what_ended_in_time_while_procsup_slept_is_not_called_killed(app: App) -> None:
    app.write("Procfile", f"web: {_CAREFUL}\n")
    supervisor = app.start("--grace", "1.5")
    pid = int(supervisor.wait_for(r"ready (\d+)")[1])
    supervisor.send(signal.SIGTERM)
    supervisor.wait_for("going")
    with _asleep(supervisor.pid):
        app.write("go", "")
        until(lambda: pid in zombies(supervisor.pid))
    assert supervisor.end() == 0
    assert "1 stopped, 0 killed, 0 left" in supervisor.text
    assert "SIGKILL" not in supervisor.text


def test_f27_the_dead_are_replaced_once_and_nothing_else_is_done(app: App, record_property: Record) -> None:
    app.write("Procfile", f"web: {READY}\nother: {READY}\nbad: sh -c 'exit 1'\n")
    supervisor = app.start("-m", "bad=5")
    web = int(supervisor.wait_for(r"web\.1 +\| ready (\d+)")[1])
    supervisor.wait_for(r"other\.1 +\| ready")
    app.until(lambda found: all("2 times" in (found[f"bad.{n}"]["why"] or "") for n in range(1, 6)))
    other = app.instances()["other.1"]
    with _asleep(supervisor.pid):
        os.kill(web, signal.SIGKILL)
        refused = app.run("stop", "other")  # has patience, but not for ever
    took = Took()
    assert app.instances()["other.1"]["pid"] == other["pid"]
    record_property("answers again after", in_words(took.seconds))
    assert refused.returncode == 1
    assert "was told nothing" in refused.stderr
    with within(2 + NOISE):
        supervisor.wait_for(r"web\.1 +\| ready", 2)
        supervisor.wait_for(r"bad\.\d ended: .* next try in", 10)
    assert [_starts(supervisor.text, f"{name}.1") for name in ("web", "other")] == [2, 1]
    # Each of these has been tried once more, in its turn, and waits twice as long as before.
    assert [_starts(supervisor.text, f"bad.{n}") for n in range(1, 6)] == [3] * 5
    assert 1 <= float(supervisor.wait_for(r"did not run for ([\d.]+) s")[1]) <= _ASLEEP + NOISE
    assert supervisor.stop() == 0


def test_f27_who_is_deaf_is_killed_a_second_after_procsup_woke_at_the_latest(app: App, record_property: Record) -> None:
    app.write("Procfile", """web: sh -c 'trap "" TERM; echo ready; while :; do sleep 1000; done'\n""")
    supervisor = app.start("--grace", "1")
    supervisor.wait_for("ready")
    supervisor.send(signal.SIGTERM)
    supervisor.wait_for(r"web\.1 stopping")
    with _asleep(supervisor.pid):
        pass
    with within(1 + NOISE) as took:
        assert supervisor.end() == 0
    record_property("kills whom it must, after it woke", in_words(took.seconds))
    assert "1 killed" in supervisor.text


def test_f30_all_asleep_together_go_on_as_if_nothing_had_been(app: App, record_property: Record) -> None:
    """As near to suspend and resume as a test may come: procsup and all of its processes stop together.

    It does not show what the kernel does: there the monotonic clock stops too, which here it does not. So this is
    harder than the real thing for every wait. That nothing reads a clock that counts a suspend is a test of its own.
    """
    app.write("Procfile", f"web: {_CAREFUL}\nother: {READY}\n")
    supervisor = app.start("--grace", "1.5")
    web = int(supervisor.wait_for(r"web\.1 +\| ready (\d+)")[1])
    other = int(supervisor.wait_for(r"other\.1 +\| ready (\d+)")[1])
    with _asleep(supervisor.pid, web, other):
        pass
    assert {each["restarts"] for each in app.instances().values()} == {0}
    assert alive(web)
    assert alive(other)
    supervisor.send(signal.SIGTERM)  # and now in the middle of a stop
    supervisor.wait_for("going")
    with _asleep(supervisor.pid, web):
        app.write("go", "")
    assert supervisor.end() == 0
    assert "2 stopped, 0 killed, 0 left" in supervisor.text
    record_property("restarts and false SIGKILLs after two sleeps", "0")


_FAKE = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)  # Debian and Ubuntu
_HOUR, _DAY = 3600, 86400


@needs(_FAKE is not None, "libfaketime is not installed (apt-get install faketime)")
def test_f29_whatever_the_wall_clock_does_nothing_happens(app: App, record_property: Record) -> None:
    def set_clock(offset: int) -> None:
        app.write("new", f"{offset:+d}\n").rename(app.folder / "clock")

    set_clock(0)
    app.environment |= {
        "LD_PRELOAD": str(_FAKE),
        "FAKETIME_TIMESTAMP_FILE": str(app.folder / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    app.write("Procfile", f"web: {READY}\nbad: sh -c 'exit 1'\ndeaf: {_CAREFUL}\n")
    supervisor = app.start("--grace", "2", "--format", "json")
    supervisor.wait_for("ready", 2)
    begun = time.monotonic()
    before = app.until(lambda found: found["bad.1"]["state"] == "backoff")
    for offset in (_HOUR, -_HOUR, _DAY, -_DAY):
        set_clock(offset)
        app.ok("scale", f"web={2 + (offset > 0)}", "--wait")  # wakes it up, and has it say something
        now = app.instances(usage=True)
        passed = time.monotonic() - begun
        for name in ("web.1", "deaf.1"):
            assert (now[name]["pid"], now[name]["restarts"]) == (before[name]["pid"], 0)
            assert 0 <= now[name]["uptime"] - before[name]["uptime"] <= passed + 0.1
            assert now[name]["cpu"] <= 200
        assert ticks_in(supervisor.pid, 0.3) <= 10
    shown = {time.strftime("%d", time.gmtime(time.time() + offset)) for offset in (_DAY, -_DAY)}
    said = set(re.findall(r'"time": ?"\d+-\d+-(\d+)T', supervisor.text))
    assert said & shown, "the clock was not set at all"
    bad = app.instances()["bad.1"]
    passed = time.monotonic() - begun
    assert 1 <= bad["restarts"] <= 2 + passed  # tried after 0, 1, 2, 4 … seconds
    record_property("restarts through clock changes of an hour and a day", "0")
    set_clock(_DAY)
    with within(2 + NOISE) as took:
        supervisor.send(signal.SIGTERM)
        supervisor.wait_for("going")
        set_clock(-_DAY)
        assert supervisor.end() == 0
    assert took.seconds >= 1, "the grace was cut short"
    record_property("a grace of 2 s took, over two days of clock changes", in_words(took.seconds))
    assert "1 killed" in supervisor.text
