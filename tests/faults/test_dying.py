"""Children that die, go quiet, or leave somebody behind."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.e2e.app import App, alive
from tests.faults.watching import READY, ticks_in, until, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")


def test_f01_a_killed_child_is_replaced_at_once_and_the_status_says_how_it_died(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    first = int(supervisor.wait_for(r"ready (\d+)")[1])
    with within(1.0):
        os.kill(first, signal.SIGKILL)
        second = int(supervisor.wait_for(r"ready (\d+)", 2)[1])
    web = app.until_running("web.1")["web.1"]
    assert (web["pid"], web["restarts"]) == (second, 1)
    assert web["last_exit"]["signal"] == "SIGKILL"
    assert "web.1 ended: killed by SIGKILL" in supervisor.text
    assert supervisor.stop() == 0


def test_f08_the_policy_applies_to_what_the_leader_left_as_to_a_whole(app: App) -> None:
    app.write("Procfile", "web: sh -c 'sleep 1000 & echo member $!; exit 3'\n")
    supervisor = app.start("--restart", "never")
    member = int(supervisor.wait_for(r"member (\d+)")[1])
    assert supervisor.end() == 3
    assert not alive(member)
    assert supervisor.text.count("web.1 started") == 1


def test_f08_a_number_is_never_there_twice(app: App) -> None:
    # Who finds the member of the copy before it still alive, and not only not yet reaped, says so.
    app.write(
        "web",
        "if [ -e member ] && grep -q '^State:.[^ZX]' /proc/$(cat member)/status 2> /dev/null; then echo twice; fi\n"
        "sleep 1000 &\necho $! > member\necho up\nexit 1\n",
    )
    app.write("Procfile", "web: sh web\n")
    supervisor = app.start()
    supervisor.wait_for(r"\| up$", 3)
    assert "twice" not in supervisor.text
    assert supervisor.stop() == 0


def test_f09_an_exit_is_seen_while_a_grandchild_holds_the_output_and_its_late_lines_have_their_name(app: App) -> None:
    app.write(
        "grandchild",
        "trap 'echo late; while [ ! -e go ]; do sleep 0.02; done; echo last; exit' TERM\n"
        "echo ready\nwhile :; do sleep 0.05; done\n",
    )
    app.write("Procfile", "web: sh -c 'echo leader $$; sh grandchild & wait'\n")
    supervisor = app.start()
    leader = int(supervisor.wait_for(r"leader (\d+)")[1])
    supervisor.wait_for("ready")
    with within(1.0):
        os.kill(leader, signal.SIGKILL)
        supervisor.wait_for(r"web\.1 ended: killed by SIGKILL, and left processes")
    supervisor.wait_for(r"web\.1 +\| late$")
    assert supervisor.text.count("web.1 started") == 1
    app.write("go", "")
    supervisor.wait_for(r"web\.1 +\| last$")
    supervisor.wait_for("ready", 2)
    assert supervisor.stop() == 0


def test_f10_a_child_that_closes_its_output_goes_on_and_costs_nothing(app: App) -> None:
    app.write("Procfile", "web: sh -c 'echo ready $$; exec >&- 2>&-; exec sleep 1000'\n")
    supervisor = app.start()
    pid = int(supervisor.wait_for(r"ready (\d+)")[1])
    until(lambda: not {"1", "2"} & set(os.listdir(f"/proc/{pid}/fd")))
    app.until_running("web.1")
    assert ticks_in(supervisor.pid, 1.0) <= 2
    web = app.instances()["web.1"]
    assert (web["state"], web["pid"], web["restarts"]) == ("running", pid, 0)
    assert supervisor.stop() == 0


@pytest.mark.parametrize("code", [1, 0])
def test_f19_one_that_ends_at_once_is_tried_ever_more_seldom(app: App, code: int) -> None:
    app.write("Procfile", f"web: sh -c 'exit {code}'\n")
    supervisor = app.start()
    web = app.until(lambda found: "3 times" in (found["web.1"]["why"] or ""))["web.1"]
    assert web["state"] == "backoff"
    assert re.fullmatch(rf"exit {code}, 3 times in a row; next try in [012](\.\d)? s", web["why"])
    assert ticks_in(supervisor.pid, 1.0) <= 2
    waits = [float(each) for each in re.findall(r"next try in ([\d.]+) s", supervisor.text)]
    assert waits == [pytest.approx(1, abs=0.11), pytest.approx(2, abs=0.21)]  # so 8 starts in the first 60 s
    assert supervisor.text.count("web.1 started") == 3
    assert supervisor.stop() == 0
