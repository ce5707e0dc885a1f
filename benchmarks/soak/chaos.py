"""What is done to procsup and its processes, each thing at random moments, by a generator whose seed is told."""

from __future__ import annotations

import heapq
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from benchmarks.soak.census import Process
from benchmarks.soak.clients import Clients, Refused, Unanswered
from benchmarks.soak.ear import Ear
from benchmarks.soak.invariants import Invariants
from benchmarks.soak.journal import Journal
from benchmarks.soak.project import BROKEN, Project, type_of
from benchmarks.soak.supervisor import Supervisor

_PAUSE = 0.12  # mean, between two things
_WATCH = 0.4  # seconds
_ROOM = (0, 12)  # descriptors left in a narrow phase
_BAD_FILE = 2


class Chaos:
    def __init__(
        self, chance: random.Random, project: Project, supervisor: Supervisor, clients: Clients, ear: Ear,
        journal: Journal, invariants: Invariants,
    ) -> None:  # fmt: skip
        self._chance = chance
        self._project = project
        self._supervisor = supervisor
        self._clients = clients
        self._ear = ear
        self._journal = journal
        self._invariants = invariants
        self._census = invariants.census
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._things: dict[Callable[[], None], float] = {
            self._kill_leader: 8,
            self._kill_other: 2,
            self._suspend: 3,
            self._scale: 7,
            self._scale_to_and_fro: 1,
            self._restart: 4,
            self._restart_rolling: 0.7,
            self._restart_all: 0.25,
            self._stop: 2,
            self._start: 2,
            self._reload: 1,
            self._reload_broken: 0.7,
            self._kill_client: 1.2,
            self._hang_client: 1.5,
            self._burst: 3,
            self._stop_reading: 0.6,
            self._narrow: 0.6,
            self._freeze: 0.5,
            self._look: 6,
            self._upgrade: 0.3,  # in between it runs for long enough to grow
        }

    def disturb(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        watch_at = 0.0
        while (now := time.monotonic()) < until and self._supervisor.runs():
            while self._later and self._later[0][0] <= now:
                heapq.heappop(self._later)[2]()
            if now > watch_at:
                self._invariants.watch()
                watch_at = now + _WATCH
            if self._clients.narrow:
                self._supervisor.narrow(_ROOM[1])  # procsup itself sets its limit anew with each child it starts
            [thing] = self._chance.choices(list(self._things), list(self._things.values()))
            try:
                thing()
            except Unanswered as error:
                self._journal.wrong(str(error))
            time.sleep(min(self._chance.expovariate(1 / _PAUSE), 1.0))

    def cease(self) -> None:
        """Everything that was put off is done now: who was suspended goes on, who was deaf listens."""
        for _, _, action in sorted(self._later):
            action()
        self._later.clear()
        self._clients.leave()

    def _in(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), action))

    # Processes

    def _kill_leader(self) -> None:
        if (victim := self._somebody(self._census().leaders())) is not None:
            self._journal.happened("kill -9", f"{victim.name}, pid {victim.pid}")
            _send(victim, signal.SIGKILL)

    def _kill_other(self) -> None:
        """Not a leader: a part of a pipeline, the `sleep` of a loop, what has left the session."""
        census = self._census()
        leaders = {each.pid for each in census.leaders()}
        if (victim := self._somebody([each for each in census.members if each.pid not in leaders])) is not None:
            self._journal.happened("kill -9 of a child's child", f"of {victim.name}, pid {victim.pid}")
            _send(victim, signal.SIGKILL)

    def _suspend(self) -> None:
        if (victim := self._somebody(self._census().leaders())) is not None:
            self._journal.happened("SIGSTOP", f"{victim.name}, pid {victim.pid}")
            _send(victim, signal.SIGSTOP)
            self._in(self._chance.uniform(0.1, 2), lambda: _send(victim, signal.SIGCONT))

    def _burst(self) -> None:
        ready = [each for each in self._census().leaders() if type_of(each.name) == "burst"]
        if (speaker := self._somebody([each for each in ready if each.pid in self._ear.told])) is not None:
            self._journal.happened("burst", speaker.name)
            _send(speaker, signal.SIGUSR1)

    def _somebody(self, processes: list[Process]) -> Process | None:
        # By name: pids differ from run to run, and the choice shall not.
        return self._chance.choice(sorted(processes, key=lambda each: (each.name, each.pid))) if processes else None

    # Commands

    def _scale(self) -> None:
        type_, amount = self._project.another_count()
        self._scale_to(type_, amount, wait=self._chance.random() < 0.2)

    def _scale_to_and_fro(self) -> None:
        type_, amount = self._project.another_count()
        for each in (0, amount, self._project.most(type_), 1, amount):
            self._scale_to(type_, each)

    def _scale_to(self, type_: str, amount: int, *, wait: bool = False) -> None:
        relative = self._chance.random() < 0.3 and not self._project.maybe.get(type_) and not wait
        given = amount - self._project.formation[type_] if relative else amount
        changes = [{"type": type_, "relative": relative, "count": given}]
        self._journal.happened("scale", f"{type_}={given:+}" if relative else f"{type_}={amount}")
        if wait:
            # Its answer comes when all is up, and by then others may have asked for something else.
            self._project.perhaps_scaled(type_, amount)
            self._clients.order("scale", changes=changes, wait=True)
            return
        try:
            self._clients.ask("scale", changes=changes)
        except Refused as refused:
            self._journal.wrong(f"scale {type_}={amount} was refused: {refused}")
        self._project.scaled(type_, amount)

    def _restart(self) -> None:
        if (name := self._instance()) is not None:
            self._order("restart", name)

    def _restart_rolling(self) -> None:
        names = {name for name in (self._instance() for _ in range(3)) if name is not None}
        if names:
            self._order("restart", *sorted(names), rolling=True)

    def _restart_all(self) -> None:
        self._journal.happened("restart of all")
        self._clients.order("restart", names=[])

    def _stop(self) -> None:
        if (name := self._instance()) is not None:
            self._order("stop", name)

    def _start(self) -> None:
        resting = sorted(self._project.resting)
        name = self._chance.choice(resting) if resting else self._instance()
        if name is not None:
            self._order("start", name)

    def _order(self, method: str, *names: str, rolling: bool = False) -> None:
        self._journal.happened("rolling restart" if rolling else method, " ".join(names))
        self._project.touch(*names)
        self._clients.order(method, names=list(names), **({"rolling": True} if rolling else {}))

    def _instance(self) -> str | None:
        known = [f"{type_}.{n}" for type_, amount in self._project.formation.items() for n in range(1, amount + 1)]
        return self._chance.choice(known) if known else None

    def _look(self) -> None:
        self._journal.happened("status")
        self._clients.ask("status", usage=self._chance.random() < 0.5)

    def _upgrade(self) -> None:
        """Whatever is being carried out; if it takes too long it is refused, and that is right."""
        self._journal.happened("upgrade in place")
        self._clients.order("upgrade")

    # Files

    def _reload(self) -> None:
        books = self._project.books()
        what = self._project.edit()
        self._journal.happened("reload", what)
        try:
            self._clients.ask("reload")
        except Refused as refused:
            if not self._clients.narrow:  # a file cannot be read without a descriptor
                self._journal.wrong(f"a reload with {what} was refused: {refused}")
            self._project.put_back(books)

    def _reload_broken(self) -> None:
        text = self._chance.choice(BROKEN)
        self._project.write_procfile(text)
        self._journal.happened("broken reload", repr(text))
        try:
            self._clients.ask("reload")
        except Refused as refused:
            if refused.args[0] != _BAD_FILE and not self._clients.narrow:
                self._journal.wrong(f"a broken Procfile was refused in another way: {refused}")
        else:
            self._journal.wrong(f"a broken Procfile was taken: {text!r}")
        finally:
            self._project.write()

    # Clients, the reader, and the supervisor itself

    def _kill_client(self) -> None:
        type_, amount = self._project.another_count()
        name = self._instance()
        arguments = ["status"]
        dice = self._chance.random()
        if dice < 0.5:
            arguments = ["scale", f"{type_}={amount}", "--wait"]
            self._project.perhaps_scaled(type_, amount)
        elif dice < 0.75 and name is not None:
            arguments = ["restart", name]
            self._project.touch(name)
        self._journal.happened("client killed", " ".join(arguments))
        self._in(self._chance.uniform(0, 0.6), self._clients.start_command(*arguments).kill)

    def _hang_client(self) -> None:
        how = self._chance.choice(["half a message", "nonsense", "deaf"])
        self._journal.happened("hanging client", how)
        self._clients.hang(how)

    def _stop_reading(self) -> None:
        self._journal.happened("reader pauses")
        self._ear.hears.clear()
        self._in(self._chance.uniform(0.3, 1.5), self._ear.hears.set)

    def _narrow(self) -> None:
        self._journal.happened("descriptors run out")
        self._supervisor.narrow(self._chance.randint(*_ROOM))
        self._clients.narrow = True
        self._in(self._chance.uniform(1, 3), self._widen)

    def _widen(self) -> None:
        self._clients.narrow = False
        self._journal.remark("descriptors again")
        self._supervisor.widen()

    def _freeze(self) -> None:
        """Nothing is asked of it meanwhile but what a child does by dying."""
        self._journal.happened("supervisor suspended")
        self._supervisor.freeze()
        try:
            self._kill_leader()
            time.sleep(self._chance.uniform(0.2, 1))
        finally:
            self._supervisor.thaw()
            self._invariants.forget_zombies()


def _send(process: Process, number: int) -> None:
    """Not to whoever has its pid by now."""
    with suppress(ProcessLookupError):
        pidfd = os.pidfd_open(process.pid)
        try:
            if process.still_lives():
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)
