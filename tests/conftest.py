"""What holds for every test: its own state and socket folders, and nothing left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import leaks

_STEERING = (
    "PROCSUP_",
    "PORT",
    "PROCFILE",
    "NO_COLOR",
    "FORCE_COLOR",
    "XDG_",
    "NOTIFY_",
    "LISTEN_",
    "TERM",
    "JOURNAL_",
)


@pytest.fixture(autouse=True, scope="session")
def heard_hangups() -> None:
    """Under nohup SIGHUP is ignored, and so it would be in all that the tests start: procsup takes that for a wish."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes what belongs to the person who runs it."""
    for name in tuple(os.environ):
        if name.startswith(_STEERING):
            monkeypatch.delenv(name)
    state = tmp_path / "state"
    monkeypatch.setenv("PROCSUP_STATE_DIR", str(state))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")


@pytest.fixture(autouse=True)
def nothing_left_behind(own_world: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No process, descriptor or socket of a test outlives it."""
    if not os.path.isdir("/proc/self/fd"):
        yield
        return
    monkeypatch.setenv(leaks.COOKIE, "")
    cookie = leaks.bake()
    before = leaks.open_descriptors()
    yield
    left = leaks.left_processes(cookie)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"processes left: {left}"
    after = leaks.open_descriptors()
    opened = {number: target for number, target in after.items() if before.get(number) != target}
    assert not opened, f"descriptors left: {opened}"
    sockets = list(Path(os.environ["PROCSUP_STATE_DIR"]).rglob("*.sock"))
    assert not sockets, f"sockets left: {sockets}"
