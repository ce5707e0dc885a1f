"""Children that do not want to end, or hide; signals that come twice, or to everybody."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from tests.e2e.app import App, alive
from tests.faults.watching import DEAF, NOISE, READY, Record, everybody, guardian_of, in_words, until, within

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


def test_f04_one_that_ignores_the_stop_signal_is_killed_and_holds_up_nobody_else(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"deaf: {DEAF}\nweb: {READY}\n")
    grace = 2
    supervisor = app.start("--grace", str(grace))
    supervisor.wait_for("ready", 2)
    pids = {name: each["pid"] for name, each in app.instances().items()}
    with within(grace + NOISE) as took:
        supervisor.send(signal.SIGTERM)
        with within(grace - 0.1) as others_took:
            until(lambda: not alive(pids["web.1"]))
        until(lambda: not alive(pids["deaf.1"]))
    assert took.seconds >= grace
    record_property("killed after the grace, later by", in_words(took.seconds - grace))
    record_property("the others gone after", str(others_took))
    assert supervisor.end() == 0
    killed = supervisor.wait_for(r"deaf\.1 killed after \d(\.\d)? s")
    assert supervisor.wait_for(r"web\.1 stopped").start() < killed.start()


def test_f04_the_grace_is_fifteen_seconds_unless_told_otherwise_and_the_status_counts_them(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"deaf: {DEAF}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    supervisor.send(signal.SIGTERM)
    why = app.until(lambda found: found["deaf.1"]["state"] == "stopping")["deaf.1"]["why"]
    assert re.match(r"stop signal sent; SIGKILL in 1[1-5] s", why)  # 15 s, less what passed until we asked
    record_property("told of one that ignores SIGTERM", why)
    assert supervisor.stop() == 0


def test_f05_twenty_that_ignore_the_stop_signal_are_gone_together(app: App, record_property: Record) -> None:
    app.write("Procfile", f"deaf: {DEAF}\n")
    supervisor = app.start("--grace", "1", "-m", "deaf=20")
    supervisor.wait_for(r"ready \d+", 20)
    pids = [each["pid"] for each in app.instances().values()]
    with within(2 + NOISE) as took:
        assert supervisor.stop() == 0
    assert "20 killed after" in supervisor.text
    assert not any(alive(pid) for pid in pids)
    record_property("all 20 and procsup itself gone after the grace, later by", in_words(took.seconds - 1))


def test_f06_both_sides_of_an_ampersand_end(app: App, record_property: Record) -> None:
    app.write("Procfile", "web: sh -c 'sleep 1000 & echo left $! ready $$; sleep 1000'\n")
    supervisor = app.start()
    found = supervisor.wait_for(r"left (\d+) ready (\d+)")
    until(lambda: sum(command.strip() == "sleep 1000" for command in everybody().values()) == 2)
    with within(NOISE) as took:
        assert supervisor.stop() == 0
    assert not alive(int(found[1]))
    assert not alive(int(found[2]))
    assert not everybody()
    record_property("left", f"0 of 3 processes, after {took}")


def test_f07_a_daemon_that_forked_twice_and_closed_everything_ends(app: App, record_property: Record) -> None:
    app.write("daemon.py", _DAEMON)
    app.write("Procfile", f"web: {sys.executable} -I daemon.py\n")
    supervisor = app.start()
    daemon = int(supervisor.wait_for(r"daemon (\d+)")[1])
    assert os.getsid(daemon) != os.getsid(app.instances()["web.1"]["pid"])
    with within(NOISE) as took:
        assert supervisor.stop() == 0
    assert not alive(daemon)
    assert not everybody()
    record_property("left", f"0 of 2 processes, after {took}")


def test_f26_a_suspended_child_is_shown_as_such_and_ends_at_once(app: App, record_property: Record) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("--grace", "600")
    pid = int(supervisor.wait_for(r"ready (\d+)")[1])
    os.kill(pid, signal.SIGSTOP)
    app.until(lambda found: "stopped by a signal" in (found["web.1"]["why"] or ""), usage=True)
    assert "stopped by a signal" in app.ok("status")
    with within(1 + NOISE) as took:
        assert supervisor.stop() == 0
    assert "0 killed" in supervisor.text
    record_property("gone after", str(took))


def _hold(pid: int, held: ExitStack) -> int:
    pidfd = os.pidfd_open(pid)
    held.callback(os.close, pidfd)
    return pidfd


def _signal_everybody(app: App, lead: float) -> int | None:
    """SIGTERM to all children and the guardian, `lead` seconds later to the supervisor; how many were started again.

    None where we ourselves were held up, and the supervisor's came so late that it may have started somebody again.
    """
    supervisor = app.start("-m", "all=2")
    supervisor.wait_for(r"ready \d+", 4)
    pids = map(int, re.findall(r"ready (\d+)", supervisor.text))
    with ExitStack() as held:
        everybody = [_hold(pid, held) for pid in (*pids, guardian_of(supervisor.pid))]
        ours = _hold(supervisor.pid, held)
        begun = time.monotonic()
        for pidfd in everybody if lead >= 0 else [ours, *everybody]:
            with suppress(ProcessLookupError):  # the supervisor was faster
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if lead >= 0:
            time.sleep(lead)  # how late the supervisor's own is, is the matter of this test
            signal.pidfd_send_signal(ours, signal.SIGTERM)
        late = lead >= 0 and time.monotonic() - begun > _LATEST
    assert supervisor.end() == 0, supervisor.text
    if late:
        return None
    return supervisor.text.count(" started, pid ") - 4


_LATEST = 0.2  # seconds; procsup waits for a quarter of a second before it starts somebody again who died of SIGTERM


@pytest.mark.timeout(300)
def test_f31_a_sigterm_to_everybody_at_once_starts_nobody_again(app: App, record_property: Record) -> None:
    # The supervisor before all others, together with them, and up to 150 ms behind them.
    leads = [-1.0, 0.0, 0.15] * 5 + [random.uniform(0, 0.15) for _ in range(35)]  # noqa: S311

    def until_in_time(own: App, lead: float) -> int:
        while (again := _signal_everybody(own, lead)) is None:
            pass
        return again

    def take_turns(lane: int) -> list[int]:
        own = App(app.folder / str(lane))
        own.write("Procfile", f"web: {READY}\nworker: {READY}\n")
        try:
            return [until_in_time(own, lead) for lead in leads[lane::3]]
        finally:
            own.clean_up()

    with ThreadPoolExecutor(3) as lanes:
        respawns = [again for lane in lanes.map(take_turns, range(3)) for again in lane]
    assert len(respawns) == 50
    record_property("started again, 4 instances in each of 50 turns", str(sum(respawns)))
    assert sum(respawns) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_f32_a_second_signal_ends_it_now(app: App, number: int, code: int, record_property: Record) -> None:
    app.write("Procfile", f"deaf: {DEAF}\n")
    supervisor = app.start("--grace", "600")
    supervisor.wait_for("ready")
    supervisor.send(number)
    supervisor.wait_for(r"deaf\.1 stopping")
    with within(1 + NOISE) as took:
        assert supervisor.stop(number) == code
    assert "1 killed after" in supervisor.text
    record_property(f"out after a second {signal.Signals(number).name}", str(took))
