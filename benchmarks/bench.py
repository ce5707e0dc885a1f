"""The work bench: a temporary folder, the tools that are there, and every process started on it ended again.

Each tool runs with a mark of its own in its environment. Whatever it starts inherits the mark, so after it has ended we
know what it has left behind, wherever that went, and end it by a pidfd whose owner still carries the mark.
"""

from __future__ import annotations

import itertools
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import procfs
from benchmarks.gates import Late
from benchmarks.peers import Peers

MARK = "PROCSUP_BENCHMARK"
END_LIMIT = 25.0
KILL_LIMIT = 10.0


@dataclass(frozen=True)
class Options:
    """How much of everything."""

    rounds: int = 15
    instances: int = 1000
    idle_children: int = 100
    idle_seconds: float = 60.0
    lines: int = 2_000_000


@dataclass(frozen=True)
class Started:
    """A tool that runs; `since` was taken just before its exec, `mark` finds it and all that it has started."""

    name: str
    process: subprocess.Popen[bytes]
    since: float
    mark: bytes
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def own_processes(self, programs: Sequence[str]) -> list[int]:
        """Its own processes: all that carry the mark but the programs it was asked to run (and shells for them).

        procsup's guardian sleeps as a shell, and counts.
        """
        asked_for = (*programs, "sh", "dash")
        return [
            pid
            for pid in procfs.marked(self.mark)
            if procfs.command_name(pid) not in asked_for or b"procsup-guardian" in procfs.command_line(pid)
        ]

    def end(self, within: float = END_LIMIT) -> float:
        """SIGTERM; seconds until it has ended. Raises `Late`."""
        before = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.wait(within)
        return time.monotonic() - before

    def wait(self, within: float) -> int:
        """Its exit code, at the moment it ends: `Popen.wait` with a limit looks only every so often. Raises `Late`."""
        if self.process.returncode is None:
            held = os.pidfd_open(self.pid)
            try:
                if not select.select([held], [], [], within)[0]:
                    raise Late(f"{self.name} has not ended within {within:g} s")
            finally:
                os.close(held)
        return self.process.wait()

    def explained(self, error: Late) -> Late:
        """The same error with what the tool itself has to say to it."""
        ended = self.process.poll()
        how = "it still runs" if ended is None else f"it ended with {ended}"
        return Late(f"{error}; {self.name}: {how}; {self.last_words()}")

    def last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else "it said nothing"


@dataclass
class Bench:
    """What all rows share; `remarks` are things a reader of the table must know."""

    folder: Path
    options: Options
    peers: Peers
    procsup: Path | None
    remarks: list[str] = field(default_factory=list)
    python: str = sys.executable
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def project(self) -> Path:
        """A new empty folder, short enough for the path of a socket below it."""
        folder = self.folder / str(next(self._numbers))
        (folder / "run").mkdir(mode=0o700, parents=True)
        return folder

    def environment(self, project: Path) -> dict[str, str]:
        """The same small environment for everybody; the state of procsup goes into the project's folder."""
        path = ["/usr/local/bin", "/usr/bin", "/bin"]
        node = shutil.which("node")
        return {
            "PATH": ":".join([*path, str(Path(node).parent)] if node else path),
            "HOME": str(project),
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(project / "run"),
            "PROCSUP_STATE_DIR": str(project / "state"),
        }

    @contextmanager
    def started(
        self, argv: Sequence[str | Path], project: Path, *, stdout: int | None = None, stdin: int = subprocess.DEVNULL
    ) -> Iterator[Started]:
        """Run a tool in the project's folder, as the leader of its own session; end it and what it left."""
        name = Path(argv[0]).name
        mark = f"{self.folder.name}.{next(self._numbers)}."
        log = project / f"{name}.log"
        with log.open("ab") as stream:
            since = time.monotonic()
            process = subprocess.Popen(
                argv,
                cwd=project,
                env={**self.environment(project), MARK: mark},
                stdin=stdin,
                stdout=stream if stdout is None else stdout,
                stderr=stream,
                start_new_session=True,
            )
        tool = Started(name, process, since, f"{MARK}={mark}".encode(), log)
        try:
            yield tool
        except Late as error:
            raise tool.explained(error) from None
        finally:
            self._end(tool)

    def client(self, argv: Sequence[str | Path], project: Path, within: float = 60.0) -> None:
        """Run a short command there and wait for it; its failure is ours."""
        environment = {**self.environment(project), MARK: f"{self.folder.name}.client."}
        done = subprocess.run(argv, cwd=project, env=environment, capture_output=True, timeout=within, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise RuntimeError(f"{Path(argv[0]).name} ended with {done.returncode}: {said[-200:]}")

    def _end(self, tool: Started) -> None:
        if tool.process.poll() is None:
            with suppress(Late):
                tool.end()
        if tool.process.poll() is None:
            self.remarks.append(f"{tool.name} did not end within {END_LIMIT:g} s of SIGTERM and was killed")
            tool.process.kill()
            tool.process.wait(KILL_LIMIT)
        left = sweep(tool.mark)
        if left:
            self.remarks.append(f"{tool.name} left {len(left)} processes behind ({', '.join(sorted(set(left)))})")


def sweep(mark: bytes) -> list[str]:
    """Kill whatever carries the mark and say what it was; empty when all was clean. Raises `Late`."""
    left: list[str] = []
    until = time.monotonic() + KILL_LIMIT
    while pids := procfs.marked(mark):
        for pid in pids:
            with suppress(ProcessLookupError):
                held = os.pidfd_open(pid)
                try:
                    if procfs.carries(pid, mark):
                        left.append(procfs.command_name(pid))
                        signal.pidfd_send_signal(held, signal.SIGKILL)
                finally:
                    os.close(held)
        if time.monotonic() > until:
            raise Late(f"{len(pids)} processes survived SIGKILL")
        time.sleep(0.02)
    return left


@contextmanager
def bench(options: Options, peers: Peers, procsup: Path | None) -> Iterator[Bench]:
    """A bench that is swept and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="psb-"))
    made = Bench(folder, options, peers, procsup)
    try:
        yield made
    finally:
        left = sweep(f"{MARK}={folder.name}.".encode())
        if left:
            made.remarks.append(f"at the end {len(left)} processes were left ({', '.join(sorted(set(left)))})")
        shutil.rmtree(folder, ignore_errors=True)


def write(path: Path, lines: Mapping[str, str] | str) -> Path:
    """Write a Procfile from its entries, or a text as it is."""
    path.write_text(lines if isinstance(lines, str) else "".join(f"{name}: {text}\n" for name, text in lines.items()))
    return path
