"""The log of a supervisor in the background: bounded, and there again whatever somebody does to it."""

from __future__ import annotations

import os
import shutil

import pytest

from procsup.output.bounded_file import BoundedFile


class Log:
    """A console that writes to a log, as with --detach."""

    def __init__(self, theatre, path, limit: int) -> None:
        self.path = path
        self.stdout = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.stderr = os.dup(self.stdout)
        self.file = BoundedFile(str(path), self.stdout, limit, also=(self.stderr,))
        reader = os.open(os.devnull, os.O_RDONLY)
        self.stage = theatre.stage(pipe=(reader, self.stdout), sink=self.file.sink())

    def say(self, text: str) -> None:
        self.stage.console.notice(text)

    def read(self) -> str:
        return self.path.read_text().replace("procsup  | ", "")


@pytest.fixture
def log(theatre, tmp_path):
    logs = []

    def make(limit: int = 1 << 20) -> Log:
        (tmp_path / "state" / "app").mkdir(parents=True)
        logs.append(Log(theatre, tmp_path / "state" / "app" / "output.log", limit))
        return logs[-1]

    yield make
    for each in logs:
        os.close(each.stderr)


def ended_well(log: Log, theatre) -> None:
    """No word of it has got about, and nobody was told that the reader has gone."""
    theatre.run(log.stage.settle())
    assert log.stage.troubles == []
    assert log.stage.broken == 0


def test_at_its_limit_it_begins_anew_and_keeps_the_one_before(theatre, log) -> None:
    log = log(limit=100)
    for number in range(30):
        log.say(f"line {number:04}")
    before = log.path.with_name("output.log.1")
    assert log.path.stat().st_size + before.stat().st_size < 300
    assert (before.read_text() + log.path.read_text()).endswith("line 0028\nprocsup  | line 0029\n")
    assert sorted(os.listdir(log.path.parent)) == ["output.log", "output.log.1"]
    ended_well(log, theatre)


def test_removed_it_is_made_again_at_the_next_write(theatre, log) -> None:
    log = log()
    log.say("one")
    log.path.unlink()
    log.say("two")
    assert log.read() == "two\n"
    assert log.path.stat().st_mode & 0o777 == 0o600
    ended_well(log, theatre)


def test_moved_it_is_left_alone_and_a_new_one_is_made_at_the_next_write(theatre, log) -> None:
    log = log()
    log.say("one")
    log.path.rename(log.path.with_name("kept"))
    log.say("two")
    assert log.read() == "two\n"
    assert log.path.with_name("kept").read_text().endswith("one\n")
    ended_well(log, theatre)


def test_replaced_by_another_file_that_is_written_to(theatre, log) -> None:
    log = log()
    log.say("one")
    log.path.rename(log.path.with_name("kept"))
    log.path.write_text("theirs\n")
    log.say("two")
    assert log.read() == "theirs\ntwo\n"
    ended_well(log, theatre)


def test_a_removed_folder_is_made_again_and_is_private(theatre, log, tmp_path) -> None:
    log = log()
    log.say("one")
    shutil.rmtree(tmp_path / "state")
    before = os.umask(0)
    try:
        log.say("two")
    finally:
        os.umask(before)
    assert log.read() == "two\n"
    for folder in ("state", "state/app"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700
    ended_well(log, theatre)


def test_removed_just_as_it_was_full(theatre, log) -> None:
    log = log(limit=10)
    log.say("more than ten")
    log.path.unlink()
    log.say("two")
    assert log.read() == "two\n"
    assert not log.path.with_name("output.log.1").exists()
    ended_well(log, theatre)


def test_emptied_in_place_it_has_room_again(theatre, log) -> None:
    log = log(limit=60)
    log.say("x" * 60)
    os.truncate(log.path, 0)
    log.say("two")
    assert log.read() == "two\n"
    assert not log.path.with_name("output.log.1").exists()
    ended_well(log, theatre)


def test_whoever_writes_to_the_descriptors_directly_is_in_the_same_file(theatre, log) -> None:
    log = log()
    log.say("one")
    log.path.unlink()
    log.say("two")
    os.write(log.stderr, b"Traceback\n")
    log.say("three")
    assert log.read() == "two\nTraceback\nthree\n"


def test_where_it_cannot_be_made_again_the_supervisor_goes_on_and_says_so(theatre, log, tmp_path) -> None:
    log = log()
    log.say("one")
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").write_text("a file in the folder's place")

    async def play() -> None:
        log.say("two")
        log.file.reopen()  # SIGUSR1 does no harm either
        await log.stage.settle()
        why = f"cannot write to the log {log.path}: Not a directory"
        assert log.stage.troubles == [f"{why}; what does not fit is lost until it can be written to again"]
        assert log.stage.console.trouble == f"{why}; nothing is lost so far"
        (tmp_path / "state").unlink()
        await log.stage.silence(2)
        assert log.read() == "two\n"
        assert log.stage.troubles[1:] == [f"the log {log.path} can be written to again; nothing is lost"]
        assert log.stage.broken == 0

    theatre.run(play())
