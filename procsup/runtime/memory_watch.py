"""Where the kernel does not hold instances to their memory: looks now and then, and restarts who has too much.

One at a time, in its graceful way, and the next only when that one is back. It runs only while a type has such a limit.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from procsup.config.limits import in_words
from procsup.core.events import RestartRequested
from procsup.core.model import Instance, InstanceName, RequestRefused, Running, Warming, Wish
from procsup.runtime.census import instance_cookie
from procsup.runtime.daemon import Daemon
from procsup.runtime.threads import in_thread
from procsup.runtime.weight import weigh

INTERVAL = 5.0  # seconds between looks; and so long a new copy is left alone


class MemoryWatch:
    """`cookie` is that of the run."""

    def __init__(self, daemon: Daemon, cookie: str, interval: float = INTERVAL) -> None:
        self._daemon = daemon
        self._confinement = daemon.confinement
        self._cookie = partial(instance_cookie, cookie)
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

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
            await asyncio.sleep(self._interval)
            over = await self._look()
            while over is not None and await self._replace(*over):
                over = await self._look()

    async def _look(self) -> tuple[InstanceName, int] | None:
        """The one that is furthest over its limit. None also while others are being replaced: then not now."""
        supervisor, limits, now = self._daemon.supervisor, self._confinement.watched, self._daemon.now()
        leaders = {
            each.state.pid: each.name
            for each in supervisor.instances()
            if each.name.type in limits
            and isinstance(each.state, (Running, Warming))
            and _wanted(each)
            and now - each.state.since >= self._interval
        }
        if not leaders or supervisor.rolling or supervisor.shutting_down:
            return None
        over: dict[InstanceName, int] = {}
        # No descriptor or thread is free for it just now; or what weighs them was removed under us.
        with suppress(OSError, RuntimeError, ImportError):
            over = await in_thread(weigh, leaders, limits, self._cookie)
        # It may have gone meanwhile, or somebody has asked for the same.
        there = {
            name
            for pid, name in leaders.items()
            if (one := supervisor.instance(name)) and one.pid == pid and _wanted(one)
        }
        chosen = [name for name in over if name in there]
        if not chosen or supervisor.rolling:
            return None
        name = max(chosen, key=lambda each: over[each] / limits[each.type])
        return name, over[name]

    async def _replace(self, name: InstanceName, weight: int) -> bool:
        limits = self._confinement.watched
        if name.type not in limits:
            return False  # by a reload, just now
        reason = f"{in_words(weight)}, the limit is {in_words(limits[name.type])}"
        self._daemon.console.notice(f"{name} has {reason}; restarting it")
        self._confinement.reasons[name] = reason
        try:
            await self._daemon.ask(RestartRequested((str(name),), rolling=True))
            self._confinement.restarts[name] += 1
            await self._daemon.until(lambda: not self._daemon.supervisor.rolling)
        except RequestRefused:
            return False
        finally:
            self._confinement.reasons.pop(name, None)
        return True


def _wanted(instance: Instance) -> bool:
    """Whether the copy that runs is the one that there should be."""
    state = instance.state
    return isinstance(state, (Running, Warming)) and state.edition == instance.edition and instance.wish is Wish.UP
