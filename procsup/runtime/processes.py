"""The real processes behind the instances: starts them, signals them, and reports what becomes of them as facts."""

from __future__ import annotations

import os
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from procsup.core.events import Fact, LeaderExited, Spawned, SpawnFailed, TreeVanished
from procsup.core.model import Exit, InstanceName
from procsup.runtime.child import Child, Spawner
from procsup.runtime.exits import choose_watch
from procsup.runtime.launch import failure
from procsup.runtime.tree import Remains, group_exists


class Pipes(Protocol):
    """Where a child's output goes (`output.pump.Pump`)."""

    def attach(self, name: str, type: str, stream: str, pid: int, fd: int) -> None: ...  # noqa: A002
    def drain(self, name: str) -> None: ...


class Processes:
    """`portable` avoids pidfds and posix_spawn, as on systems that have none; the tests run both ways."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        spawner: Spawner,
        pipes: Pipes,
        report: Callable[[Fact], None],
        *,
        portable: bool = False,
    ) -> None:
        self._loop = loop
        self._pipes = pipes
        self._report = report
        self._portable = portable
        self._spawner = spawner
        self._watch = choose_watch(loop, self._ended, portable)
        self._leaders: dict[InstanceName, int] = {}
        self._names: dict[int, InstanceName] = {}
        self._remains: dict[InstanceName, Remains] = {}

    def start(self, launches: Sequence[tuple[InstanceName, Callable[[Spawner], Child]]]) -> None:
        """All of them first, and only then what it takes to look after them: the children run meanwhile."""
        started: list[tuple[InstanceName, Child | Exit]] = []
        for name, launch in launches:
            try:
                started.append((name, launch(self._spawner)))
            except OSError as error:
                started.append((name, failure(error)))
        self.adopt(started)

    def adopt(self, started: Sequence[tuple[InstanceName, Child | Exit]]) -> None:
        """Look after children just started, and report on each."""
        for name, child in started:
            self._report(SpawnFailed(name, child) if isinstance(child, Exit) else self._look_after(name, child))

    def _look_after(self, name: InstanceName, child: Child) -> Fact:
        try:
            self._watch.watch(child.pid, child.pidfd)
        except OSError as error:
            # No descriptor left for it (clients may hold the reserve). What cannot be watched must not run.
            os.killpg(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            os.close(child.stdout)
            os.close(child.stderr)
            return SpawnFailed(name, failure(error))
        self._leaders[name] = child.pid
        self._names[child.pid] = name
        for stream, descriptor in (("stdout", child.stdout), ("stderr", child.stderr)):
            self._pipes.attach(str(name), name.type, stream, child.pid, descriptor)
        return Spawned(name, child.pid)

    def signal(self, name: InstanceName, number: int) -> None:
        """To the group; then SIGCONT, for a process that is stopped would not hear it."""
        self._send(name, number)
        if number != signal.SIGKILL:
            self._send(name, signal.SIGCONT)

    def kill(self, name: InstanceName) -> None:
        self._send(name, signal.SIGKILL)

    def kill_all(self) -> None:
        """The last resort of a supervisor that is about to end in error."""
        for name in (*self._leaders, *self._remains):
            self.kill(name)

    def close(self) -> None:
        self._watch.close()
        for remains in self._remains.values():
            remains.close()
        self._spawner.close()

    def _send(self, name: InstanceName, number: int) -> None:
        remains = self._remains.get(name)
        if remains is not None:
            remains.send(number)
        elif name in self._leaders:
            # Not reaped yet, so its pid is still its own, and names its group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._leaders[name], number)

    def _ended(self, pid: int, exit_: Exit) -> None:
        name = self._names.pop(pid)
        del self._leaders[name]
        self._pipes.drain(str(name))
        remaining = group_exists(pid)
        if remaining:
            self._remains[name] = Remains(self._loop, pid, lambda: self._vanished(name), self._portable)
        self._report(LeaderExited(name, exit_, remaining))

    def _vanished(self, name: InstanceName) -> None:
        self._remains.pop(name).close()
        self._report(TreeVanished(name))
