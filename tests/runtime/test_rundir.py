from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from procsup.errors import AlreadyRunning, ProcsupError
from procsup.runtime.rundir import RootLock
from tests.full_disk import full_disk

# Says what came of it, and holds what it got until its stdin ends.
STARTER = """
import sys
from procsup.errors import AlreadyRunning
from procsup.runtime.rundir import RootLock
sys.stdin.read(1)
lock = RootLock(sys.argv[1], "/srv/app")
try:
    lock.acquire()
except AlreadyRunning as error:
    print("lost", error, flush=True)
else:
    print("won", flush=True)
    sys.stdin.read()
"""


def starter(folder: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def go(process: subprocess.Popen[str]) -> None:
    process.stdin.write("x")
    process.stdin.flush()


def end(process: subprocess.Popen[str]) -> None:
    process.stdin.close()
    process.stdout.close()
    process.wait(10)


@pytest.fixture
def folder(tmp_path) -> str:
    return str(tmp_path / "state" / "app-1")


@pytest.mark.parametrize("stale", [False, True], ids=["never locked before", "left by one that was killed"])
def test_of_twenty_at_once_one_wins_and_all_others_name_it(folder, stale):
    if stale:
        os.makedirs(folder, mode=0o700)
        with open(os.path.join(folder, "lock"), "w") as file:
            json.dump({"pid": 1}, file)
    starters = [starter(folder) for _ in range(20)]
    try:
        for process in starters:
            go(process)
        told = {process: process.stdout.readline() for process in starters}
        [winner] = [process for process, line in told.items() if line == "won\n"]
        for line in (line for process, line in told.items() if process is not winner):
            assert line.startswith("lost ")
            assert f"for /srv/app (pid {winner.pid})" in line
    finally:
        for process in starters:
            end(process)


def test_two_at_once_fifty_times_have_one_winner_each(folder):
    def race() -> bool:
        gate_reading, gate_writing = os.pipe()
        told_reading, told_writing = os.pipe()
        pids = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                os.close(gate_writing)
                verdict = b"?"
                try:
                    os.read(gate_reading, 1)  # ends for both at once
                    lock = RootLock(folder, "/srv/app")
                    lock.acquire()
                    verdict = b"w"
                except AlreadyRunning:
                    verdict = b"l"
                finally:
                    os.write(told_writing, verdict)
                    os.read(hold_reading, 1)
                    os._exit(0)
            pids.append(pid)
        os.close(gate_reading)
        os.close(gate_writing)
        os.close(told_writing)
        told = os.read(told_reading, 1) + os.read(told_reading, 1)
        os.close(told_reading)
        os.write(hold_writing, b"xx")
        for pid in pids:
            os.waitpid(pid, 0)
        return sorted(told) == sorted(b"wl")

    hold_reading, hold_writing = os.pipe()
    try:
        assert all(race() for _ in range(50))
    finally:
        os.close(hold_reading)
        os.close(hold_writing)


def test_a_loser_in_the_moment_between_locking_and_writing_still_names_the_winner(folder):
    import fcntl

    os.makedirs(folder, mode=0o700)
    with open(os.path.join(folder, "lock"), "w") as file:
        json.dump({"pid": 1}, file)  # the holder before
    told_reading, told_writing = os.pipe()
    go_reading, go_writing = os.pipe()

    def child(step: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                step()
                RootLock(folder, "/srv/app").acquire()
            except AlreadyRunning as error:
                os.write(told_writing, str(error).encode())
            finally:
                os.read(go_reading, 1)
                os._exit(0)
        return pid

    def stop_before_writing() -> None:
        real = os.ftruncate

        def ftruncate(descriptor: int, length: int) -> None:
            os.write(told_writing, b"locked")
            os.read(go_reading, 1)
            real(descriptor, length)

        os.ftruncate = ftruncate

    def say_when_waiting() -> None:
        real = fcntl.flock

        def flock(descriptor: int, how: int) -> None:
            if not how & fcntl.LOCK_NB:
                os.write(told_writing, b"waiting")
            real(descriptor, how)

        fcntl.flock = flock

    winner = child(stop_before_writing)
    assert os.read(told_reading, 999) == b"locked"
    loser = child(say_when_waiting)
    told = os.read(told_reading, 999)
    os.write(go_writing, b"x")
    if told == b"waiting":
        told = os.read(told_reading, 999)
    os.write(go_writing, b"xx")
    for pid in (winner, loser):
        os.waitpid(pid, 0)
    for descriptor in (told_reading, told_writing, go_reading, go_writing):
        os.close(descriptor)
    assert f"(pid {winner})" in told.decode()


def test_a_lock_whose_holder_was_killed_is_free_whoever_has_its_pid_now(folder):
    holder = starter(folder)
    go(holder)
    assert holder.stdout.readline() == "won\n"
    holder.kill()
    end(holder)
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        with open(os.path.join(folder, "lock"), "w") as file:
            json.dump({"pid": bystander.pid}, file)
        lock = RootLock(folder, "/srv/app")
        lock.acquire()
        lock.release()
        assert bystander.poll() is None, "a pid from a file was signalled"
    finally:
        bystander.kill()
        bystander.wait()


def test_the_one_who_holds_it_is_named_and_release_lets_the_next_one_in(folder):
    first, second = RootLock(folder, "/srv/app"), RootLock(folder, "/srv/app")
    first.acquire()
    first.acquire()
    with pytest.raises(AlreadyRunning, match=rf"for /srv/app \(pid {os.getpid()}\)") as caught:
        second.acquire()
    assert caught.value.exit_code == 3
    with open(os.path.join(folder, "lock")) as file:
        assert json.load(file) == {"pid": os.getpid()}
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_programs_that_were_started_meanwhile_do_not_keep_it(folder):
    lock = RootLock(folder, "/srv/app")
    lock.acquire()
    child = subprocess.Popen(["sleep", "600"], close_fds=False)
    try:
        lock.release()
        again = RootLock(folder, "/srv/app")
        again.acquire()
        again.release()
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("content", [b"", b"812\n", b"\xff", b"[]", b'{"pid":"x"}', b"[" * 50_000, b'{"pid":true}'])
def test_whatever_stands_in_the_file_decides_nothing(folder, content):
    lock = RootLock(folder, "/srv/app")
    lock.acquire()
    with open(os.path.join(folder, "lock"), "wb") as file:
        file.write(content)
    with pytest.raises(AlreadyRunning, match="pid not known"):
        RootLock(folder, "/srv/app").acquire()
    lock.release()
    lock.acquire()
    lock.release()


def test_a_file_that_was_exchanged_while_it_was_being_locked_is_not_the_lock(folder, monkeypatch):
    import fcntl

    lock, path = RootLock(folder, "/srv/app"), os.path.join(folder, "lock")
    real = fcntl.flock
    exchanged = []

    def flock(descriptor: int, how: int) -> None:
        real(descriptor, how)
        if how & fcntl.LOCK_NB and len(exchanged) < 2:
            os.unlink(path)
            exchanged.append(os.fstat(descriptor).st_ino)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        lock.acquire()
    assert len(exchanged) == 2
    with pytest.raises(AlreadyRunning):
        RootLock(folder, "/srv/app").acquire()
    lock.release()


def test_a_link_in_the_locks_place_is_not_followed(folder, tmp_path):
    os.makedirs(folder, mode=0o700)
    (tmp_path / "precious").write_text("precious")
    os.symlink(tmp_path / "precious", os.path.join(folder, "lock"))
    with pytest.raises(ProcsupError, match="cannot lock"):
        RootLock(folder, "/srv/app").acquire()
    assert (tmp_path / "precious").read_text() == "precious"


def test_no_descriptor_is_left_however_it_ends(folder):
    before = os.listdir("/dev/fd")
    holder, other = RootLock(folder, "/srv/app"), RootLock(folder, "/srv/app")
    for _ in range(20):
        holder.acquire()
        with pytest.raises(AlreadyRunning):
            other.acquire()
        holder.release()
    assert len(os.listdir("/dev/fd")) == len(before)


@pytest.mark.parametrize("all_is_down", [True, False])
def test_only_who_said_that_all_is_down_is_believed_to_have_left_nothing(tmp_path: Path, all_is_down: bool) -> None:
    folder = str(tmp_path / "project")
    first = RootLock(folder, str(tmp_path))
    first.acquire()
    assert not first.left_over
    if all_is_down:
        first.all_is_down()
    first.release()
    second = RootLock(folder, str(tmp_path))
    second.acquire()
    assert second.left_over is not all_is_down
    second.release()


def test_a_start_that_cannot_write_its_note_does_not_take_away_the_one_of_who_left_something(tmp_path: Path) -> None:
    locks = [RootLock(str(tmp_path / "project"), str(tmp_path)) for _ in range(3)]
    locks[0].acquire()
    locks[0].release()
    with full_disk(0), pytest.raises(ProcsupError, match=r"cannot lock .*File too large"):
        locks[1].acquire()
    locks[2].acquire()
    assert locks[2].left_over
    locks[2].release()
