"""Restarts the instances of types with `watch` when a file that they are made of has changed.

Here the project is followed as a reload changes it; what is needed to look at files is loaded where there is a
procsup.toml, for without one nobody can ask for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from procsup.config.project import Project
from procsup.runtime.daemon import Daemon
from procsup.runtime.options import NO_WATCHFILES

_LAST_MOMENT = 1.0  # seconds


class Watching:
    """Until the supervisor shuts down. `besides` is never looked at."""

    def __init__(self, daemon: Daemon, besides: str | None) -> None:
        self._daemon = daemon
        self._besides = besides
        self._closed = False
        self._stop = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """The thread ends within a pause; mostly it has ended while the instances were being stopped."""
        self._closed = True
        self._stop.set()
        await asyncio.wait([self._task], timeout=_LAST_MOMENT)
        self._task.cancel()

    @property
    def _over(self) -> bool:
        return self._closed or self._daemon.supervisor.shutting_down or self._daemon.finished.done()

    async def _watch(self) -> None:
        while not self._over:
            project = self._daemon.project
            self._stop = asyncio.Event()
            bell = asyncio.create_task(self._ring(project, self._stop))
            try:
                await self._follow(project, self._stop)
            except (ImportError, OSError, RuntimeError) as error:  # the last: what watchfiles makes of its own troubles
                reason = NO_WATCHFILES if isinstance(error, ImportError) else str(error)
                self._daemon.console.notice(f"warning: changes of files restart nobody: {reason}")
            await self._stop.wait()
            bell.cancel()

    async def _ring(self, project: Project, stop: asyncio.Event) -> None:
        """When another project is in force, or all is over."""
        await self._daemon.until(lambda: self._over or self._daemon.project is not project)
        stop.set()

    async def _follow(self, project: Project, stop: asyncio.Event) -> None:
        if project.settings.read_from is None:
            return
        from procsup.runtime.changes import Changes

        wanted: Mapping[str, tuple[str, ...]] = {
            each.name: own.watch for each in project.types if (own := project.settings.of(each.name)).watch
        }
        await Changes(self._daemon, project.root, wanted, self._besides).follow(stop)
