"""The disk is full, or the log is gone from it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import app as terminal
from tests.e2e.app import PATIENCE, App
from tests.faults.needs import needs, works
from tests.faults.watching import NOISE, READY, until, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

Record = Callable[[str, object], None]

# Says more than any queue holds and counts it in a file, until it is told to be calm; then only when it is asked to.
_LOUD = """\
import os, time
lines = 0
while not os.path.exists("calm"):
    print("x" * 999, flush=True)
    lines += 1
    if lines % 100 == 0:
        open("lines.new", "w").write(str(lines))
        os.replace("lines.new", "lines")
open("lines", "w").write("calm")
while True:
    time.sleep(0.01)
    if os.path.exists("say"):
        os.unlink("say")
        print("said", flush=True)
"""
_LOUD_COMMAND = f"{sys.executable} -IS loud.py"


_small_disk = needs(
    works("unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /tmp && nsenter -m -t $$ true"),
    "may not mount a small disk in a namespace of its own here",
)


class Disk:
    """A small disk that holds procsup's state, mounted in a namespace of its own; `procsup` is run in there."""

    def __init__(self, app: App) -> None:
        state = os.environ["PROCSUP_STATE_DIR"]
        Path(state).mkdir(mode=0o700)
        mount = 'mount -t tmpfs -o size=1m,mode=700 tmpfs "$0" && echo ready && exec sleep 1000'
        self._holder = subprocess.Popen(["unshare", "-m", "sh", "-c", mount, state], stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        with self._holder.stdout as said:
            self.ready = said.read(6) == b"ready\n"
        inside = ("nsenter", "-m", "-t", str(self._holder.pid), "sh", "-c", 'cd "$0" && exec "$@"', str(app.folder))
        self.command = (*inside, *terminal.COMMAND)
        self.path = Path(f"/proc/{self._holder.pid}/root{state}")

    def fill(self) -> None:
        with suppress(OSError), open(self.path / "fill", "ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def make_room(self) -> None:
        (self.path / "fill").unlink()

    def file(self, name: str) -> Path:
        [found] = self.path.glob(f"app-*/{name}")
        return found

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


@pytest.fixture
def disk(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    with closing(Disk(app)) as disk:
        assert disk.ready
        monkeypatch.setattr(terminal, "COMMAND", disk.command)
        yield disk
        if app.run("status").returncode == 0:
            app.ok("shutdown")


def _trouble(app: App) -> str | None:
    return app.status().get("trouble")


def _goes_on(app: App) -> bool:
    """The loud one has said twice what pipes and queues hold."""
    lines = app.folder / "lines"
    until(lines.exists)

    def count() -> int:
        return int(lines.read_text())

    before = count()
    until(lambda: count() > before + 10_000)
    return True


@_small_disk
def test_f17_a_full_disk_under_the_log_holds_up_nobody_and_is_told(
    app: App, disk: Disk, record_property: Record
) -> None:
    app.write("loud.py", _LOUD)
    app.write("Procfile", f"loud: {_LOUD_COMMAND}\nweb: {READY}\n")
    app.ok("start", "--detach")
    log = disk.file("output.log")
    pids = {each["name"]: each["pid"] for each in app.status()["instances"]}
    until(lambda: _trouble(app) is not None)
    until(lambda: "nothing is lost" not in (_trouble(app) or ""))
    told = _trouble(app) or ""
    assert re.fullmatch(
        r"cannot write to the log .*/output\.log: No space left on device; \d+ bytes of output are lost so far", told
    )
    assert "\nwarning: cannot write to the log " in app.ok("status")
    assert _goes_on(app)
    app.write("calm", "")
    until(lambda: (app.folder / "lines").read_text() == "calm")
    log.write_bytes(b"")  # somebody makes room
    begun = time.monotonic()
    until(lambda: _trouble(app) is None)
    took = time.monotonic() - begun
    app.write("say", "")
    until(lambda: log.read_text().endswith(" loud.1  | said\n"))
    text = log.read_text()
    assert text.count("cannot be written to") == 0
    again = r"^procsup: the log .*/output\.log can be written to again; \d+ bytes of output are lost$"
    assert len(re.findall(again, text, re.MULTILINE)) == 1
    assert {each["name"]: each["pid"] for each in app.status()["instances"]} == pids
    record_property("written to again after", f"{took:.1f} s")


def test_f17_a_full_disk_under_the_output_holds_up_nobody_and_is_told_once(app: App) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    app.write("loud.py", _LOUD)
    app.write("Procfile", f"loud: {_LOUD_COMMAND}\n")
    errors = app.folder / "stderr"
    with open("/dev/full", "wb") as full, errors.open("wb") as stderr:
        started = subprocess.Popen(
            [*terminal.COMMAND, "start"], cwd=app.folder, env=app.environment, stdout=full, stderr=stderr
        )
    try:
        app.until_running("loud.1")
        assert _goes_on(app)
        assert "No space left on device; " in (_trouble(app) or "")
        started.terminate()
        assert started.wait(PATIENCE) == 0
    finally:
        started.kill()
        started.wait()
    why = "procsup: cannot write to standard output: No space left on device; "
    told, at_the_end = errors.read_text().splitlines()
    assert told == f"{why}what does not fit is lost until it can be written to again"
    assert re.fullmatch(rf"{why}\d+ bytes of output are lost", at_the_end)


def _kept(disk: Disk) -> Any:
    return json.loads(disk.file("formation.json").read_text())["formation"]


@_small_disk
def test_f17_a_full_disk_under_the_state_leaves_the_old_one_whole_and_takes_the_new_one_later(
    app: App, disk: Disk, record_property: Record
) -> None:
    app.write("Procfile", f"web: {READY}\n")
    app.ok("start", "--detach")
    app.ok("scale", "web=2")
    assert _kept(disk) == {"web": 2}
    disk.fill()
    for count in (3, 4):
        done = app.run("scale", f"web={count}", "--wait")
        assert done.returncode == 0
        assert re.fullmatch(
            r"procsup: warning: the formation is not kept: cannot write .*: No space left on device; .*\n", done.stderr
        )
        assert _kept(disk) == {"web": 2}
        assert [each["state"] for each in app.status()["instances"]] == ["running"] * count
    assert "formation.json: No space left on device" in (_trouble(app) or "")
    disk.make_room()
    begun = time.monotonic()
    until(lambda: _kept(disk) == {"web": 4})
    took = time.monotonic() - begun
    until(lambda: _trouble(app) is None)
    log = disk.file("output.log")
    until(lambda: "the formation is kept again" in log.read_text())
    assert log.read_text().count("the formation is not kept") == 1
    assert log.read_text().count("the formation is kept again") == 1
    disk.fill()
    app.ok("scale", "web=1")
    disk.make_room()
    app.ok("shutdown")  # before the next try is due
    assert _kept(disk) == {"web": 1}
    record_property("formation kept after", f"{took:.1f} s")


@_small_disk
def test_f17_with_a_full_disk_under_it_a_start_forgets_nothing(app: App, disk: Disk) -> None:
    app.write("Procfile", f"web: {READY}\n")
    app.ok("start", "--detach")
    app.ok("scale", "web=2")
    os.kill(app.status()["pid"], signal.SIGKILL)
    until(lambda: app.run("status").returncode == 3)
    lock = disk.file("lock").read_text()
    disk.fill()
    app.run("start", "--detach")
    assert disk.file("lock").read_text()
    assert _kept(disk) == {"web": 2}
    assert [each["state"] for each in app.status()["instances"]] == ["running"] * 2
    assert disk.file("lock").read_text() != lock


@pytest.fixture
def background(app: App) -> Iterator[Path]:
    """The log of a supervisor in the background, whose child says one number after the other."""
    app.write("Procfile", "web: sh -c 'n=0; while :; do echo $n; n=$((n + 1)); sleep 0.01; done'\n")
    app.ok("start", "--detach")
    yield next(Path(os.environ["PROCSUP_STATE_DIR"]).glob("app-*/output.log"))
    app.ok("shutdown")


def _numbers(log: Path) -> list[int]:
    if not log.exists():
        return []
    return [int(number) for number in re.findall(r"web\.1 +\| (\d+)$", log.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("how", ["deleted", "moved", "folder deleted"])
def test_f18_a_log_that_is_gone_is_made_again_at_the_next_write(
    app: App, background: Path, how: str, record_property: Record
) -> None:
    until(lambda: len(_numbers(background)) > 3)
    kept = background.with_name("kept")
    begun = time.monotonic()
    if how == "deleted":
        background.unlink()
    elif how == "moved":
        background.rename(kept)
    else:
        # In one step: a new log could come into a folder that is just being emptied.
        background.parent.rename(gone := background.parent.with_name("gone"))
        shutil.rmtree(gone)
    with within(1 + NOISE):
        until(lambda: bool(_numbers(background)))
    took = time.monotonic() - begun
    assert background.stat().st_mode & 0o777 == 0o600
    assert background.parent.stat().st_mode & 0o777 == 0o700
    until(lambda: len(_numbers(background)) > 3)
    told = [*_numbers(kept), *_numbers(background)]
    assert told == list(range(told[0], told[0] + len(told)))
    assert (told[0] == 0) is (how == "moved")
    assert _trouble(app) is None
    record_property(f"made again after (it was {how}, and written to each 10 ms)", f"{took * 1e3:.0f} ms")


def test_f18_a_log_that_was_moved_by_hand_is_opened_anew_on_sigusr1(app: App, background: Path) -> None:
    app.ok("stop", "web")
    background.rename(background.with_name("kept"))
    os.kill(app.status()["pid"], signal.SIGUSR1)
    until(background.exists)
