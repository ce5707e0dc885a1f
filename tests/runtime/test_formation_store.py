from __future__ import annotations

import json
import os
import random
import select
import signal
import stat
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.errors import ConfigError, ProcsupError
from procsup.runtime import formation_store
from procsup.runtime.formation_store import load, save

OLD = {f"type{number}": 1 for number in range(3000)}
NEW = {f"type{number}": 22 for number in range(3000)}


@pytest.fixture
def folder(tmp_path) -> str:
    return str(tmp_path / "state" / "app-1")


def file_in(folder: str) -> str:
    return os.path.join(folder, "formation.json")


def test_what_was_saved_is_there_again_and_nothing_before_the_first_time(folder):
    assert load(folder) == {}
    save(folder, {"web": 2, "worker": 0})
    assert load(folder) == {"web": 2, "worker": 0}
    save(folder, {})
    assert load(folder) == {}
    assert os.listdir(folder) == ["formation.json"]
    assert stat.S_IMODE(os.stat(file_in(folder)).st_mode) == 0o600
    with open(file_in(folder)) as file:
        assert json.load(file) == {"version": 1, "formation": {}}


def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new(folder):
    begun = time.monotonic()
    save(folder, OLD)
    longest = max(0.012, 3 * (time.monotonic() - begun))  # a disk may be so slow that no other save would be over
    seen = set()
    for _ in range(150):
        reading, writing = os.pipe()
        writer = os.fork()
        if writer == 0:
            try:
                while True:
                    save(folder, NEW)
                    os.write(writing, b"x")
                    save(folder, OLD)
            finally:
                os._exit(1)
        os.read(reading, 1)
        select.select([], [], [], random.random() * longest)  # noqa: S311 - any moment; not a wait for anything
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        os.close(reading)
        os.close(writing)
        kept = load(folder)
        assert kept in (OLD, NEW)
        seen.add(kept["type0"])
        assert set(os.listdir(folder)) <= {"formation.json", "formation.json.new"}
    assert seen == {1, 22}
    save(folder, NEW)
    assert os.listdir(folder) == ["formation.json"], "what the killed ones left is cleared away"


def test_a_writer_that_ends_before_any_of_its_steps_leaves_the_old_or_the_new(folder):
    """The same, step by step instead of by chance: dies before its first, second … call to the system."""
    for step in range(1, 40):
        save(folder, OLD)
        writer = os.fork()
        if writer == 0:
            die_before(step)
            save(folder, NEW)
            os._exit(7)
        finished = os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == 7
        assert load(folder) == NEW if finished else load(folder) in (OLD, NEW)
        if finished:
            break
    assert finished
    assert step > 5


def die_before(step: int) -> None:
    left = step

    def dying(real):
        def call(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(1)
            return real(*args, **kwargs)

        return call

    for name in ("open", "unlink", "fsync", "replace", "close"):
        setattr(os, name, dying(getattr(os, name)))


def test_the_new_file_is_on_disk_before_it_takes_the_place_and_the_place_before_it_is_said(folder, monkeypatch):
    save(folder, OLD)
    steps = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def call(*args, _name=name, _real=real, **named):
            steps.append(f"{_name} folder" if _name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode) else _name)
            if steps[-1] == "fsync":
                assert os.fstat(args[0]).st_size > 40_000, "flushed to the kernel first"
            return _real(*args, **named)

        monkeypatch.setattr(os, name, call)
    save(folder, NEW)
    assert steps == ["fsync", "replace", "fsync folder"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"formation.json:1:1: error: the kept formation is damaged"),
        (b'{"version": 1,\n "formation": {"web": 2', r"formation.json:2:\d+: error: the kept formation is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"[" * 100_000, "is damaged"),
        (b"1" * 5000, "is damaged"),
        (b"[]", "holds no formation"),
        (b'{"version": 1, "formation": []}', "holds no formation"),
        (b'{"version": 2, "formation": {}}', "is of version '2' and this procsup knows 1"),
        (b'{"version": 1, "formation": {"web": -1}}', "has no count for 'web'"),
        (b'{"version": 1, "formation": {"web": 1.5}}', "has no count for 'web'"),
        (b'{"version": 1, "formation": {"web": true}}', "has no count for 'web'"),
        (b'{"version": 1, "formation": {"web": NaN}}', "has no count for 'web'"),
        (b'{"version": 1, "formation": {"web": 1000001}}', "has no count for 'web'"),
        (b'{"version": 1, "formation": {"web": ' + b"9" * 4300 + b"}}", "has no count for 'web'"),
        (b'{"version": 1, "formation": {"w\\u001b[2J": 1}}', r"has a count for 'w\\x1b\[2J', which is no name of a"),
        (b'{"version": 1, "formation": {"": 1}}', "has a count for '', which is no name of a process type"),
        (b'{"version": 1, "formation": {"' + b"\x7f" * 500 + b'": 1}}', r"for '(\\x7f){19}\\x7, which"),
        (b'{"version": true, "formation": {}}', "is of version 'True' and this procsup knows 1"),
        (b" " * 5_000_000, "far too large"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_a_damaged_file_is_named_with_what_to_do_and_left_alone(folder, content, said):
    save(folder, OLD)
    with open(file_in(folder), "wb") as file:
        file.write(content)
    with pytest.raises(ConfigError, match=said) as caught:
        load(folder)
    assert caught.value.exit_code == 2
    assert "remove the file to go back to the default counts" in str(caught.value)
    with open(file_in(folder), "rb") as file:
        assert file.read() == content


@settings(max_examples=100)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_a_formation_or_a_config_error(folder, content):
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(file_in(folder), "wb") as file:
        file.write(content)
    with pytest.raises(ConfigError):
        load(folder)


@settings(max_examples=60)
@given(formation=st.dictionaries(st.from_regex(r"[A-Za-z0-9_-]{1,63}", fullmatch=True), st.integers(0, 10_000)))
def test_any_formation_comes_back_as_it_was(folder, formation):
    save(folder, formation)
    assert load(folder) == formation


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_an_error_and_never_waited_for(folder, make):
    os.makedirs(folder, mode=0o700)
    make(file_in(folder))
    with pytest.raises(ConfigError, match="kept formation"):
        load(folder)


def test_when_the_disk_is_full_the_old_one_stays_and_the_message_says_so(folder, monkeypatch):
    save(folder, OLD)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formation_store.os, "fsync", full)
    with pytest.raises(ProcsupError, match=r"cannot write .*: No space left on device"):
        save(folder, NEW)
    assert load(folder) == OLD
    assert os.listdir(folder) == ["formation.json"]


def test_links_left_where_the_new_file_goes_are_not_followed(folder, tmp_path):
    os.makedirs(folder, mode=0o700)
    (tmp_path / "precious").write_text("precious")
    os.symlink(tmp_path / "precious", file_in(folder) + ".new")
    save(folder, NEW)
    assert load(folder) == NEW
    assert (tmp_path / "precious").read_text() == "precious"
