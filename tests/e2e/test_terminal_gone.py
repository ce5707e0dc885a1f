"""The window is closed, or the rest of the pipeline has gone: the processes still get their grace."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
from collections.abc import Iterator

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App

# Needs a moment for a clean end, and leaves a trace of it.
CAREFUL = """sh -c 'trap "sleep 0.3; touch clean; exit 0" TERM; echo ready; while :; do sleep 0.05; done'"""


class Terminal:
    """A terminal with procsup as the foreground of its session."""

    def __init__(self, app: App, command: list[str]) -> None:
        self.master, slave = os.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=app.folder,
            env=app.environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def wait_for(self, text: bytes) -> None:
        seen = b""
        while text not in seen:
            seen += os.read(self.master, 4096)

    def close(self) -> None:
        os.close(self.master)


@pytest.fixture
def careful(app: App) -> Iterator[App]:
    app.write("Procfile", f"web: {CAREFUL}\n")
    yield app
    assert (app.folder / "clean").exists(), "it was killed without its grace"


def test_a_closed_terminal_stops_all_with_their_grace(careful: App) -> None:
    terminal = Terminal(careful, [*COMMAND, "start"])
    terminal.wait_for(b"ready")
    terminal.close()
    assert terminal.process.wait(PATIENCE) in (0, 128 + signal.SIGHUP)


def test_ctrl_c_in_a_pipeline_stops_all_with_their_grace(careful: App) -> None:
    procsup = " ".join(COMMAND)
    terminal = Terminal(careful, ["sh", "-c", f"{procsup} start | cat"])
    terminal.wait_for(b"ready")
    os.write(terminal.master, b"\x03")
    terminal.process.wait(PATIENCE)
    terminal.close()
    # The shell waits for its last program only; the lock is free when the first one is gone too.
    assert careful.run("shutdown").returncode in (0, 3)
