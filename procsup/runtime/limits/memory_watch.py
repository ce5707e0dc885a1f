"""Where the kernel does not hold instances to their memory: looks now and then, and tells the core who has too much.

What comes of it is the core's to say: the restart of a failure, with its pauses, or a rolling one. One at a time, the
furthest over its limit first, and the next only when that one is back. It runs only while a type has such a limit.
"""

from __future__ import annotations

import asyncio
from functools import partial

from procsup.config.sizes import in_words
from procsup.core.events import Outgrew
from procsup.core.model import BackingOff, Instance, InstanceName, Running, Warming, Wish
from procsup.core.rolling import PROVEN_AFTER
from procsup.runtime.daemon import Daemon
from procsup.runtime.threads import in_thread
from procsup.runtime.trees.census import instance_cookie
from procsup.runtime.trees.weight import weigh

INTERVAL = 5.0  # seconds between looks
# Seconds for a new copy to settle in. With the interval less than the core's STABLE_AFTER: who begins with too much is
# seen before it counts as one that was good for a time.
LEFT_ALONE = 4.0
AFTER_A_HALT = 60.0  # seconds in which an instance goes on that could not be replaced


class MemoryWatch:
    """`cookie` is that of the run."""

    def __init__(self, daemon: Daemon, cookie: str) -> None:
        self._daemon = daemon
        self._confinement = daemon.confinement
        self._cookie = partial(instance_cookie, cookie)
        self._task: asyncio.Task[None] | None = None
        self._over: dict[int, float] = {}  # by pid: since when it has been over its limit
        self._in_turn: InstanceName | None = None  # whose rolling restart is under way, or was at the last look
        self._not_before: dict[str, float] = {}  # by type: when there may be another
        self._ended: dict[str, InstanceName] = {}  # by type: the last whose end was our idea

    def adapt(self) -> None:
        """Begin, or leave off, as the limits are now."""
        if not self._confinement.watched:
            self._cancel()
        elif self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        task = self._task
        self._cancel()
        if task is not None:
            await asyncio.wait([task])

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            # Somebody waits for another to be back.
            await asyncio.sleep(PROVEN_AFTER if self._over else INTERVAL)
            await self._look()

    async def _look(self) -> None:
        supervisor, limits, now = self._daemon.supervisor, self._confinement.watched, self._daemon.now()
        if not supervisor.rolling:
            self._confinement.reasons.clear()  # who was to be replaced is, or never will be
            self._conclude(now)
        leaders = {
            each.state.pid: each.name
            for each in supervisor.instances()
            if each.name.type in limits
            and isinstance(each.state, (Running, Warming))
            and _wanted(each)
            and now - each.state.since >= LEFT_ALONE
        }
        over: dict[InstanceName, int] = {}
        if leaders and not supervisor.shutting_down:
            try:
                over = await in_thread(weigh, leaders, limits, self._cookie)
            except Exception:
                return  # no descriptor or thread is free for it, or its files are gone: all of it may pass
        # It may have gone meanwhile, or somebody has asked for another copy; and a reload may have changed its limit.
        limits = self._confinement.watched
        there = {
            name: pid
            for pid, name in leaders.items()
            if name in over
            and name.type in limits
            and now >= self._not_before.get(name.type, 0.0)
            and (one := supervisor.instance(name))
            and one.pid == pid
            and _wanted(one)
        }
        self._over = {pid: self._over.get(pid, now) for pid in there.values()}
        free = [name for name in there if self._is_turn_of(name.type)]
        if free and not supervisor.rolling:
            name = max(free, key=lambda each: over[each] / limits[each.type])
            await self._tell(name, there[name], f"{in_words(over[name])}, the limit is {in_words(limits[name.type])}")

    async def _tell(self, name: InstanceName, pid: int, reason: str) -> None:
        self._ended[name.type] = name
        await self._daemon.ask(Outgrew(name, pid, self._over.pop(pid), reason))
        if self._daemon.supervisor.rolling:
            self._daemon.console.notice(f"{name} has {reason}; restarting it")
            self._confinement.reasons[name] = reason
            self._confinement.restarts[name] += 1
            self._in_turn = name

    def _conclude(self, now: float) -> None:
        name, self._in_turn = self._in_turn, None
        if name is not None and self._daemon.supervisor.halted is not None:
            self._confinement.restarts[name] -= 1
            self._not_before[name.type] = now + AFTER_A_HALT

    def _is_turn_of(self, type_: str) -> bool:
        """Nobody is away for it, but for those of other types that wait for their next try."""
        return all(self._is_back(name, other != type_) for other, name in self._ended.items())

    def _is_back(self, name: InstanceName, or_waits: bool) -> bool:
        """Or nothing but a person brings it back."""
        one = self._daemon.supervisor.instance(name)
        if one is None:
            return True
        if isinstance(one.state, BackingOff):
            return or_waits
        if isinstance(one.state, Running) and self._daemon.now() - one.state.since < PROVEN_AFTER:
            return False
        return self._daemon.supervisor.settled(one)


def _wanted(instance: Instance) -> bool:
    """Whether the copy that runs is the one that there should be."""
    state = instance.state
    return isinstance(state, (Running, Warming)) and state.edition == instance.edition and instance.wish is Wish.UP
