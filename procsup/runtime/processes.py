"""The real processes behind the instances: starts them, signals them, and reports what becomes of them as facts."""

from __future__ import annotations

import os
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from procsup.core.events import Fact, LeaderExited, Spawned, SpawnFailed, TreeVanished
from procsup.core.model import Exit, InstanceName
from procsup.core.rules import StopStep
from procsup.runtime.child import Child
from procsup.runtime.exits import choose_watch
from procsup.runtime.launch import failure
from procsup.runtime.limits.cgroups import Cgroups
from procsup.runtime.terminals import Terminals
from procsup.runtime.trees.adoption import Adoption
from procsup.runtime.trees.census import Census, instance_cookie
from procsup.runtime.trees.chase import meet_newcomers
from procsup.runtime.trees.leftovers import end_leftovers
from procsup.runtime.trees.remains import Remains, group_exists, so_that_it_is_heard


class Pipes(Protocol):
    """Where a child's output goes (`output.pump.Pump`)."""

    def attach(
        self,
        name: str,
        type: str,  # noqa: A002
        stream: str,
        pid: int,
        fd: int,
        watch: Callable[[bytes], None] | None = None,
    ) -> None: ...
    def drain(self, name: str) -> None: ...


class Processes:
    """`cookie` is that of this run. `portable` avoids what only some systems have; the tests run both ways.

    `explain` is asked of each leader that has ended, before anything else is done about it.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        pipes: Pipes,
        cookie: str,
        report: Callable[[Fact], None],
        *,
        cgroups: Cgroups | None = None,
        explain: Callable[[InstanceName], str | None] = lambda _: None,
        portable: bool = False,
    ) -> None:
        self._loop = loop
        self._pipes = pipes
        self._report = report
        self._portable = portable
        self._cookie = cookie
        self._cgroups = cgroups or Cgroups()
        self._explain = explain
        self.terminals = Terminals(loop)
        self._watch = choose_watch(loop, self._ended, portable)
        self._leaders: dict[InstanceName, int] = {}
        self._names: dict[int, InstanceName] = {}
        self._remains: dict[InstanceName, Remains] = {}
        self._census: Census | None = None
        self._met: set[str] | None = None
        self._sent: dict[InstanceName, int] = {}  # the last signal of each that is being stopped
        self._just_ended: list[tuple[InstanceName, int, Exit]] = []
        self.others: set[int] = set()  # children that are no instances, and are waited for elsewhere
        self._adoption = None if portable else Adoption(loop, self, cookie)

    def __contains__(self, pid: object) -> bool:
        """Whether somebody waits for the end of this child."""
        return pid in self._names or pid in self.others

    @property
    def busy(self) -> bool:
        """Somebody has ended, and what he left was not looked at yet."""
        return bool(self._just_ended)

    def start(self, launches: Sequence[tuple[InstanceName, Callable[[], Child]]]) -> None:
        """All of them first, and only then what it takes to look after them: the children run meanwhile."""
        started: list[tuple[InstanceName, Child | Exit]] = []
        for name, launch in launches:
            try:
                child = launch()
            except OSError as error:
                started.append((name, failure(error)))
            else:
                self._cgroups.hold(child.pid)
                started.append((name, child))
        self._cgroups.enter([(name, child.pid) for name, child in started if isinstance(child, Child)])
        self.adopt(started)

    def adopt(self, started: Sequence[tuple[InstanceName, Child | Exit]]) -> None:
        """Look after children just started, and report on each."""
        for name, child in started:
            self._report(SpawnFailed(name, child) if isinstance(child, Exit) else self._look_after(name, child))
        if self._adoption is not None:
            self._adoption.begin_to_reap()

    def _look_after(self, name: InstanceName, child: Child) -> Fact:
        try:
            self._watch.watch(child.pid, child.pidfd)
        except OSError as error:
            # No descriptor left for it (clients may hold the reserve). What cannot be watched must not run.
            os.killpg(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            self._cgroups.remove(name)
            for _, descriptor in child.outputs:
                os.close(descriptor)
            return SpawnFailed(name, failure(error))
        self._sent.pop(name, None)
        self._leaders[name] = child.pid
        self._names[child.pid] = name
        for stream, descriptor in child.outputs:
            watch = self.terminals.add(str(name), descriptor).hear if stream == "tty" else None
            self._pipes.attach(str(name), name.type, stream, child.pid, descriptor, watch)
        return Spawned(name, child.pid)

    def go_on_with(self, name: InstanceName, pid: int) -> None:
        """A child of ours that another has started and looked after. It may have ended: that is heard now."""
        self._watch.watch(pid)
        self._leaders[name] = pid
        self._names[pid] = name

    def signal(self, name: InstanceName, number: int) -> None:
        """To the group, in a way that suspended processes hear it, too."""
        self._sent[name] = number
        for each in so_that_it_is_heard(number):
            self._send(name, each)

    def kill(self, name: InstanceName) -> None:
        self._sent[name] = signal.SIGKILL
        self._cgroups.kill(name)
        self._send(name, signal.SIGKILL)

    def kill_all(self) -> None:
        """The last resort of a supervisor that is about to end in error."""
        for name in (*self._leaders, *self._remains):
            self.kill(name)

    def end_the_rest(self) -> int:
        """All instances are down: end whatever of theirs is still found, by cookie or as our child; how many that was.

        Whoever cleared its environment and left every group is found only here. Blocks for a moment.
        """
        if self._adoption is None:
            return 0
        with suppress(OSError):  # no descriptor to look with
            # What outlives SIGKILL has had its time, and was told.
            found, left = end_leftovers(self._cookie, (StopStep(signal.SIGKILL, 0.5),), self._cgroups)
            return len(found) - len(left) + self._adoption.end_strangers()
        return 0

    def close(self) -> None:
        self._watch.close()
        for remains in self._remains.values():
            remains.close()
        if self._adoption is not None:
            self._adoption.close()

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
        if not self._just_ended:
            self._loop.call_soon(self._see_what_they_left)
        self._just_ended.append((name, pid, exit_))

    def _see_what_they_left(self) -> None:
        """One look at our children for all whose leaders have ended by now."""
        ended, self._just_ended = self._just_ended, []
        try:
            got_away = self._adoption.owners() if self._adoption is not None else set()
            unknown = got_away is None  # of somebody that has just ended it cannot be said whose it was
        except OSError:
            got_away, unknown = set(), True  # no descriptor to look with: each has to be looked at by itself
        for name, pid, exit_ in ended:
            cookie = instance_cookie(self._cookie, name)
            because = self._explain(name)
            remaining = unknown or group_exists(pid) or cookie in (got_away or ()) or self._cgroups.populated(name)
            if remaining:
                self.look_after_remains(name, pid, self._sent.get(name))
            else:
                self._cgroups.remove(name)
            self._report(LeaderExited(name, exit_ if because is None else exit_.but(because=because), remaining))

    def look_after_remains(self, name: InstanceName, group: int | None, sent: int | None) -> None:
        self._remains[name] = Remains(
            self._loop,
            group,
            instance_cookie(self._cookie, name),
            self._look,
            partial(self._vanished, name),
            chase=self._chase,
            cgroup=self._cgroups.of(name),
            sent=sent,
            portable=self._portable,
        )

    def _look(self) -> Census:
        """One walk through all processes for everybody who looks in this turn of the loop."""
        if self._census is None:
            self._census = self._take_census()
            self._loop.call_soon(self._forget_census)
        return self._census

    def _take_census(self) -> Census:
        """What ends unseen meanwhile, and is not somebody's child, comes to us."""
        if self._adoption is None:
            return Census()
        self._adoption.strangers()
        before = self._adoption.buried
        census = Census()
        self._adoption.strangers()
        census.complete = self._adoption.buried == before
        return census

    def _forget_census(self) -> None:
        self._census = None

    def _chase(self) -> set[str]:
        """Like the walk: one for everybody that looks in this turn."""
        if self._met is None:
            kill = {
                instance_cookie(self._cookie, name) for name in self._remains if self._sent.get(name) == signal.SIGKILL
            }
            try:
                self._met = meet_newcomers(kill.__contains__)
            except OSError:  # no descriptor to look with
                self._met = set()
            self._loop.call_soon(self._forget_chase)
        return self._met

    def _forget_chase(self) -> None:
        self._met = None

    def _vanished(self, name: InstanceName) -> None:
        self._remains.pop(name).close()
        self._cgroups.remove(name)
        self._report(TreeVanished(name))
