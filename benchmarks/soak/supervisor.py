"""The `procsup start` that is being disturbed: its process, its limits, its memory and its descriptors."""

from __future__ import annotations

import os
import random
import resource
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks import procfs
from benchmarks.gates import Late
from benchmarks.soak.project import GRACE, Project

_MOST_FILES = 65536  # what procsup raises its limit to, at most
_HISTORY = "16K"  # of each: soon full, so that memory that grows later is none of it


class Supervisor:
    def __init__(self, command: Path, project: Project, environment: Mapping[str, str], chance: random.Random) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
        # Either with the usual small limit, which it raises for itself alone, or with one there is nothing to add to.
        given = chance.choice([min(1024, most), most])
        formation = ",".join(f"{type_}={count}" for type_, count in project.formation.items())
        resource.setrlimit(resource.RLIMIT_NOFILE, (given, hard))
        try:
            self._process = subprocess.Popen(
                [
                    *(command, "start", "-m", formation, "-p", str(project.port)),
                    *("--grace", str(GRACE), "--history", _HISTORY),
                ],
                cwd=project.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self._limits = (most, hard)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout = os.dup(self._process.stdout.fileno())
        self._process.stdout.close()
        self._stderr = self._process.stderr
        os.set_blocking(self._stderr.fileno(), False)
        self._pidfd = os.pidfd_open(self.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def memory(self) -> int:
        """What would come free if it ended: what it shares depends on who else runs Python."""
        return procfs.private_memory(self.pid)

    @property
    def descriptors(self) -> int:
        return procfs.descriptors(self.pid)

    def runs(self) -> bool:
        return not select.select([self._pidfd], [], [], 0)[0]

    def complaints(self) -> str:
        """What it has said on stderr since it was asked last."""
        return (self._stderr.read() or b"").decode(errors="replace").strip()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def narrow(self, room: int) -> None:
        """Leave it room for so many more descriptors."""
        resource.prlimit(
            self.pid, resource.RLIMIT_NOFILE, (procfs.highest_descriptor(self.pid) + 1 + room, self._limits[1])
        )

    def widen(self) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self._limits)

    def wait(self, within: float) -> int:
        """Its exit code, at the moment it ends. Raises `Late`."""
        if not select.select([self._pidfd], [], [], within)[0]:
            raise Late(f"procsup has not ended within {within:g} s")
        return self._process.wait()

    def close(self) -> None:
        """Whatever has become of it."""
        if self.runs():
            self._process.kill()
        self._process.wait()
        self._stderr.close()
        os.close(self._pidfd)

    def end(self, within: float) -> None:
        """When something else went wrong: as gently as that time allows."""
        if self.runs():
            self.thaw()
            self._process.terminate()
            until = time.monotonic() + within
            while self.runs() and time.monotonic() < until:
                time.sleep(0.05)
        self.close()
