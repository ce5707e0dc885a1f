"""What holds for every test: its own state and socket folders, nothing left behind, and in CI nothing skipped."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests import leaks
from tests.e2e.app import App

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


# How long an example takes says how busy the machine is. All else stays, as Hypothesis sets it for where it runs.
settings.register_profile(
    "unhurried",
    settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("unhurried")

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)

# CI is Linux, and has all that the tests need; on other systems Linux's own tests cannot run.
_SKIPS_NOTHING = os.environ.get("CI") == "true" and sys.platform == "linux"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _not_skipped((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole module may be skipped as well."""
    return _not_skipped((yield))


def _not_skipped(report: _Report) -> _Report:
    if _SKIPS_NOTHING and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CI must not skip: {str(reason).removeprefix('Skipped: ')}"
    return report


@pytest.fixture(autouse=True, scope="session")
def heard_signals() -> None:
    """nohup has SIGHUP ignored, a script's `&` SIGINT and SIGQUIT, and so would all be that the tests start."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    opened = leaks.left_descriptors(before)
    assert not opened, f"descriptors left: {opened}"
    sockets = list(Path(os.environ["PROCSUP_STATE_DIR"]).rglob("*.sock"))
    assert not sockets, f"sockets left: {sockets}"


@pytest.fixture
def app(tmp_path: Path, nothing_left_behind: None) -> Iterator[App]:
    app = App(tmp_path / "app")
    try:
        yield app
    finally:
        app.clean_up()
