"""`python -m benchmarks.soak --minutes 10`: disturb procsup for so long, and see whether all that must hold does."""

from __future__ import annotations

import argparse
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench import MARK, sweep
from benchmarks.gates import Late
from benchmarks.soak.census import Census
from benchmarks.soak.chaos import Chaos
from benchmarks.soak.clients import Clients, Refused, Unanswered
from benchmarks.soak.ear import Ear
from benchmarks.soak.invariants import Invariants
from benchmarks.soak.journal import Journal
from benchmarks.soak.project import GRACE, Project
from benchmarks.soak.report import line, markdown, page
from benchmarks.soak.supervisor import Supervisor
from procsup.control.address import identity, socket_path

PAGE = Path(__file__).parent.parent.parent / "docs" / "soak.md"
_CHAOS = 3.5  # seconds between two checks, which take about as long as it takes the slowest to end
# A count is on disk before `scale` answers; how long others keep a disk from it is not what is measured here.
_IN_MEMORY = "/dev/shm"  # noqa: S108
_STARTED_WITHIN = 20.0
_WARM_UP = 30.0  # seconds, or a quarter of all: until it has done everything once


class Soak:
    """One run, from `procsup start` to the last look for what it left."""

    def __init__(self, folder: Path, command: Path, seed: int, slack: float) -> None:
        chance = random.Random(seed)
        self._mark = f"{MARK}={folder.name}.".encode()
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PROCSUP_STATE_DIR": str(folder / "state"),
            MARK: f"{folder.name}.",
        }
        root = folder / "app"
        root.mkdir()
        self._slack = slack
        self._cookie = f"{identity(str(root))}:"
        self.journal = Journal()
        project = Project(chance, root)
        self._supervisor = Supervisor(command, project, environment, chance)
        self.ear = Ear(self._supervisor.stdout, self.journal)
        path = socket_path(environment, os.geteuid(), str(root))
        self.clients = Clients(self._supervisor.pid, path, command, environment, root, self.journal)
        census = self._census
        self.invariants = Invariants(project, self._supervisor, self.clients, self.ear, self.journal, census, slack)
        self._chaos = Chaos(chance, project, self._supervisor, self.clients, self.ear, self.journal, self.invariants)

    def run(self, seconds: float) -> float | None:
        """Seconds that the shutdown took, if it came to that."""
        self._wait_for_start()
        self.invariants.check()
        minute = 0
        while self.journal.seconds < seconds and self._supervisor.runs():
            self._chaos.disturb(_CHAOS)
            self._chaos.cease()
            self.invariants.check()
            if self.invariants.first is None and self.journal.seconds > min(_WARM_UP, seconds / 4):
                self.invariants.begin()
            if self.journal.seconds // 60 > minute:
                minute = int(self.journal.seconds // 60)
                print(line(minute, self.journal, self.clients, self.ear, self.invariants), flush=True)
        return self._shut_down()

    def close(self) -> None:
        self.clients.close()
        self._supervisor.end(GRACE + 5)
        sweep(self._mark)

    def _census(self) -> Census:
        return Census(self._supervisor.pid, self._cookie)

    def _wait_for_start(self) -> None:
        until = time.monotonic() + _STARTED_WITHIN * self._slack
        while self._supervisor.runs() and time.monotonic() < until:
            try:
                self.clients.ask("info")
            except Unanswered:
                time.sleep(0.05)
            else:
                return
        raise Late(f"procsup did not start: {self._supervisor.complaints()}")

    def _shut_down(self) -> float | None:
        if not self._supervisor.runs():
            code = self._supervisor.wait(1)
            self.journal.wrong(f"procsup has ended by itself, with {code}; {self._supervisor.complaints()}")
            return None
        since = time.monotonic()
        try:
            self.clients.ask("shutdown")
            code = self._supervisor.wait(30)
        except (Unanswered, Refused, Late) as error:
            self.journal.wrong(f"shutdown: {error}")
            return None
        took = time.monotonic() - since
        if took > (GRACE + 1) * self._slack:
            self.journal.wrong(f"shutdown took {took:.2f} s, with a grace of {GRACE} s")
        if code:
            self.journal.wrong(f"procsup ended with {code}; {self._supervisor.complaints()}")
        if members := self._census().members:
            self.journal.wrong(f"it left processes of {sorted({each.name for each in members})}")
        elif others := sweep(self._mark):  # whatever has no cookie (any more): guardians, clients, those who cleared it
            self.journal.wrong(f"it left other processes: {sorted(others)}")
        if not self.ear.end(10):
            self.journal.wrong("somebody still holds procsup's output")
        return took


def main() -> int:
    arguments = _arguments()
    if not sys.platform.startswith("linux"):
        print("the soak reads /proc: run it on Linux", file=sys.stderr)
        return 2
    # An end that is asked for goes through every `finally`, so that nothing stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.setswitchinterval(0.0005)  # the thread that reads must not be in the times of answers
    print(f"seed {arguments.seed}: the same choices again with --seed {arguments.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pss-", dir=_IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None))
    try:
        soak = Soak(folder, arguments.procsup, arguments.seed, arguments.slack)
        try:
            shutdown = soak.run(arguments.minutes * 60)
        finally:
            soak.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    command = shlex.join(["python", "-m", "benchmarks.soak", *sys.argv[1:]])
    table = markdown(command, arguments.seed, shutdown, soak.journal, soak.clients, soak.ear, soak.invariants)
    print(table)
    if arguments.write:
        PAGE.write_text(page(table))
    return 1 if soak.journal.violations else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the generator")
    parser.add_argument("--slack", type=float, default=1.0, help="multiplies the bounds of time, for a slow machine")
    parser.add_argument("--write", action="store_true", help="write docs/soak.md too")
    procsup = Path(sys.executable).parent / "procsup"
    parser.add_argument("--procsup", type=Path, default=procsup, help="the command to disturb (beside this python)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
