"""The stage of one scenario: a project folder, the tools that run in it, and everything ended and counted by us.

What a tool starts inherits a mark in its environment; what threw that away still descends from us, for we are the
sub-reaper of all of it. So what is left is known, wherever it went, and ends with the scenario.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import procfs
from benchmarks.bench import MARK, Bench, sweep
from benchmarks.gates import Late

if TYPE_CHECKING:
    from benchmarks.reliability.contenders import Tool

GRACE = 2
_SET_CHILD_SUBREAPER = 36


class Verdict(Enum):
    HOLDS = "holds"
    PARTLY = "partly"
    NOT = "does not hold"
    NONE = "—"


@dataclass(frozen=True)
class Finding:
    """What was seen, in a few words, and what it means for the row."""

    verdict: Verdict
    text: str


Scenario = Callable[["Stage", "Tool"], Finding]


def judged(text: str, holds: bool, partly: bool = False) -> Finding:
    return Finding(Verdict.HOLDS if holds else Verdict.PARTLY if partly else Verdict.NOT, text)


def without(why: str) -> Finding:
    return Finding(Verdict.NONE, why)


def until(condition: Callable[[], bool], within: float, pace: float = 0.002) -> float | None:
    """Seconds until it was so, None when it was not in time."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > within:
            return None
        time.sleep(pace)
    return time.monotonic() - begun


def alive(pid: int) -> bool:
    return procfs.state(pid) not in ("Z", "X", "")


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def descendants(pid: int) -> list[int]:
    found = procfs.children(pid)
    for child in found:
        found += procfs.children(child)
    return found


def adopt_orphans() -> None:
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@dataclass
class Running:
    """A tool that was started on the stage."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def said(self) -> bytes:
        return self.log.read_bytes()

    def stop(self, within: float, number: int = signal.SIGTERM) -> float | None:
        """Ask it to end; seconds until it has, None when it has not in time."""
        kill(self.pid, number)
        return until(lambda: self.ended, within)


@dataclass
class Stage:
    """One project and all that runs in it; children write their pids into files, so that they can be counted."""

    bench: Bench
    folder: Path
    mark: str
    extra: dict[str, str] = field(default_factory=dict)
    _runs: list[Running] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {**self.bench.environment(self.folder), **self.extra, MARK: self.mark}

    def script(self, name: str, text: str) -> str:
        """A shell script of the project, as a command without any character that a tool could mean something by."""
        path = self.folder / f"{name}.sh"
        path.write_text(text)
        return f"/bin/sh {path}"

    def program(self, name: str, text: str) -> str:
        """The same in Python."""
        path = self.folder / f"{name}.py"
        path.write_text(text)
        return f"{self.bench.python} -I -S {path}"

    def sleeper(self, name: str) -> str:
        """A child that says that it is there, and stays."""
        return self.script(name, f"{self.says(name)}\nexec sleep 100000\n")

    def deaf(self, name: str) -> str:
        return self.script(name, f"trap '' TERM INT\n{self.says(name)}\nwhile :; do sleep 1000; done\n")

    def says(self, name: str) -> str:
        """The shell command that writes the pid down."""
        return f"echo $$ >> {self.folder}/{name}.pids"

    def pids(self, name: str) -> list[int]:
        """All that ever said they were there."""
        with suppress(FileNotFoundError):
            return [int(pid) for pid in (self.folder / f"{name}.pids").read_text().split("\n")[:-1]]
        return []

    def living(self, *names: str) -> list[int]:
        return [pid for name in names for pid in self.pids(name) if alive(pid)]

    def ready(self, *names: str, each: int = 1, within: float = 10.0) -> None:
        """Wait until all of them said so. Raises `Late`."""
        if until(lambda: all(len(self.pids(name)) >= each for name in names), within) is None:
            there = {name: len(self.pids(name)) for name in names}
            over = self._runs[-1].process.poll() is not None
            raise Late(f"not all there within {within:g} s: {there}" + ("; the tool itself has ended" if over else ""))

    def start(self, argv: Sequence[str | Path], **popen: Any) -> Running:
        """Run a tool in the project's folder, as the leader of its own session, its words in a log."""
        log = self.folder / f"tool.{len(self._runs)}.log"
        popen.setdefault("env", self.environment)
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("start_new_session", True)
        with log.open("ab") as stream:
            popen.setdefault("stdout", stream)
            process = subprocess.Popen(argv, cwd=self.folder, stderr=stream, **popen)
        self._runs.append(Running(process, log))
        return self._runs[-1]

    def ask(self, argv: Sequence[str | Path], within: float = 10.0) -> subprocess.CompletedProcess[str]:
        """A short command beside the tool. Raises `Late`."""
        try:
            return subprocess.run(
                argv,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=within,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Late(f"no answer within {within:g} s") from None

    def left(self) -> list[int]:
        """Everything of this scenario that lives, wherever it has gone."""
        marked = set(procfs.marked(f"{MARK}={self.mark}".encode()))
        return sorted(pid for pid in marked | set(descendants(os.getpid())) if alive(pid))

    def clear(self) -> None:
        """End all of it, and bury what was adopted."""
        for run in self._runs:
            if run.process.poll() is None:
                run.process.kill()
                run.process.wait(10)
        sweep(f"{MARK}={self.mark}".encode())
        for pid in descendants(os.getpid()):
            kill(pid)
        for pid in procfs.children(os.getpid()):
            if procfs.state(pid) == "Z":
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


@contextmanager
def stage(bench: Bench, name: str) -> Iterator[Stage]:
    """A stage of its own for each scenario and tool; nothing of it is left afterwards."""
    folder = bench.folder / name
    (folder / "run").mkdir(mode=0o700, parents=True)
    made = Stage(bench, folder, f"{bench.folder.name}.{name}.")
    try:
        yield made
    finally:
        made.clear()
        subprocess.run(["rm", "-rf", str(folder)], check=False)


if not sys.platform.startswith("linux"):
    raise SystemExit("the scenarios read /proc: run them on Linux")
