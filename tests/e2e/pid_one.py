"""procsup as the first process of a container: a PID namespace of its own, and its own /proc.

All pids that it tells are those of the namespace, where it is 1 itself: out here they are somebody else's, whom nobody
may signal. So a test signals the supervisor only, whose pid out here is known.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e import app as terminal
from tests.e2e.app import PATIENCE, App, Supervisor

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


class First(Supervisor):
    """`process` is unshare, which waits for the supervisor and ends as it does."""

    @property
    def pid(self) -> int:
        """Of the supervisor, as it is seen from out here."""
        end = time.monotonic() + PATIENCE
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while not (found := children.read_text().split()):
            assert self.process.poll() is None, self.text
            assert time.monotonic() < end
            time.sleep(0.001)  # the pace of asking
        return int(found[0])

    def send(self, number: int) -> None:
        os.kill(self.pid, number)


class Container(App):
    """A project whose supervisor is PID 1; the commands run in the same namespace, as `docker exec` runs them."""

    def start(self, *arguments: str, before: tuple[str, ...] = (), **popen: object) -> Supervisor:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(terminal, "COMMAND", (*UNSHARE, *terminal.COMMAND))
            patch.setattr(terminal, "Supervisor", First)
            return super().start(*arguments, before=before, **popen)

    def run(self, *arguments: str, **popen: object) -> subprocess.CompletedProcess[str]:
        with pytest.MonkeyPatch.context() as patch:
            inside = ("nsenter", "--target", str(self.started[-1].pid), "--pid", "--mount")
            patch.setattr(terminal, "COMMAND", (*inside, f"--wd={self.folder}", *terminal.COMMAND))
            return super().run(*arguments, **popen)

    def clean_up(self) -> None:
        for supervisor in self.started:
            if supervisor.process.poll() is None and self._stopped_in_vain(supervisor):
                supervisor.process.kill()  # and the kernel all that is in the namespace
            supervisor.end()

    def _stopped_in_vain(self, supervisor: Supervisor) -> bool:
        try:
            supervisor.send(signal.SIGTERM)
            supervisor.send(signal.SIGINT)
            supervisor.end()
        except (OSError, AssertionError, subprocess.TimeoutExpired):
            return True
        return False
