"""A file for each instance: every byte and none besides, no line torn, bounded, and nobody waits for a full disk."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.errors import UsageError
from procsup.output.files import LogFiles
from procsup.output.rotation import LogFolder
from procsup.output.source import Source
from tests.full_disk import full_disk


class Logs:
    """The files, and the stage whose children speak into them."""

    def __init__(self, theatre, folder: Path, quiet: frozenset[str] = frozenset(), **limits: int) -> None:
        self.folder = folder
        self.told: list[str] = []
        highest = limits.pop("highest_descriptor", 1 << 30)
        self.files = LogFiles(
            theatre.loop, LogFolder(str(folder), **limits), self.told.append, highest_descriptor=highest
        )
        self.stage = theatre.stage(audiences=[self.files], quiet=quiet)

    def read(self, name: str = "web.1.log") -> bytes:
        return (self.folder / name).read_bytes()

    def all_of(self, name: str = "web.1.log") -> bytes:
        """What the file and its predecessors hold, the oldest first."""
        older = sorted(self.folder.glob(f"{name}.*"), key=lambda path: -int(path.suffix[1:]))
        return b"".join(path.read_bytes() for path in [*older, self.folder / name])


@pytest.fixture
def logs(theatre, tmp_path):
    made = []

    def make(**more) -> Logs:
        made.append(Logs(theatre, tmp_path / "log", **more))
        return made[-1]

    yield make
    for each in made:
        each.stage.pump.detach_all()
        each.files.close()


def test_each_instance_has_a_private_file_with_the_bytes_as_they_came(theatre, logs) -> None:
    logs = logs(quiet=frozenset({"worker"}))
    said = b"\x1b[31mred\x1b[0m\r\n\n\xff\x00\xfe\nlast words"
    before = os.umask(0)
    try:

        async def play() -> None:
            for name in ("web.1", "worker.1"):  # the console does not show the second one
                logs.stage.child(name)
                await logs.stage.say(name, said)
                await logs.stage.end(name)

        theatre.run(play())
    finally:
        os.umask(before)
    for name in ("web.1.log", "worker.1.log"):
        assert logs.read(name) == said
        assert (logs.folder / name).stat().st_mode & 0o777 == 0o600
    assert logs.folder.stat().st_mode & 0o777 == 0o700


def test_the_next_copy_goes_on_in_the_same_file(theatre, logs) -> None:
    logs = logs()

    async def play() -> None:
        for word in (b"one\n", b"two\n"):
            logs.stage.child("web.1")
            await logs.stage.say("web.1", word)
            await logs.stage.end("web.1")

    theatre.run(play())
    assert logs.read() == b"one\ntwo\n"


def test_no_line_of_one_stream_is_torn_by_the_other(theatre, logs) -> None:
    logs = logs()

    async def play() -> None:
        stage = logs.stage
        stage.child("web.1", "stdout", "stderr")
        await stage.say("web.1", b"half of a ")
        await stage.silence()
        await stage.say("web.1", b"Traceback\n", "stderr")
        assert logs.read() == b"Traceback\n"
        await stage.say("web.1", b"line\nand an")
        await stage.say("web.1", b"at the end\n", "stderr")
        await stage.end("web.1")
        await stage.end("web.1", "stderr")

    theatre.run(play())
    assert logs.read() == b"Traceback\nhalf of a line\nat the end\nand an"


def test_last_words_without_an_end_stand_behind_those_of_the_other_stream(theatre, logs) -> None:
    logs = logs()

    async def play() -> None:
        stage = logs.stage
        stage.child("web.1", "stdout", "stderr")
        os.write(stage.ends["web.1", "stdout"], b"half")
        os.write(stage.ends["web.1", "stderr"], b"Traceback\n")
        for stream in ("stdout", "stderr"):
            os.close(stage.ends.pop(("web.1", stream)))
        stage.pump.drain("web.1")
        await stage.settle()

    theatre.run(play())
    assert logs.read() == b"Traceback\nhalf"


def test_behind_a_line_of_a_megabyte_the_other_stream_waits_but_not_for_ever(theatre, logs) -> None:
    logs = logs()
    long = b"x" * 60_000

    async def play() -> None:
        stage = logs.stage
        stage.child("web.1", "stdout", "stderr")
        for _ in range(4):
            await stage.say("web.1", long)
        await stage.say("web.1", b"waits\n", "stderr")
        assert b"waits" not in logs.read()
        await stage.say("web.1", b"end\n")
        assert logs.read() == 4 * long + b"end\nwaits\n"
        for _ in range(4):
            await stage.say("web.1", long)
        await stage.say("web.1", b"cannot wait\n", "stderr")
        await stage.silence(1.2)
        assert logs.read().endswith(b"xcannot wait\n")

    theatre.run(play())


@settings(max_examples=150)
@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["stdout", "stderr", "silence"]),
            st.lists(st.sampled_from([b"\n", b"\n", b".", b":" * 30_000, b"\xe2"]), max_size=4).map(b"".join),
        ),
        max_size=30,
    ),
    size=st.sampled_from([64, 4096, 1 << 20]),
)
def test_whatever_is_said_no_byte_is_lost_and_none_is_added(new_theatre, tmp_path, events, size) -> None:
    theatre = new_theatre()
    shutil.rmtree(tmp_path / "log", ignore_errors=True)
    logs = Logs(theatre, tmp_path / "log", size=size, older=1000)
    said = {"stdout": b"", "stderr": b""}
    letters = {"stdout": bytes.maketrans(b".:", b"aA"), "stderr": bytes.maketrans(b".:", b"bB")}

    async def play() -> None:
        logs.stage.child("web.1", *said)
        for stream, data in events:
            if stream == "silence":
                await logs.stage.silence()
            elif data:
                said[stream] += data.translate(letters[stream])
                for at in range(0, len(data), 60_000):
                    await logs.stage.say("web.1", data[at : at + 60_000].translate(letters[stream]), stream)
        for stream in said:
            await logs.stage.end("web.1", stream)

    try:
        theatre.run(play())
    finally:
        theatre.close()
        assert logs.files.close() is None
    written = logs.all_of() if any(said.values()) else b""
    assert len(written) == sum(map(len, said.values()))
    if not any(b":" in data for _, data in events):  # lines so long that one may have to be given up
        assert not [line for line in written.split(b"\n")[:-1] if b"a" in line and b"b" in line]
    for stream, own in (("stdout", b"aA"), ("stderr", b"bB")):
        assert bytes(b for b in written if b in own) == bytes(b for b in said[stream] if b in own)


# The size


def test_at_its_limit_a_new_file_begins_with_a_whole_line(theatre, logs) -> None:
    logs = logs(size=100, older=3)
    lines = [b"line %04d\n" % number for number in range(45)]

    async def play() -> None:
        logs.stage.child("web.1")
        await logs.stage.say("web.1", b"".join(lines[:25]))
        for line in lines[25:]:
            await logs.stage.say("web.1", line)

    theatre.run(play())
    assert sorted(os.listdir(logs.folder)) == ["web.1.log", "web.1.log.1", "web.1.log.2", "web.1.log.3"]
    assert logs.read() == b"".join(lines[40:])
    for number, first in ((1, 30), (2, 20), (3, 10)):
        assert logs.read(f"web.1.log.{number}") == b"".join(lines[first : first + 10])


def test_a_line_longer_than_a_file_may_be_stays_whole(theatre, logs) -> None:
    logs = logs(size=100, older=9)
    text = b"short\n" + b"x" * 250 + b"\nshort again\n"

    async def play() -> None:
        logs.stage.child("web.1")
        await logs.stage.say("web.1", text)

    theatre.run(play())
    assert [logs.read(f"web.1.log{end}") for end in (".2", ".1", "")] == text.splitlines(keepends=True)


@pytest.mark.parametrize("highest", [1 << 30, 3], ids=["left open", "closed after each write"])
def test_nor_is_it_cut_where_it_comes_in_parts(theatre, logs, highest) -> None:
    logs = logs(size=100_000, older=9, highest_descriptor=highest)

    async def play() -> None:
        logs.stage.child("web.1")
        for _ in range(6):
            await logs.stage.say("web.1", b"x" * 60_000)
        await logs.stage.say("web.1", b"\nnext\n")

    theatre.run(play())
    assert [logs.read(f"web.1.log{end}") for end in (".1", "")] == [b"x" * 360_000 + b"\n", b"next\n"]


def test_where_it_cannot_be_renamed_it_grows(theatre, logs) -> None:
    logs = logs(size=10, older=1)
    (logs.folder / "web.1.log.1" / "in the way").mkdir(parents=True)

    async def play() -> None:
        logs.stage.child("web.1")
        await logs.stage.say("web.1", b"1234567\n")
        await logs.stage.say("web.1", b"1234567\n")

    theatre.run(play())
    assert logs.told == []
    assert logs.read() == b"1234567\n1234567\n"


# What others do to the files


@pytest.mark.parametrize("deed", ["removed", "moved", "emptied", "folder removed"])
def test_it_goes_on_in_a_file_of_that_name_whatever_became_of_it(theatre, logs, deed) -> None:
    logs = logs()

    async def play() -> None:
        path = logs.folder / "web.1.log"
        logs.stage.child("web.1")
        await logs.stage.say("web.1", b"one\n")
        match deed:
            case "removed":
                path.unlink()
            case "moved":
                path.rename(path.with_name("kept"))
            case "emptied":
                os.truncate(path, 0)
            case _:
                shutil.rmtree(logs.folder)
        await logs.stage.say("web.1", b"two\n")
        assert logs.read() == b"two\n"
        if deed == "moved":
            assert logs.read("kept") == b"one\n"

    theatre.run(play())
    assert logs.told == []


def test_reopening_makes_the_file_at_once_and_lets_the_old_one_go(theatre, logs) -> None:
    logs = logs()

    async def play() -> None:
        path = logs.folder / "web.1.log"
        logs.stage.child("web.1")
        await logs.stage.say("web.1", b"one\n")
        path.rename(path.with_name("kept"))
        logs.files.reopen()
        assert logs.read() == b""
        assert open_logs(logs) == ["web.1.log"]
        await logs.stage.say("web.1", b"two\n")
        assert logs.read() == b"two\n"

    theatre.run(play())


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_left_alone_and_told(theatre, logs, tmp_path, kind) -> None:
    logs = logs()
    logs.folder.mkdir()
    path = logs.folder / "web.1.log"
    match kind:
        case "link":
            path.symlink_to(tmp_path / "elsewhere")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()

    async def play() -> None:
        logs.stage.child("web.1")
        await logs.stage.say("web.1", b"one\n")
        assert logs.told[0].startswith(f"cannot write to the log {path}: ")
        (path.rmdir if kind == "folder" else path.unlink)()
        await logs.stage.silence(1.1)
        assert logs.read() == b"one\n"
        assert logs.told[1:] == [f"the logs in {logs.folder} can be written to again; nothing is missing"]

    theatre.run(play())
    assert not (tmp_path / "elsewhere").exists()


# A full disk


def test_a_full_disk_is_told_once_and_what_was_held_is_written_when_there_is_room(theatre, logs) -> None:
    logs = logs()
    line = b"x" * 999 + b"\n"

    async def play(make_room: Callable[[], None]) -> None:
        stage = logs.stage
        stage.child("web.1")
        stage.child("worker.1")
        for _ in range(6):
            await stage.say("web.1", line)
            await stage.say("worker.1", line)
        why = f"cannot write to the log {logs.folder}/web.1.log"
        wait = "what does not fit is lost until it can be written to again"
        assert logs.told == [f"{why}: File too large; {wait}"]
        assert logs.files.trouble == f"{why} and to 1 more: File too large; nothing is lost so far"
        await stage.silence(1.1)
        assert len(logs.told) == 1
        make_room()
        await stage.silence(1.1)
        assert logs.told[1:] == [f"the logs in {logs.folder} can be written to again; nothing is missing"]
        assert logs.files.trouble is None
        assert logs.read() == logs.read("worker.1.log") == 6 * line
        await stage.say("web.1", b"on\n")
        assert logs.read() == 6 * line + b"on\n"

    with full_disk() as make_room:
        theatre.run(play(make_room))


def test_a_disk_that_stays_full_costs_no_more_than_what_is_held_and_the_loss_is_counted(theatre, logs) -> None:
    logs = logs(quiet=frozenset({"web"}))
    chunk = b"y" * 59_999 + b"\n"

    async def play(make_room: Callable[[], None]) -> None:
        stage = logs.stage
        stage.child("web.1")
        for _ in range(10):
            await stage.say("web.1", chunk)
        missing = 6 * 60_000  # three chunks and a half are held
        assert logs.files.trouble.endswith(f": File too large; {missing} bytes of output are lost so far")
        make_room()
        await stage.silence(1.1)
        assert logs.told[1].endswith(f"can be written to again; {missing} bytes of output are missing")
        assert logs.read() == 4 * chunk
        await stage.say("web.1", b"on\n")
        assert logs.read() == 4 * chunk + b"on\n"

    with full_disk() as make_room:
        theatre.run(play(make_room))


def test_what_was_held_and_written_makes_room_for_the_next_time(theatre, logs) -> None:
    logs = logs(quiet=frozenset({"web"}), size=1 << 30)
    chunk = b"y" * 59_999 + b"\n"

    async def play() -> None:
        logs.stage.child("web.1")
        for _ in range(25):  # six megabytes in all, where four may be held at a time
            with full_disk():
                for _ in range(4):
                    await logs.stage.say("web.1", chunk)
            await logs.stage.silence(1.1)

    theatre.run(play())
    assert logs.read() == 100 * chunk
    assert set(logs.told[1::2]) == {f"the logs in {logs.folder} can be written to again; nothing is missing"}


def test_at_the_end_it_says_what_is_lost(theatre, logs) -> None:
    logs = logs()

    async def play() -> None:
        logs.stage.child("web.1")
        await logs.stage.say("web.1", b"z" * 5000 + b"\n")

    end = f"cannot write to the log {logs.folder}/web.1.log: File too large; 905 bytes of output are lost"
    with full_disk():
        theatre.run(play())
        assert logs.files.close() == end


# Many of them


def open_logs(logs: Logs) -> list[str]:
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    found = [os.readlink(link) for link in links if os.path.exists(link)]
    return sorted(os.path.basename(path) for path in found if path.startswith(f"{logs.folder}/"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")
def test_of_a_thousand_files_only_a_few_are_open(theatre, logs) -> None:
    logs = logs()
    sources = [Source(f"web.{number}", "web", "stdout", 1) for number in range(1000)]
    for text in (b"one\n", b"two\n"):
        for source in sources:
            logs.files.lines(source, b"", text, len(text))
    assert len(open_logs(logs)) == 64
    assert all(logs.read(f"web.{number}.log") == b"one\ntwo\n" for number in range(1000))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")
def test_the_reserve_of_descriptors_is_given_back_after_each_write(theatre, logs) -> None:
    logs = logs(highest_descriptor=3)
    for text in (b"one\n", b"two\n"):
        logs.files.lines(Source("web.1", "web", "stdout", 1), b"", text, len(text))
    assert open_logs(logs) == []
    assert logs.read() == b"one\ntwo\n"


def test_where_no_descriptor_is_free_one_of_its_own_is_given_up(theatre, logs) -> None:
    logs = logs()
    first, second = (Source(f"web.{number}", "web", "stdout", 1) for number in (1, 2))
    logs.files.lines(first, b"", b"one\n", 4)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        logs.files.lines(second, b"", b"two\n", 4)
        logs.files.lines(first, b"", b"three\n", 6)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert logs.files.trouble is None
    assert (logs.read(), logs.read("web.2.log")) == (b"one\nthree\n", b"two\n")


def test_thousands_of_lines_that_waited_are_written_at_once(theatre, logs) -> None:
    logs = logs()
    out, err = (Source("web.1", "web", stream, 1) for stream in ("stdout", "stderr"))
    logs.files.partial(out, b"x" * 70_000)
    for _ in range(5000):
        logs.files.lines(err, b"", b"err\n", 4)
    logs.files.lines(out, b"", b"\n", 1)
    assert logs.read() == b"x" * 70_000 + b"\n" + b"err\n" * 5000


# The folder


def test_a_folder_that_cannot_be_had_is_an_error_at_the_start(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nowhere/log"):
        with pytest.raises(UsageError, match=f"no logs can be kept in {path}: "):
            LogFolder(str(path)).prepare()


def test_a_start_without_logs_does_not_load_what_they_need() -> None:
    heavy = ("asyncio", "socket", "procsup.output.files", "procsup.output.syslog", "procsup.output.journal")
    program = f"import sys, procsup.cli.start; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
