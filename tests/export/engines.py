"""Supervisors of others, each run on the folder of an export: started, asked to stop, and waited for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.e2e.app import PATIENCE


class Engine(NamedTuple):
    """`command` for a folder; `stop` is the signal after which it stops all and ends.

    `needs` is a program, or a module of Python's; `own` the prefixes of variables that it sets for its own sake.
    """

    name: str
    command: Callable[[Path], list[str]]
    needs: str
    package: str
    stop: int = signal.SIGTERM
    own: tuple[str, ...] = ()
    steps: tuple[str, ...] = ("SIGTERM",)  # what a worker hears of "USR1, 1, TERM"

    @property
    def there(self) -> bool:
        if self.name == "supervisord":
            from importlib.util import find_spec

            return find_spec(self.needs) is not None
        return shutil.which(self.needs) is not None

    @contextlib.contextmanager
    def running(self, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
        """It is stopped at the end, if it was not before."""
        with open(folder / ".engine.log", "wb") as log:
            process = subprocess.Popen(
                self.command(folder),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(os.environ),  # without it, also what readline has set behind Python's back
            )
        try:
            yield process
        except BaseException:
            print((folder / ".engine.log").read_text(errors="replace"))
            raise
        finally:
            self.end(process)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.send_signal(self.stop)
        process.wait(PATIENCE)
        # runsvdir tells those that it has started to end, and does not wait for them.
        until_end = time.monotonic() + PATIENCE
        while _works_in(Path(os.fsdecode(process.args[-1]) if self is RUNIT else "/nowhere")):  # type: ignore[index]
            assert time.monotonic() < until_end, "runsv does not end"
            time.sleep(0.02)  # the pace of looking


def _works_in(folder: Path) -> bool:
    """Whether somebody has a folder below this one as its own."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{name}/cwd").startswith(f"{folder}/"):
                return True
    return False


def _supervisord(folder: Path) -> list[str]:
    main = folder / "supervisord.conf"
    main.write_text(
        "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=supervisord.pid\n"
        "childlogdir=%(here)s\n"
        "[include]\nfiles=*-example.conf\n"
    )
    return [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(main)]


SUPERVISORD = Engine("supervisord", _supervisord, "supervisor", "supervisor", own=("SUPERVISOR_",))
RUNIT = Engine(
    "runit",
    lambda folder: ["runsvdir", "-P", str(folder)],
    "runsvdir",
    "runit",
    stop=signal.SIGHUP,
    steps=("SIGUSR1", "SIGTERM"),
)
S6 = Engine("s6", lambda folder: ["s6-svscan", str(folder)], "s6-svscan", "s6")
ENGINES = (SUPERVISORD, RUNIT, S6)
