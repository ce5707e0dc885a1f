"""A random project: what its processes do, how many there are of each, and what has been asked of them since."""

from __future__ import annotations

import random
import shlex
import socket
import sys
from itertools import count
from pathlib import Path

INSTANCES = 60
GRACE = 1  # seconds
BURST = 20_000  # lines
AWAY = "SOAK_AWAY"  # marks what leads a session of its own without being the leader of its instance

_READY = "echo ready $PS {version} <<UNIQUE_INT>> $PORT $$"
_BURST = rf'seq -f "burst $PS $$.$n %.0f" {BURST} && echo burst $PS $$.$n end'
_LISTENING = f"exec {shlex.join([sys.executable, '-I', '-S', str(Path(__file__).with_name('web.py'))])}"
# `nap` is random, and the same for all of a type. All but `plain` say that they are ready, and who they are.
COMMANDS = {
    "web": f"{_LISTENING} {{version}} <<UNIQUE_INT>>",
    "loop": f"{_READY}; while :; do sleep {{nap}}; echo tick; done",
    "quiet": f"{_READY}; exec sleep 100000",
    "plain": "sleep 10000{version}",
    "deaf": f"trap '' TERM; {_READY}; while :; do sleep 1000; done",
    "flaky": f"{_READY}; sleep $(($$ % {{nap}} + 3)).$(($$ % 10)); exit $(($$ % 3))",
    "away": f"{AWAY}=1 setsid sleep 100000 & {_READY}; exec sleep 100000",
    "pipe": f"{_READY}; while :; do echo tick; sleep {{nap}}; done | cat",
    "burst": f"n=0; trap 'n=$((n+1)); {_BURST}' USR1; {_READY}; while :; do sleep 1000 & wait $!; kill $!; done",
}
_MOST = {"web": 6, "burst": 6, "flaky": 8}  # the costly ones, and those that are never at rest
_MOST_OF_OTHERS = 14
BROKEN = ("web\n", "web: sleep 1\nweb: sleep 2\n", "<<<<<<< HEAD\nweb: sleep 1\n", "web.1: sleep 1\n", "")


class Project:
    """`formation` is what was acknowledged last; the other books are opened anew at every check."""

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self.chance = chance
        self.folder = folder
        self.formation = dict.fromkeys(chance.sample(list(COMMANDS), len(COMMANDS)), 1)
        while sum(self.formation.values()) < INSTANCES:
            type_ = chance.choice(list(self.formation))
            self.formation[type_] = min(self.formation[type_] + 1, self.most(type_))
        self.version = dict.fromkeys(self.formation, 1)
        self.generation = 1
        self.maybe: dict[str, set[int]] = {}  # counts asked for by clients that were killed
        self.lowest = dict(self.formation)  # the smallest count asked for: instances up to it keep their numbers
        self.resting: set[str] = set()  # instances that have to be stopped still: nobody has asked for them
        self._naps = {type_: chance.randint(3, 20) for type_ in self.formation}
        self._extras = count(1)
        self.port = _free_ports(chance, len(self.formation) * 100)
        self.write()

    @staticmethod
    def most(type_: str) -> int:
        return _MOST.get(type_, _MOST_OF_OTHERS)

    def write(self) -> None:
        lines = [f"{type_}: {self._command(type_)}\n" for type_ in self.formation]
        self.write_procfile("".join(lines))
        env = self.folder / ".env"
        env.touch(0o600)
        env.write_text(f"SOAK_GENERATION={self.generation}\n")

    def write_procfile(self, text: str) -> None:
        (self.folder / "Procfile").write_text(text)

    def another_count(self) -> tuple[str, int]:
        """A type and a new count for it, such that the sum keeps coming back to what it was."""
        type_ = self.chance.choice(list(self.formation))
        least = -4 if sum(self.formation.values()) > INSTANCES - 4 else -1
        greatest = 4 if sum(self.formation.values()) < INSTANCES + 4 else 1
        change = self.chance.randint(least, greatest) or 1
        return type_, max(0, min(self.most(type_), self.formation[type_] + change))

    def scaled(self, type_: str, amount: int) -> None:
        self.formation[type_] = amount
        self.note_count(type_, amount)

    def perhaps_scaled(self, type_: str, amount: int) -> None:
        """By somebody who did not wait for the answer."""
        self.maybe.setdefault(type_, set()).add(amount)
        self.note_count(type_, amount)

    def note_count(self, type_: str, amount: int) -> None:
        self.lowest[type_] = min(self.lowest.get(type_, amount), amount)
        self.resting = {name for name in self.resting if number_of(name) <= amount or type_of(name) != type_}

    def touch(self, *names: str) -> None:
        """Somebody asks for these instances to run."""
        self.resting.difference_update(names)

    def checked(self, formation: dict[str, int], stopped: set[str]) -> None:
        """This is how it is now; what is asked from here on counts from here."""
        self.formation = {type_: formation[type_] for type_ in self.formation}
        self.lowest = dict(self.formation)
        self.maybe.clear()
        self.resting = stopped

    def edit(self) -> str:
        """Change the files into something else that is right, and say what."""
        dice = self.chance.random()
        extras = [type_ for type_ in self.formation if type_.startswith("extra")]
        if dice < 0.1:
            self.generation += 1
            what = "another .env"
        elif dice < 0.3 and len(extras) < 3:
            type_ = f"extra-{next(self._extras)}"
            self.formation[type_] = self.version[type_] = 1
            what = f"{type_} added"
        elif dice < 0.5 and extras:
            type_ = self.chance.choice(extras)
            del self.formation[type_]
            self.lowest.pop(type_, None)
            self.resting = {name for name in self.resting if type_of(name) != type_}
            what = f"{type_} removed"
        else:
            type_ = self.chance.choice(list(self.formation))
            self.version[type_] += 1
            what = f"another command for {type_}"
        self.write()
        return what

    def books(self) -> tuple[object, ...]:
        """What `edit` may change, to be put back by `put_back` where the change was not taken."""
        return dict(self.formation), dict(self.version), self.generation, dict(self.lowest), set(self.resting)

    def put_back(self, books: tuple[object, ...]) -> None:
        self.formation, self.version, self.generation, self.lowest, self.resting = books  # type: ignore[assignment]
        self.write()

    def _command(self, type_: str) -> str:
        text = COMMANDS.get(type_, COMMANDS["quiet"])
        # Not `format`: braces belong to the shell.
        return text.replace("{version}", str(self.version[type_])).replace("{nap}", str(self._naps.get(type_, 5)))


def type_of(name: str) -> str:
    return name.rpartition(".")[0]


def number_of(name: str) -> int:
    return int(name.rpartition(".")[2])


def _free_ports(chance: random.Random, amount: int) -> int:
    """The first of so many ports that nobody listens on, below those that the kernel gives away."""
    while True:
        first = chance.randrange(10_000, 30_000, 100)
        if all(_free(port) for port in range(first, first + amount)):
            return first


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
