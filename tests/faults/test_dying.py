"""Children that die, go quiet, or leave somebody behind."""

from __future__ import annotations

import os
import re
import signal
import statistics
import time

import pytest

from procsup.runtime.wording import why
from tests.core.stage import up
from tests.e2e.app import App, alive
from tests.faults.watching import NOISE, READY, Record, in_words, ticks, ticks_in, until, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")


def test_f01_a_killed_child_is_replaced_at_once_and_the_status_says_how_it_died(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("-m", "web=5")
    supervisor.wait_for(r"ready \d+", 5)
    before = app.until_running(*(f"web.{number}" for number in range(1, 6)))
    seconds = []
    for name, each in before.items():
        with within(1 + NOISE) as took:
            os.kill(each["pid"], signal.SIGKILL)
            second = int(supervisor.wait_for(rf"{re.escape(name)} +\| ready (\d+)", 2)[1])
        seconds.append(took.seconds)
        web = app.until(lambda found, name=name: found[name]["state"] == "running")[name]
        assert (web["pid"], web["restarts"]) == (second, 1)
        assert web["last_exit"]["signal"] == "SIGKILL"
        assert f"{name} ended: killed by SIGKILL" in supervisor.text
    assert "next try in" not in supervisor.text
    assert statistics.median(seconds) <= 0.25
    record_property("replaced after, median of 5", in_words(statistics.median(seconds)))
    record_property("replaced after, slowest of 5", in_words(max(seconds)))
    assert supervisor.stop() == 0


def test_f08_the_policy_applies_to_what_the_leader_left_as_to_a_whole(app: App, record_property: Record) -> None:
    app.write("Procfile", "web: sh -c 'sleep 1000 & echo member $!; exit 3'\n")
    supervisor = app.start("--restart", "never")
    member = int(supervisor.wait_for(r"member (\d+)")[1])
    assert supervisor.end() == 3
    assert not alive(member)
    assert supervisor.text.count("web.1 started") == 1
    record_property("members left behind", "0 of 1")


def test_f08_a_number_is_never_there_twice(app: App, record_property: Record) -> None:
    # Who finds the member of the copy before it still alive, and not only not yet reaped, says so.
    app.write(
        "web",
        "if [ -e member ] && grep -q '^State:.[^ZX]' /proc/$(cat member)/status 2> /dev/null; then echo twice; fi\n"
        "sh -c 'trap \"sleep 0.2; exit\" TERM; echo deaf for a moment; while :; do sleep 0.01; done' &\n"
        "echo $! > member\nuntil [ -e go ]; do sleep 0.01; done\necho up\nexit 1\n",
    )
    app.write("Procfile", "web: sh web\n")
    supervisor = app.start()
    supervisor.wait_for("deaf for a moment")
    app.write("go", "")
    supervisor.wait_for(r"\| up$", 3)
    assert "twice" not in supervisor.text
    record_property("copies of a number at once", "1 at most, in 3 turns")
    assert supervisor.stop() == 0


def test_f09_an_exit_is_seen_while_a_grandchild_holds_the_output_and_its_late_lines_have_their_name(
    app: App, record_property: Record
) -> None:
    app.write(
        "grandchild",
        "trap 'echo late; while [ ! -e go ]; do sleep 0.02; done; echo last; exit' TERM\n"
        "echo ready\nwhile :; do sleep 0.05; done\n",
    )
    app.write("Procfile", "web: sh -c 'echo leader $$; sh grandchild & wait'\n")
    supervisor = app.start()
    leader = int(supervisor.wait_for(r"leader (\d+)")[1])
    supervisor.wait_for("ready")
    with within(1 + NOISE) as took:
        os.kill(leader, signal.SIGKILL)
        supervisor.wait_for(r"web\.1 ended: killed by SIGKILL, and left processes")
    record_property("exit seen after", str(took))
    supervisor.wait_for(r"web\.1 +\| late$")
    assert supervisor.text.count("web.1 started") == 1
    app.write("go", "")
    supervisor.wait_for(r"web\.1 +\| last$")
    supervisor.wait_for("ready", 2)
    assert supervisor.stop() == 0


def test_f10_a_child_that_closes_its_output_goes_on_and_costs_nothing(app: App, record_property: Record) -> None:
    app.write("Procfile", "web: sh -c 'echo ready $$; exec >&- 2>&-; exec sleep 1000'\n")
    supervisor = app.start()
    pid = int(supervisor.wait_for(r"ready (\d+)")[1])
    until(lambda: not {"1", "2"} & set(os.listdir(f"/proc/{pid}/fd")))
    app.until_running("web.1")
    used = ticks_in(supervisor.pid, 1.0)
    assert used <= 2
    record_property("CPU of the supervisor in 1 s", f"{used} %")
    web = app.instances()["web.1"]
    assert (web["state"], web["pid"], web["restarts"]) == ("running", pid, 0)
    assert supervisor.stop() == 0


def test_f19_those_that_end_at_once_are_tried_ever_more_seldom(app: App, record_property: Record) -> None:
    app.write("Procfile", "one: sh -c 'exit 1'\nzero: sh -c 'exit 0'\n")
    supervisor = app.start()
    supervisor.wait_for(r"\.1 ended: exit", 2)
    begun, used = time.monotonic(), ticks(supervisor.pid)
    supervisor.wait_for(r"\.1 ended: exit", 8)
    observed, used = time.monotonic() - begun, ticks(supervisor.pid) - used
    assert used / observed <= 4
    found = app.instances()
    for code, name in ((1, "one"), (0, "zero")):
        each = found[f"{name}.1"]
        assert each["state"] == "backoff"
        assert re.fullmatch(rf"exit {code}, 4 times in a row; next try in [1-4](\.\d)? s", each["why"])
        waits = [float(wait) for wait in re.findall(rf"{name}\.1 ended: .*next try in ([\d.]+) s", supervisor.text)]
        assert waits == [pytest.approx(1, abs=0.11), pytest.approx(2, abs=0.21), pytest.approx(4, abs=0.41)]
        assert supervisor.text.count(f"{name}.1 started") == 4
    assert "exit 1, 4 times in a row; next try in" in app.ok("status")
    record_property("starts seen", f"4 of each in {observed:.1f} s")
    record_property("CPU of the supervisor meanwhile", f"{used / observed:.1f} %")
    assert supervisor.stop() == 0


def test_f19_in_the_first_minute_there_are_ten_starts_at_most(record_property: Record) -> None:
    """A minute of virtual time, with the part that decides when, and the part that says so."""
    stage, starts, said = up("web"), 1, []
    begun = stage.now
    while stage.now - begun < 60:
        stage.ends("web.1")
        said.append(why(stage["web.1"], stage.now))
        stage.runs() if stage.outstanding() else stage.after(stage.wait() or 0)
        stage.runs(*stage.outstanding())
        starts += stage.now - begun < 60
    assert starts <= 10
    assert any(re.fullmatch(r"exit 1, 5 times in a row; next try in (7\.\d|8(\.\d)?) s", each or "") for each in said)
    record_property("starts in the first 60 s (virtual time)", str(starts))
