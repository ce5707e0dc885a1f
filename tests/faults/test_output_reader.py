"""Nobody reads what procsup says, or nobody ever will again."""

from __future__ import annotations

import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App
from tests.faults.reader import Reader
from tests.faults.watching import NOISE, READY, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

Record = Callable[[str, object], None]
FLOOD = f"""{sys.executable} -IS -c 'while True: print("x" * 99)'"""
GRACE = 5


@pytest.fixture
def blocked(app: App) -> Iterator[Reader]:
    """A supervisor whose child floods a pipe that nobody reads."""
    app.write("Procfile", f"flood: {FLOOD}\nweb: sleep 1000\n")
    with closing(Reader(app, "--grace", str(GRACE))) as reader:
        reader.wait_until_full()
        yield reader


def _took(command: Callable[[], object]) -> float:
    begun = time.monotonic()
    command()
    return time.monotonic() - begun


def test_f15_while_nobody_reads_commands_and_restarts_and_the_stop_go_on(
    app: App, blocked: Reader, record_property: Record
) -> None:
    before = app.instances()
    assert {each["state"] for each in before.values()} == {"running"}
    answers = sorted(_took(app.instances) for _ in range(100))
    scaled = _took(lambda: app.ok("scale", "web=3", "--wait"))
    app.ok("stop", "web.2")
    with within(1 + NOISE):
        os.kill(before["flood.1"]["pid"], signal.SIGKILL)
        replaced = _took(lambda: app.until(lambda found: _is_another(found["flood.1"], before["flood.1"])))
    app.ok("restart", "flood")
    wanted = {"flood.1": "running", "web.1": "running", "web.2": "stopped", "web.3": "running"}
    assert {name: each["state"] for name, each in app.instances().items()} == wanted
    blocked.process.terminate()
    ended = _took(lambda: blocked.process.wait(GRACE + NOISE))
    assert ended < GRACE  # none of it waits for the reader
    assert blocked.process.returncode == 1
    assert (
        blocked.stderr.read_text()
        == "procsup: the reader of procsup's output has stopped reading: its last part is lost\n"
    )
    record_property("99 of 100 questions answered within", f"{statistics.quantiles(answers, n=100)[98] * 1e3:.1f} ms")
    record_property("scaled from 1 to 3 in", f"{scaled * 1e3:.0f} ms")
    record_property("a killed child replaced after", f"{replaced * 1e3:.0f} ms")
    record_property("stopped after", f"{ended:.2f} s")


def _is_another(now: dict[str, object], before: dict[str, object]) -> bool:
    return now["pid"] not in (None, before["pid"])


def test_f15_a_reader_that_comes_back_finds_every_line_whole(blocked: Reader) -> None:
    blocked.process.terminate()
    said = b"".join(blocked.chunks())
    assert blocked.process.wait(PATIENCE) == 0
    lines = [line for line in said.decode().splitlines() if " flood.1 " in line and " procsup " not in line]
    assert len(lines) > 1000
    assert {re.sub(r"^\S+ ", "", line) for line in lines[:-1]} == {"flood.1 | " + "x" * 99}


def test_f15_a_stop_is_possible_where_stderr_is_the_same_blocked_pipe(app: App) -> None:
    app.write("Procfile", f"flood: {FLOOD}\n")
    with closing(Reader(app, "--grace", str(GRACE), one_pipe=True)) as reader:
        reader.wait_until_full()
        reader.process.terminate()
        with within(GRACE):
            assert reader.process.wait(PATIENCE) == 1


@pytest.mark.parametrize("arguments", [(), ("--format", "json")])
@pytest.mark.parametrize("command", [FLOOD, READY], ids=["flood", "silence"])
def test_f16_a_reader_that_goes_away_ends_it_cleanly(
    app: App, command: str, arguments: tuple[str, ...], record_property: Record
) -> None:
    app.write("Procfile", f"web: {command}\n")
    with closing(Reader(app, *arguments)) as reader:
        said = b""
        for chunk in reader.chunks():
            said += chunk
            if b"ready" in said or len(said) > 1_000_000:
                break
        reader.go_away()
        with within(1 + NOISE):
            took = _took(lambda: reader.process.wait(PATIENCE))
        assert reader.process.returncode == 0
        assert reader.stderr.read_text() == ""
    record_property("ended after", f"{took * 1e3:.0f} ms")


@pytest.mark.parametrize("how", ["start", "start --format json"])
def test_f16_in_a_pipeline_with_head_it_ends_with_head(app: App, how: str) -> None:
    app.write("Procfile", f"web: {READY}\n")
    pipeline = ["/bin/sh", "-c", f"{shlex.join(COMMAND)} {how} | head -n 1"]
    done = subprocess.run(
        pipeline, cwd=app.folder, env=app.environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
