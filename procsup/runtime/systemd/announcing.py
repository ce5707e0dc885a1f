"""Keeps systemd told, while the loop runs: that all are up, how many of each, that we reload or stop, that we live.

Nothing here is remembered from one message to the next that could not be said anew; READY=1 twice does no harm. After
an upgrade it is said once more: a reload may have been under way before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from time import monotonic

from procsup.core.model import BackingOff, Failed, Instance, Wish
from procsup.core.supervisor import Supervisor
from procsup.runtime.daemon import Daemon
from procsup.runtime.options import Policy
from procsup.runtime.rules import patience
from procsup.runtime.systemd.notify import Notifier, moment, more_time
from procsup.runtime.up import until_settled, until_up
from procsup.runtime.wording import ending

# While we start or reload, systemd is asked for so much more time, so often: it gives up only on one that hangs.
MORE_TIME, ASK_EVERY = 30.0, 10.0
# Beyond the longest grace, for who outlives SIGKILL and for what is left of the output.
STOP_SLACK = 15.0
STATUS_PACE = 0.25  # what changes faster is told together
_RETRY, _MOST_TRIES = 0.1, 50  # seconds; systemd itself may be busy, or just starting anew
_CULPRITS = 3
_LONGEST = 500


class Announcer:
    def __init__(self, notifier: Notifier, daemon: Daemon, policy: Policy) -> None:
        self._notifier = notifier
        self._daemon = daemon
        self._policy = policy
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._reloads = 0  # under way
        self._stopping = False
        self._status = ""
        self._unsent: list[tuple[str, ...]] = []
        self._tries = 0

    def begin(self, release: asyncio.Task[None] | None) -> None:
        if self._notifier.watchdog is not None:
            self._prove_alive(self._notifier.watchdog / 2)
        self._ask_for_time()
        for work in (self._come_up(release), self._keep_status(), self._await_stop()):
            self._begin(work)

    def close(self) -> None:
        """All is over."""
        finished = self._daemon.finished
        if not self._daemon.announced and finished.done() and finished.exception() is None and finished.result() == 0:
            self._say("READY=1")  # so soon that nobody has said so yet; to systemd it would look like a failure
        self._say_stopping()
        for task in self._tasks:
            task.cancel()
        for timer in self._timers.values():
            timer.cancel()
        self._notifier.close()

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Around reading the files again; it is over for systemd when what changed has come true."""
        if not self._daemon.announced or self._stopping:
            yield
            return
        self._reloads += 1
        self._say("RELOADING=1", moment(monotonic()), self._new_status())
        self._ask_for_time()
        try:
            yield
        finally:
            self._begin(self._end_reload())

    async def _come_up(self, release: asyncio.Task[None] | None) -> None:
        await until_up(self._daemon, release)
        self._daemon.announced = True
        if not self._reloads:  # else it would be over for systemd before it is
            self._say("READY=1", self._new_status())

    async def _end_reload(self) -> None:
        await until_settled(self._daemon)
        self._reloads -= 1
        if not self._reloads and not self._stopping:
            self._say("READY=1", self._new_status())

    async def _await_stop(self) -> None:
        await self._daemon.until(lambda: self._daemon.supervisor.shutting_down)
        self._say_stopping()

    def _say_stopping(self) -> None:
        if not self._stopping:
            self._stopping = True
            longest = patience(self._daemon.project, self._policy)
            self._say("STOPPING=1", more_time(longest + STOP_SLACK), self._new_status())

    async def _keep_status(self) -> None:
        happened = False

        def something_happens() -> bool:
            nonlocal happened
            before, happened = happened, True
            return before

        while True:
            if self._status != (status := self._new_status()):
                self._say(status)
            happened = False
            await self._daemon.until(something_happens)
            await asyncio.sleep(STATUS_PACE)

    def _new_status(self) -> str:
        supervisor = self._daemon.supervisor
        prefix = "" if self._daemon.announced else "starting: "
        if self._stopping:
            left = sum(each.alive for each in supervisor.instances())
            return f"STATUS=stopping, {left} to go"
        if self._reloads:
            prefix = "reloading: "
        return f"STATUS={prefix}{summary(supervisor)}"

    # Time

    def _prove_alive(self, interval: float) -> None:
        self._say("WATCHDOG=1")
        self._timers["alive"] = self._loop.call_later(interval, self._prove_alive, interval)

    def _ask_for_time(self) -> None:
        if self._stopping or (self._daemon.announced and not self._reloads):
            return
        self._say(more_time(MORE_TIME))
        if (earlier := self._timers.get("time")) is not None:
            earlier.cancel()
        self._timers["time"] = self._loop.call_later(ASK_EVERY, self._ask_for_time)

    # Words

    def _say(self, *words: str) -> None:
        self._status = next((word for word in words if word.startswith("STATUS=")), self._status)
        self._unsent.append(words)
        if len(self._unsent) == 1:
            self._send()

    def _send(self) -> None:
        """What cannot be sent now keeps its place; but nobody waits for ever."""
        while self._unsent:
            try:
                self._notifier.tell(*self._unsent[0])
            except OSError:
                self._tries += 1
                if self._tries < _MOST_TRIES:
                    self._timers["retry"] = self._loop.call_later(_RETRY, self._send)
                    return
                # Given up: from now on each message has one chance, until one gets through.
            else:
                self._tries = 0
            del self._unsent[0]

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def summary(supervisor: Supervisor) -> str:
    """`web 2/2, worker 1/3; worker.2: exit 1, worker.3: killed by SIGKILL`: what is up, of how many that should be."""
    everyone = supervisor.instances()
    up = dict.fromkeys(supervisor.formation, 0)
    for each in everyone:
        if each.name.type in up:
            up[each.name.type] += each.up or each.done
    counts = ", ".join(f"{name} {up[name]}/{count}" for name, count in supervisor.formation.items() if count)
    failed = [each for each in everyone if each.wish is Wish.UP and isinstance(each.state, (BackingOff, Failed))]
    culprits = [_trouble(each) for each in failed[:_CULPRITS]]
    culprits += [f"{len(failed) - _CULPRITS} more"] if len(failed) > _CULPRITS else []
    text = "; ".join(part for part in (counts or "nothing runs", ", ".join(culprits)) if part)
    return " ".join(text.split())[:_LONGEST]


def _trouble(instance: Instance) -> str:
    how = ending(instance.last_exit) if instance.last_exit is not None else "failed"
    return f"{instance.name}: {how}{', given up' if isinstance(instance.state, Failed) else ''}"
