"""What must hold: some of it at every moment, the rest once procsup was left alone for a moment."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks.samples import mebibytes
from benchmarks.soak.census import Census, Process
from benchmarks.soak.clients import Clients, Refused, Unanswered
from benchmarks.soak.ear import Ear
from benchmarks.soak.journal import Journal
from benchmarks.soak.project import COMMANDS, Project, number_of, type_of
from benchmarks.soak.supervisor import Supervisor

SETTLED_WITHIN = 12.0  # seconds: three rolling restarts with the grace of a deaf one each, and what is under way
PERSISTENT = 3.0  # seconds that a complaint must have lasted by then: some instances come and go by themselves
ANSWERED_WITHIN = 1.0
ANSWERED_NARROW = 5.0  # without descriptors a client may have to wait until another has gone
ZOMBIE = 1.0  # seconds
# A version that has just taken over has read what it was handed over, and Python gives memory back late.
MORE_MEMORY = 16 * 2**20
MORE_DESCRIPTORS = 3
_EACH = 3  # descriptors of a running instance: its pidfd, stdout and stderr
_AT_REST = ("running", "backoff", "stopped")

Rows = dict[str, dict[str, Any]]


class Size(NamedTuple):
    """What procsup holds in a calm moment; `spare` are the descriptors that the running instances do not explain."""

    memory: int
    descriptors: int
    spare: int


class Invariants:
    def __init__(
        self, project: Project, supervisor: Supervisor, clients: Clients, ear: Ear, journal: Journal,
        census: Callable[[], Census], slack: float,
    ) -> None:  # fmt: skip
        self._project = project
        self._supervisor = supervisor
        self._clients = clients
        self._ear = ear
        self._journal = journal
        self.census = census
        self._slack = slack
        self._numbers: dict[str, tuple[int, int]] = {}
        self._zombies: dict[int, float] = {}
        self._spare: int | None = None
        self.first: Size | None = None
        self.last: Size | None = None

    # At every moment

    def watch(self) -> None:
        """No two of what there may be one of, at any time, and no zombie that stays."""
        census = self.census()
        for name, pids in census.shared(lambda each: each.name):
            self._journal.wrong(f"two copies of {name} live at once: pids {pids}")
        for port, pids in census.shared(lambda each: each.environment.get("PORT", "")):
            self._journal.wrong(f"PORT {port} belongs to two at once: pids {pids}")
        for number, pids in census.shared(lambda each: each.environment.get("PROCSUP_UNIQUE_INT", "")):
            self._journal.wrong(f"UNIQUE_INT {number} belongs to two at once: pids {pids}")
        now = time.monotonic()
        self._zombies = {pid: self._zombies.get(pid, now) for pid in census.zombies}
        for pid, since in self._zombies.items():
            if now - since > ZOMBIE * self._slack:
                self._journal.wrong(f"a zombie is older than {now - since:.1f} s: pid {pid}")

    def forget_zombies(self) -> None:
        """procsup was suspended: it could not have reaped them."""
        self._zombies.clear()

    # In a calm moment

    def check(self) -> None:
        """Wait until all is as it should be; what is not in time is a violation."""
        until = time.monotonic() + SETTLED_WITHIN * self._slack
        since: dict[str, float] = {}
        while self._supervisor.runs():
            self.watch()
            now = time.monotonic()
            try:
                since = {each: since.get(each, now) for each in (*self._clients.unanswered(), *self._look())}
            except (Unanswered, Refused) as error:
                since = {str(error): now - PERSISTENT * self._slack}
            if not since:
                break
            if now > until:
                for each, first in since.items():
                    if now - first >= PERSISTENT * self._slack:
                        self._journal.wrong(f"{each} (after {SETTLED_WITHIN * self._slack:g} s of calm)")
                break
            time.sleep(0.1)
        self._journal.checks += 1
        self._journal.remark("checked")
        if said := self._supervisor.complaints():
            self._journal.wrong(f"procsup complains on stderr: {said}")
        self._check_answers()
        self._check_memory()

    def begin(self) -> None:
        """From here on memory and descriptors have to stay as they are: procsup has done everything once."""
        self.first = self.last

    def _look(self) -> list[str]:
        before: Rows = {row["name"]: row for row in self._clients.ask("status", usage=False)["instances"]}
        census = self.census()
        descriptors = self._supervisor.descriptors
        after = self._clients.ask("status", usage=False)
        rows: Rows = {row["name"]: row for row in after["instances"]}
        # Some come and go by themselves: these are looked at the next time.
        moved = {name for name in before.keys() | rows.keys() if _moved(before.get(name), rows.get(name))}
        wrong = [
            *self._wrong_formation(after["formation"], rows),
            *self._wrong_processes(rows, census, moved),
            *self._wrong_numbers(rows),
        ]
        running = sum(row["state"] == "running" for row in rows.values())
        size = Size(self._supervisor.memory, descriptors, descriptors - running * _EACH)
        self._spare = size.spare if self._spare is None else self._spare
        if size.spare > self._spare + MORE_DESCRIPTORS + len(moved) * _EACH:
            wrong.append(f"more descriptors than the {self._spare} at first, beside those of instances")
        if not wrong:
            self.last = size if not moved or self.last is None else self.last
            stopped = {name for name, row in rows.items() if row["state"] == "stopped"}
            self._numbers = {name: (row["port"], row["unique_int"]) for name, row in rows.items()}
            self._project.checked(after["formation"], stopped)
        return wrong

    def _wrong_formation(self, formation: dict[str, int], rows: Rows) -> Iterator[str]:
        expected = self._project.formation
        if formation.keys() != expected.keys():
            yield f"the formation has {sorted(formation)}, the Procfile {sorted(expected)}"
        for type_ in formation.keys() & expected.keys():
            if formation[type_] not in {expected[type_], *self._project.maybe.get(type_, ())}:
                yield f"{type_} has a count of {formation[type_]}; {expected[type_]} was asked for last"
        wanted = {f"{type_}.{number}" for type_, amount in formation.items() for number in range(1, amount + 1)}
        if rows.keys() != wanted:
            yield f"status shows not the formation: {sorted(rows.keys() ^ wanted)}"
        for name, row in rows.items():
            if row["state"] not in _AT_REST:
                yield f"{name} is still {row['state']}"
        if up := sorted(name for name in self._project.resting if rows.get(name, {}).get("state") != "stopped"):
            yield f"{up} were stopped, and are not any more"

    def _wrong_processes(self, rows: Rows, census: Census, moved: set[str]) -> Iterator[str]:
        leaders = {each.name: each for each in census.leaders()}
        for name, row in rows.items():
            if row["state"] != "running" or name in moved:
                continue
            leader = leaders.get(name)
            if leader is None or leader.pid != row["pid"]:
                yield f"{name} runs as pid {row['pid']}, says status; found is {leader and leader.pid}"
            else:
                yield from self._wrong_leader(name, row, leader)
        for each in census.members:
            if each.name in moved:
                continue
            if rows.get(each.name, {}).get("state") != "running":
                yield f"pid {each.pid} of {each.name or '?'} lives, which does not run"
            elif each.name in leaders and each.started < leaders[each.name].started:
                yield f"pid {each.pid} of {each.name} is left from an earlier copy"

    def _wrong_leader(self, name: str, row: dict[str, Any], leader: Process) -> Iterator[str]:
        given = leader.environment
        if (given.get("PORT"), given.get("PROCSUP_UNIQUE_INT")) != (str(row["port"]), str(row["unique_int"])):
            yield f"{name} has PORT and UNIQUE_INT unlike its status"
        if given.get("SOAK_GENERATION") != str(self._project.generation):
            yield f"{name} has not got the newest .env"
        type_ = type_of(name)
        if COMMANDS.get(type_) == COMMANDS["plain"]:
            return
        told = self._ear.told.get(leader.pid)
        version = self._project.version.get(type_)
        if told is None or told.name != name:
            yield f"{name} (pid {leader.pid}) runs, and nothing was heard of it"
        elif (told.version, told.unique_int, told.port) != (version, row["unique_int"], row["port"]):
            yield f"{name} says {told}; its version should be {version}, UNIQUE_INT {row['unique_int']}"
        elif type_ == "web" and _answer_at(row["port"]) != name:
            yield f"{name} does not answer at its port {row['port']}"

    def _wrong_numbers(self, rows: Rows) -> Iterator[str]:
        for what in ("port", "unique_int"):
            taken = [row[what] for row in rows.values()]
            if len(taken) != len(set(taken)):
                yield f"two instances have the same {what}"
        for name, numbers in self._numbers.items():
            row = rows.get(name)
            if row is not None and number_of(name) <= self._project.lowest.get(type_of(name), 0):
                now = (row["port"], row["unique_int"])
                if now != numbers:
                    yield f"{name} was not scaled away, and its port and unique_int changed from {numbers} to {now}"

    def _check_answers(self) -> None:
        for answers, bound, when in (
            (self._clients.answers, ANSWERED_WITHIN, ""),
            (self._clients.narrow_answers, ANSWERED_NARROW, ", while descriptors were out"),
        ):
            if slow := [each for each in answers if each.own > bound * self._slack]:
                took, own = max(slow)
                waits = f"{own:.2f} s of them without the waits for a processor"
                self._journal.wrong(f"an answer took {took:.2f} s, {waits}{when}")

    def _check_memory(self) -> None:
        if self.first is not None and self.last is not None and self.last.memory > self.first.memory + MORE_MEMORY:
            first, last = mebibytes(self.first.memory), mebibytes(self.last.memory)
            self._journal.wrong(f"procsup's memory has grown from {first} to {last}")


def _moved(before: dict[str, Any] | None, after: dict[str, Any] | None) -> bool:
    if before is None or after is None:
        return True
    return any(before[what] != after[what] for what in ("state", "pid"))


def _answer_at(port: int) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            return connection.recv(100).decode()
    except OSError as error:
        return f"{error}"
