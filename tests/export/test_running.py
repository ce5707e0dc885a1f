"""Under each engine the example runs as under procsup: as many, with the same numbers and variables, and stops as well.

Each takes a few seconds: the deaf one has to be killed, and supervisord thinks once a second.
"""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.app import alive
from tests.export.engines import ENGINES, Engine
from tests.export.example import HARD_NAME, RUNNING, Example, free_port, given, until, until_gone
from tests.faults.needs import needs

each_engine = pytest.mark.parametrize(
    "engine",
    [pytest.param(each, id=each.name, marks=needs(each.there, f"needs {each.package}")) for each in ENGINES],
)


@pytest.fixture
def example(tmp_path: Path) -> Example:
    return Example(tmp_path / HARD_NAME, tmp_path / "reports", free_port())


@each_engine
def test_the_example_runs_as_under_procsup(engine: Engine, example: Example, tmp_path: Path) -> None:
    ours = example.under_procsup()
    folder = tmp_path / "exported to here"
    example.export(engine.name, folder)
    with engine.running(folder) as process:
        theirs = example.until_told("ready", *RUNNING)
        for name in RUNNING:
            assert given(theirs[name], *engine.own) == given(ours[name])
            assert theirs[name]["cwd"] == ours[name]["cwd"]
            assert theirs[name]["argv"] == ours[name]["argv"]
        page = urllib.request.urlopen(f"http://127.0.0.1:{example.port + 1}", timeout=10).read()
        assert page == b"good day to you\n"
        assert len({each["env"]["PORT"] for each in theirs.values()}) == len(RUNNING)
        mount = Path(theirs["web.1"]["env"]["PROCSUP_MOUNT_SCRATCH"])
        assert mount.is_dir()
        pids = [each["pid"] for each in theirs.values()]
        assert all(map(alive, pids))
        engine.end(process)
        until_gone(pids)
    stopped = {name: tuple(each["signal"] for each in told) for name, told in example.told("stopped").items()}
    assert stopped == {
        "web.1": ("SIGINT",),
        "web.2": ("SIGINT",),
        "worker.1": engine.steps,
        "worker.2": engine.steps,
        "worker.3": engine.steps,
    }


@each_engine
def test_who_was_killed_comes_back_and_the_others_do_not_notice(
    engine: Engine, example: Example, tmp_path: Path
) -> None:
    folder = tmp_path / "exported"
    example.export(engine.name, folder, "-m", "web=1,worker=1,mail_queue=0")
    with engine.running(folder) as process:
        first = example.until_told("ready", "web.1", "worker.1")
        os.kill(first["worker.1"]["pid"], signal.SIGKILL)
        until(lambda: len(example.told("ready")["worker.1"]) == 2)
        again = example.told("ready")
        assert given(again["worker.1"][1]) == given(first["worker.1"])
        assert len(again["web.1"]) == 1
        pids = [each["pid"] for told in again.values() for each in told]
        engine.end(process)
        until_gone(pids)


@pytest.mark.parametrize("leader", ["itself", "a shell"])
@each_engine
def test_the_deaf_one_has_its_grace_and_no_more(
    engine: Engine, leader: str, example: Example, tmp_path: Path, elapsed: Callable[[], float]
) -> None:
    folder = tmp_path / "exported"
    if leader == "itself":
        procfile = example.folder / "Procfile"
        procfile.write_text(procfile.read_text().replace("cd . &&", ""))
    example.export(engine.name, folder, "-m", "all=0,mail_queue=1")
    with engine.running(folder) as process:
        pid = example.until_told("ready", "mail_queue.1")["mail_queue.1"]["pid"]
        elapsed()
        process.send_signal(engine.stop)
        until_gone([pid])
        assert 0.9 < elapsed() < 12


@pytest.fixture
def elapsed() -> Callable[[], float]:
    """Seconds since it was asked the last time."""
    import time

    last = [time.monotonic()]

    def ask() -> float:
        before, last[0] = last[0], time.monotonic()
        return last[0] - before

    return ask
