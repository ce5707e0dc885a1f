"""Finds out which copies have become ready, and which no longer answer; the core decides what comes of it.

Who says it himself (a line of his output, sd_notify) is only listened to. Who does not is looked at, more seldom the
longer it takes. Where nothing is to be checked, nothing runs.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING

from procsup.config.settings import LIVE_INTERVAL, Settings
from procsup.core.actions import EndedUnasked, Notice, Ready, Started, StopDone
from procsup.core.events import BecameReady, Event, StoppedAnswering
from procsup.core.model import Instance, InstanceName, Running, Starting, Warming
from procsup.core.supervisor import Supervisor
from procsup.output.source import Source
from procsup.runtime.notify_socket import NotifySockets
from procsup.runtime.trees.census import instance_cookie

if TYPE_CHECKING:
    from procsup.config.settings import Check
    from procsup.runtime.probes import Prober

# Seconds between two looks at one that is not ready yet: a fiftieth of the time that it has taken so far.
SHORTEST, SHARE, LONGEST = 0.02, 0.02, 1.0
PATIENCE = 5.0  # seconds for an answer
MISSES = 3  # answers in a row that have to be missing
_LONGEST_LINE = 64 * 1024
_LONGEST_STATUS = 200
COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")  # with which programs paint their lines, for terminals


class Readiness:
    """`settings` are those of the project as it is now; `cookie` and `notify` those of this run. A tap of the pump."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        supervisor: Supervisor,
        settings: Callable[[], Settings],
        post: Callable[[Event], None],
        cookie: str,
        notify: NotifySockets,
    ) -> None:
        self._loop = loop
        self._supervisor = supervisor
        self._settings = settings
        self._post = post
        self._cookie = cookie
        self._notify = notify
        self._prober: Prober | None = None
        self._tasks: dict[InstanceName, tuple[int, asyncio.Task[None]]] = {}
        self._missing: dict[str, str] = {}  # by instance: what its last look found missing
        self._says: dict[str, str] = {}  # by instance: its STATUS=
        self._patterns: dict[str, re.Pattern[bytes]] = {}  # by type
        self._lines: dict[Source, bytes] = {}  # beginnings of lines
        self.adapt()

    def adapt(self) -> None:
        """The settings may be others."""
        settings = self._settings()
        checks = {name: own.ready for name, own in settings.types.items()}
        checks |= {name: settings.of(name).ready for name in self._supervisor.formation}
        self._patterns = {
            name: re.compile(each.what.encode())
            for name, each in checks.items()
            if each is not None and each.kind == "log"
        }
        for instance in self._supervisor.instances():
            self._look_after(instance)

    def note(self, notice: Notice) -> None:
        if isinstance(notice, (Started, Ready)):
            name = str(notice.name)
            instance = self._supervisor.instance(notice.name)
            # What the copy before lacked is the best that is known of this one, until that is looked at.
            if instance is None or not isinstance(instance.state, Warming):
                self._missing.pop(name, None)
            if isinstance(notice, Started):
                self._says.pop(name, None)
                self._notify.listen(notice.name, self._loop, self._heard)
            if instance is not None:
                self._look_after(instance)
        elif isinstance(notice, (EndedUnasked, StopDone)):
            self._notify.close(notice.name)

    def missing(self, name: InstanceName) -> str | None:
        """What keeps it from being ready, or has kept its last copy from it."""
        return self._missing.get(str(name))

    def says(self, name: InstanceName) -> str | None:
        return self._says.get(str(name))

    def close(self) -> None:
        for _, task in self._tasks.values():
            task.cancel()

    def go_on(self) -> None:
        """Those that are ready may speak, too, and have not been listened to here so far."""
        self._notify.listen_to_all(self._loop, self._heard)

    # Who says it himself

    def take(self, source: Source, chunk: bytes) -> None:
        """What an instance has written."""
        pattern = self._patterns.get(source.type)
        if pattern is None:
            return
        instance = self._named(source.name)
        if instance is None or not isinstance(instance.state, (Starting, Warming)):
            self._lines.pop(source, None)
            return
        *lines, rest = (self._lines.pop(source, b"") + chunk).split(b"\n")
        if any(pattern.search(COLOURS.sub(b"", line.removesuffix(b"\r"))) for line in lines):
            self._post(BecameReady(instance.name, source.pid))
        elif rest:
            self._lines[source] = rest[-_LONGEST_LINE:]

    def _heard(self, name: InstanceName, said: Mapping[str, str]) -> None:
        instance = self._supervisor.instance(name)
        if instance is None or instance.pid is None:
            return
        if said.get("STATUS"):
            self._says[str(name)] = said["STATUS"][:_LONGEST_STATUS]
        check = self._settings().of(name.type).ready
        if said.get("READY") == "1" and check is not None and check.kind == "notify":
            self._post(BecameReady(name, instance.pid))

    def _named(self, name: str) -> Instance | None:
        type_, _, number = name.rpartition(".")
        return self._supervisor.instance(InstanceName(type_, int(number))) if number.isdigit() else None

    # Who is looked at

    def _look_after(self, instance: Instance) -> None:
        own, state = self._settings().of(instance.name.type), instance.state
        if isinstance(state, Warming) and own.ready is not None:
            if own.ready.kind in ("port", "http"):
                self._begin(instance, state.pid, self._until_ready(instance, state.pid, own.ready))
            elif own.ready.kind == "notify":
                self._missing[str(instance.name)] = "it has not sent READY=1"
            else:
                self._missing[str(instance.name)] = f"no line of its output matches {own.ready.what}"
        elif isinstance(state, Running) and own.live is not None:
            self._begin(instance, state.pid, self._while_it_answers(instance, state))

    def _begin(self, instance: Instance, pid: int, work: Coroutine[None, None, None]) -> None:
        now_at = self._tasks.get(instance.name)
        if now_at is not None and now_at[0] == pid and not now_at[1].done():
            work.close()
            return
        if now_at is not None:
            now_at[1].cancel()
        task = self._loop.create_task(work)
        self._tasks[instance.name] = pid, task
        task.add_done_callback(
            lambda done: self._tasks.get(instance.name) == (pid, done) and self._tasks.pop(instance.name)
        )

    async def _until_ready(self, instance: Instance, pid: int, check: Check) -> None:
        begun, name = self._loop.time(), str(instance.name)
        while isinstance(instance.state, Warming) and instance.state.pid == pid:
            missing = await self._probe(check, instance, pid)
            if missing is None:
                self._post(BecameReady(instance.name, pid))
                return
            self._missing[name] = missing
            await asyncio.sleep(min(LONGEST, max(SHORTEST, SHARE * (self._loop.time() - begun))))

    async def _while_it_answers(self, instance: Instance, state: Running) -> None:
        """Misses count from its first answer on: who is still getting up is not at fault."""
        answered, misses = state.ready is not None, 0
        while isinstance(instance.state, Running) and instance.state.pid == state.pid:
            own = self._settings().of(instance.name.type)
            if own.live is None:
                return
            missing = await self._probe(own.live, instance, state.pid)
            answered, misses = answered or missing is None, 0 if missing is None else misses + answered
            if misses == MISSES and missing is not None:
                self._missing[str(instance.name)] = missing
                self._post(StoppedAnswering(instance.name, state.pid))
                return
            await asyncio.sleep(LIVE_INTERVAL if own.live_interval is None else own.live_interval)

    async def _probe(self, check: Check, instance: Instance, pid: int) -> str | None:
        if self._prober is None:
            from procsup.runtime.probes import Prober  # not where nothing is looked at

            self._prober = Prober(self._loop)
        if check.kind == "port":
            return await self._prober.port(instance.port, pid, instance_cookie(self._cookie, instance.name))
        return await self._prober.http(instance.port, check.what, PATIENCE)
