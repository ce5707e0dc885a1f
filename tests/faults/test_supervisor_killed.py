"""The supervisor is killed, at any moment, alone or with its guardian: nothing runs on, and nothing runs twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App, alive, children_of
from tests.e2e.versions import other_version
from tests.faults.watching import (
    DEAF,
    NOISE,
    READY,
    Record,
    Took,
    everybody,
    guardian_of,
    in_words,
    sockets,
    until,
    within,
)

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux's sub-reaper and /proc")

# A daemon as they are made: another session, the first parent gone, and nothing of ours left open.
_DAEMON = (
    "sh -c 'setsid sh -c \"sleep 1000 >/dev/null 2>&1 </dev/null & echo daemon \\$!\"; echo ready $$; exec sleep 1000'"
)
_GRACE = 0.5


def _lock() -> Path:
    [lock] = Path(os.environ["PROCSUP_STATE_DIR"]).rglob("lock")
    return lock


def _is_deaf_to(pid: int, *numbers: int) -> bool:
    ignored = int(Path(f"/proc/{pid}/status").read_text().split("SigIgn:")[1].split()[0], 16)
    return all(ignored >> number - 1 & 1 for number in numbers)


def _start_again(app: App, *names: str) -> Took:
    """What was left of the last supervisor is no obstacle, and each runs once; how long that took."""
    took = Took()
    supervisor = app.start("--grace", str(_GRACE), "-m", "web=3")
    supervisor.wait_for(r"\| ready \d+", len(names))
    took.stop()
    found = app.until_running(*names)
    # The daemons come to the supervisor as well; the copies lead their sessions.
    leaders = sorted(pid for pid in children_of(supervisor.pid) if os.getsid(pid) == pid)
    assert leaders == sorted(each["pid"] for each in found.values())
    assert supervisor.text.count(" started, pid ") == len(names)
    assert supervisor.stop() == 0
    return took


def test_where_its_own_python_was_removed_meanwhile_the_guardian_ends_them_all_the_same(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = Path(other_version(tmp_path / "own", {}))
    app.write("Procfile", f"web: {READY}\ndeaf: {DEAF}\n")
    with monkeypatch.context() as own:
        own.setattr("tests.e2e.app.COMMAND", (str(python), "-m", "procsup"))
        supervisor = app.start("--grace", "1")
    supervisor.wait_for("ready", 2)
    (tmp_path / "own").rename(tmp_path / "gone")
    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: not everybody())
    supervisor.end()
    supervisor = app.start("--grace", "1", "-m", "deaf=0")
    supervisor.wait_for("ready")
    assert supervisor.stop() == 0


def test_f02_when_the_supervisor_is_killed_its_guardian_stops_everything(app: App, record_property: Record) -> None:
    names = ("web.1", "web.2", "web.3", "worker.1")
    app.write("Procfile", f"web: {READY}\nworker: {_DAEMON}\n")
    supervisor = app.start("-m", "web=3")
    daemon = int(supervisor.wait_for(r"daemon (\d+)")[1])
    supervisor.wait_for(r"\| ready \d+", 4)
    app.until_running(*names)
    assert daemon in everybody()
    [socket] = sockets()
    with within(1 + NOISE) as took:
        os.kill(supervisor.pid, signal.SIGKILL)
        until(lambda: not everybody())
    record_property("from SIGKILL of the supervisor to its last process gone", str(took))
    supervisor.wait_for("the supervisor was killed; stopped the 5 processes it left")
    supervisor.end()
    assert socket.exists()  # a stale one, and a lock file that names a pid that is gone
    assert str(supervisor.pid) in _lock().read_text()
    record_property("the next start, all 4 ready after", str(_start_again(app, *names)))


def test_f02_the_guardian_hears_no_other_signal_and_kills_the_deaf_when_the_grace_is_over(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"web: {DEAF}\n")
    supervisor = app.start("--grace", str(_GRACE), "-m", "web=3")
    supervisor.wait_for(r"ready \d+", 3)
    guardian = guardian_of(supervisor.pid)
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    until(lambda: _is_deaf_to(guardian, *signals))  # it may have been started just now
    for number in signals:
        os.kill(guardian, number)
    with within(_GRACE + 1 + NOISE) as took:
        os.kill(supervisor.pid, signal.SIGKILL)
        until(lambda: not everybody())
    assert took.seconds >= _GRACE
    record_property("deaf ones gone after the grace", in_words(took.seconds - _GRACE))
    supervisor.wait_for("stopped the")
    supervisor.end()
    _start_again(app, "web.1", "web.2", "web.3")


def test_f02_one_that_only_descends_from_an_instance_and_is_deaf_is_found_when_its_parents_are_gone(
    app: App, record_property: Record
) -> None:
    app.write("away", "trap '' TERM; echo away $$; while :; do sleep 1; done\n")
    app.write("Procfile", "web: sh -c 'env -i setsid sh away & exec sleep 1000'\n")
    supervisor = app.start("--grace", str(_GRACE))
    away = int(supervisor.wait_for(r"away (\d+)")[1])
    app.until_running("web.1")
    with ExitStack() as held:
        pidfd = os.pidfd_open(away)
        held.callback(os.close, pidfd)
        held.callback(_kill, pidfd)  # nothing in it tells whose it is
        with within(_GRACE + 1 + NOISE) as took:
            os.kill(supervisor.pid, signal.SIGKILL)
            supervisor.wait_for("the supervisor was killed; stopped the")
        assert not alive(away)
    record_property("without cookie, group and parents: gone after the grace", in_words(took.seconds - _GRACE))
    supervisor.end()
    app.write("Procfile", f"web: {READY}\n")
    _start_again(app, "web.1", "web.2", "web.3")


def _kill(pidfd: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def test_one_process_that_was_left_is_told_as_one(app: App) -> None:
    app.write("Procfile", f"web: {READY}\n")
    first = app.start()
    first.wait_for(r"\| ready \d+")
    os.kill(first.pid, signal.SIGKILL)
    first.wait_for("the supervisor was killed; stopped the process it left$")
    first.end()
    second = app.start()
    second.wait_for(r"\| ready \d+")
    os.kill(guardian_of(second.pid), signal.SIGKILL)
    os.kill(second.pid, signal.SIGKILL)
    second.process.wait(PATIENCE)
    third = app.start()
    third.wait_for("the last supervisor was killed and left 1 process, which was stopped first: ")
    assert third.stop() == 0


def test_f03_with_supervisor_and_guardian_killed_the_next_start_stops_what_is_left_first(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {_DAEMON}\n")
    first = app.start()
    daemon = int(first.wait_for(r"daemon (\d+)")[1])
    first.wait_for(r"\| ready \d+", 2)
    left = [daemon, *(each["pid"] for each in app.instances().values())]
    os.kill(guardian_of(first.pid), signal.SIGKILL)
    os.kill(first.pid, signal.SIGKILL)
    first.process.wait(PATIENCE)
    assert all(alive(pid) for pid in left)
    assert os.getsid(daemon) not in map(os.getsid, left[1:])
    took = Took()
    second = app.start()
    second.wait_for(r"\| ready \d+", 2)
    took.stop()
    said = "the last supervisor was killed and left 3 processes, which were stopped first"
    assert second.text.index(said) < second.text.index("started, pid")
    assert not any(alive(pid) for pid in left)
    assert [each["state"] for each in app.instances().values()] == ["running", "running"]
    # The daemon may be the supervisor's child as well: that depends on when it lost its first parent.
    assert sum(os.getsid(pid) == pid for pid in children_of(second.pid)) == 2
    record_property("left ones found and stopped", "3 of 3")
    record_property("the next start, those stopped and all ready after", str(took))
    assert second.stop() == 0


_TYPES = tuple(f"type{number}" for number in range(10))


def _kept(app: App) -> int:
    """How many there are of each type: the old number or the new one, but one and the same for all of them."""
    formation = app.ask("formation")
    assert sorted(formation) == sorted(_TYPES)
    [count] = set(formation.values())
    return int(count)


def _last_written(folder: Path) -> tuple[int, ...]:
    """Something else as soon as the formation is written, in whatever way."""
    looks = []
    for path in (folder, folder / "formation.json"):
        with suppress(FileNotFoundError):
            looks.append(path.stat().st_mtime_ns)
    return tuple(looks)


def _wait_for_the_moment(client: subprocess.Popen[bytes], folder: Path, turn: int) -> None:
    """To kill: any at all while a `scale` is obeyed, or the first in which something is being written."""
    end = time.monotonic() + random.random() * 0.2  # noqa: S311
    before = _last_written(folder)
    while time.monotonic() < end if turn % 2 else client.poll() is None and _last_written(folder) == before:
        pass  # a look that sleeps would come too late


def test_f47_killed_at_any_moment_of_a_write_the_next_start_finds_the_old_formation_or_the_new(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", "".join(f"{name}: sleep 1000\n" for name in _TYPES))
    app.start()
    app.until(lambda found: len(found) == len(_TYPES))
    fresh = _lock().with_name("formation.json.new")
    old, in_the_write, found = _kept(app), 0, {"old": 0, "new": 0}
    end = time.monotonic() + 3
    while time.monotonic() < end or sum(found.values()) < 4:
        supervisor = app.started[-1]
        new = 1 - old
        scale = [*COMMAND, "scale", *(f"{name}={new}" for name in _TYPES)]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(scale, cwd=app.folder, env=app.environment, **quiet) as client:
            _wait_for_the_moment(client, fresh.parent, sum(found.values()))
            supervisor.send(signal.SIGKILL)
        supervisor.end()
        in_the_write += fresh.exists()
        app.start()
        app.until(lambda found: len(found) in (0, len(_TYPES)))
        kept = _kept(app)
        assert kept in (old, new)
        found["new" if kept == new else "old"] += 1
        old = kept
    assert app.started[-1].stop() == 0
    record_property("kills", f"{sum(found.values())}, {in_the_write} of them with the new file half there")
    record_property("found at the next start", f"old {found['old']}, new {found['new']}, half 0")
