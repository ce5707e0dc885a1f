"""`start --log-dir`: a file per instance, whatever happens to the files, the disk, and the number of instances."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import leaks
from tests.e2e import app as terminal
from tests.e2e.app import PATIENCE, App
from tests.e2e.mounts import OWN_MOUNTS, needs_own_mounts

STAY = "exec sleep 1000"


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)  # the pace of asking


def await_file(name: str) -> str:
    return f"while ! test -e {name}; do sleep 0.01; done"


def test_each_instance_has_its_file_with_exactly_its_bytes(app: App) -> None:
    said = "\\033[1mbold\\n\\377\\n\\nlast words"
    app.write("Procfile", f"web: sh -c 'printf \"{said}\"'\nnoise: sh -c 'echo $PS; echo oh >&2'\n")
    supervisor = app.start(
        "--restart", "never", "--keep-going", "--log-dir", "logs/app", "-q", "noise", "-m", "noise=2"
    )
    assert supervisor.end() == 0
    folder = app.folder / "logs" / "app"
    assert sorted(os.listdir(folder)) == ["noise.1.log", "noise.2.log", "web.1.log"]
    assert (folder / "web.1.log").read_bytes() == b"\x1b[1mbold\n\xff\n\nlast words"
    assert sorted((folder / "noise.2.log").read_text().splitlines()) == ["noise.2", "oh"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_burst_is_whole_in_the_files_and_they_are_bounded(app: App) -> None:
    code = "import os\nb = b''.join(b'line %06d\\n' % n for n in range(100000))\nwhile b: b = b[os.write(1, b):]"
    app.write("job.py", code)
    app.write("Procfile", f"job: {sys.executable} -IS job.py\n")
    supervisor = app.start(
        "--restart", "never", "-q", "job", "--log-dir", "log", "--log-size", "64K", "--log-count", "3"
    )
    assert supervisor.end() == 0
    files = [app.folder / "log" / f"job.1.log{end}" for end in (".3", ".2", ".1", "")]
    assert sorted(os.listdir(app.folder / "log")) == sorted(path.name for path in files)
    assert all(path.stat().st_size <= 64 * 1024 for path in files)
    lines = b"".join(path.read_bytes() for path in files).splitlines()
    assert lines == [b"line %06d" % number for number in range(100000 - len(lines), 100000)]
    assert len(lines) > 3 * 64 * 1024 // 12


def test_moved_files_are_left_alone_and_sigusr1_makes_new_ones(app: App) -> None:
    app.write(
        "Procfile", f"web: sh -c 'echo one; {await_file('two')}; echo two; {await_file('three')}; echo three; {STAY}'\n"
    )
    app.environment["PROCSUP_START_LOG_DIR"] = "log"
    supervisor = app.start()
    path = app.folder / "log" / "web.1.log"
    until(lambda: path.exists() and path.read_text() == "one\n")
    path.rename(path.with_name("old"))
    supervisor.send(signal.SIGUSR1)
    until(path.exists)
    app.write("two", "")
    until(lambda: path.read_text() == "two\n")
    path.unlink()  # without a word to anybody
    app.write("three", "")
    until(lambda: path.exists() and path.read_text() == "three\n")
    assert path.with_name("old").read_text() == "one\n"
    supervisor.stop()
    assert "cannot" not in supervisor.text


def test_a_folder_that_cannot_be_written_to_is_an_error_before_anything_starts(app: App) -> None:
    app.write("Procfile", "web: touch started\n")
    app.write("taken", "")
    done = app.run("start", "--log-dir", "taken")
    assert done.returncode == 2
    assert done.stderr == f"procsup: --log-dir: no logs can be kept in {app.folder}/taken: it is no folder\n"
    for size in ("0", "x", "10X", "-1"):
        assert app.run("start", "--log-dir", "log", "--log-size", size).returncode == 2
    assert not (app.folder / "started").exists()


@needs_own_mounts
def test_a_full_disk_blocks_nobody_is_told_once_shown_and_gets_over(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = app.folder / "disk"
    disk.mkdir()
    mount = ("sh", "-c", f'mount -t tmpfs -o size=1m none {disk} && exec "$@"', "sh")
    code = """
import os, sys
for number in range(20000): os.write(1, b"%06d %s\\n" % (number, b"x" * 92))
os.write(2, b"written\\n")
while not os.path.exists("room"): pass
os.write(1, b"on\\n")
os.write(2, b"done\\n")
"""
    app.write("job.py", code.replace(": pass", ": __import__('time').sleep(0.01)"))
    app.write("Procfile", f"job: {sys.executable} -IS job.py\nnext: {STAY}\n")
    with monkeypatch.context() as patch:
        patch.setattr(terminal, "COMMAND", (*OWN_MOUNTS, *mount, *terminal.COMMAND))
        supervisor = app.start("--restart", "never", "--log-dir", "disk", "--log-size", "1G", "--keep-going")
    supervisor.wait_for(r"job\.1 +\| written")  # two megabytes, of which the disk takes a fraction
    supervisor.wait_for(
        r"warning: cannot write to the log .*/disk/job\.1\.log: No space left on device; what does not fit is lost"
    )
    [trouble] = [line for line in app.ok("status").splitlines() if "job.1.log" in line]
    assert "No space left on device; " in trouble
    assert "bytes of output are lost so far" in trouble
    inside = Path(f"/proc/{supervisor.pid}/root{disk}")
    (inside / "job.1.log").unlink()
    told = supervisor.wait_for(
        r"warning: the logs in .*/disk can be written to again; (\d+) bytes of output are missing"
    )
    app.write("room", "")
    supervisor.wait_for(r"job\.1 +\| done")
    # Two pipes: either may be read first.
    until(lambda: set((inside / "job.1.log").read_bytes().splitlines()[-2:]) == {b"on", b"done"})
    assert 0 < int(told[1]) < 20000 * 100
    assert "warning" not in app.ok("status")
    supervisor.stop()
    assert supervisor.text.count("cannot write to the log") == 1


def test_of_many_instances_only_some_files_are_open(app: App) -> None:
    app.write("Procfile", f"web: sh -c 'echo $PS; {STAY}'\n")
    supervisor = app.start("-m", "web=100", "--log-dir", "log", "-q", "web")
    names = [f"web.{number}" for number in range(1, 101)]
    app.until_running(*names)
    files = [app.folder / "log" / f"{name}.log" for name in names]
    until(lambda: all(path.exists() and path.read_text() == f"{path.stem}\n" for path in files))
    assert sum(path.endswith(".log") for path in leaks.open_descriptors(supervisor.pid).values()) <= 64
    assert supervisor.stop() == 0


def test_where_descriptors_run_out_files_take_none_from_the_commands(app: App) -> None:
    app.write("Procfile", f"web: sh -c 'echo $PS; {STAY}'\n")
    narrow = (64, 64)
    supervisor = app.start(
        "-m", "web=60", "--log-dir", "log", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, narrow)
    )
    found = app.until(
        lambda found: len(found) == 60 and all(each["state"] in ("running", "backoff") for each in found.values())
    )
    running = [name for name, each in found.items() if each["state"] == "running"]
    files = [app.folder / "log" / f"{name}.log" for name in running]
    assert len(files) >= 4
    until(lambda: all(path.exists() and path.read_text() == f"{path.stem}\n" for path in files))
    assert "web.1 " in app.ok("status")
    assert supervisor.stop() == 0
    assert "cannot write" not in supervisor.text
