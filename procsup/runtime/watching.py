"""Restarts the instances of types with `watch` when a file that they are made of has changed.

watchfiles (the extra `watch`) looks at the files, in a thread of its own; it is imported only where somebody wants it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, suppress

from procsup.config.globs import files_in, folders_of, ignored, matches
from procsup.config.project import Project
from procsup.core.events import RestartRequested
from procsup.core.model import RequestRefused, Wish
from procsup.runtime.daemon import Daemon
from procsup.runtime.options import NO_WATCHFILES

# So often the thread looks whether something has changed, or it should end; and changes without such a pause between
# them, as those of a `git checkout`, are one, unless they go on for long. In milliseconds.
PAUSE = 100
LONGEST = 2000
_LAST_MOMENT = 1.0  # seconds

_Globs = Mapping[str, tuple[str, ...]]


class Watching:
    """Follows the project as a reload changes it, until the supervisor shuts down. `besides` is never looked at."""

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
        wanted: _Globs = {
            each.name: own.watch for each in project.types if (own := project.settings.of(each.name)).watch
        }
        root = os.path.realpath(project.root)
        while wanted and not stop.is_set():
            folders = folders_of(root, (glob for own in wanted.values() for glob in own))
            async with aclosing(_changes(folders, stop)) as batches:
                async for changed in batches:
                    await self._restart(wanted, self._relative(root, changed))
                    if folders_of(root, (glob for own in wanted.values() for glob in own)) != folders:
                        break  # one of them is gone, or there at last

    def _relative(self, root: str, paths: Iterable[str]) -> list[str]:
        besides = os.path.realpath(self._besides) + "/" if self._besides else None
        chosen = (path for path in paths if besides is None or not path.startswith(besides))
        return sorted(path for each in chosen if not ignored(path := os.path.relpath(each, root)))

    async def _restart(self, wanted: _Globs, paths: list[str]) -> None:
        changed = {name: found for name, own in wanted.items() if (found := [p for p in paths if matches(p, own)])}
        # What a person has stopped stays so; what ended, or waits for its next try, is what a change is made for.
        instances = [
            each.name
            for each in self._daemon.supervisor.instances()
            if each.name.type in changed and each.wish is Wish.UP
        ]
        if not instances:
            return
        types = list(dict.fromkeys(each.type for each in instances))
        files = sorted({path for name in types for path in changed[name]})
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        self._daemon.console.notice(f"{files[0]}{more} changed; restarting {', '.join(types)}")
        with suppress(RequestRefused):  # scaled away, or all is being stopped: a moment ago it was not
            await self._daemon.ask(RestartRequested(tuple(map(str, instances))))


async def _changes(folders: tuple[str, ...], stop: asyncio.Event) -> AsyncGenerator[set[str], None]:
    """The files that came, went or changed, a batch at a time, until `stop`."""
    from watchfiles import Change, awatch

    changes = awatch(
        *folders,
        watch_filter=None,
        debounce=LONGEST,
        step=PAUSE,
        stop_event=stop,
        rust_timeout=0,  # none: our loop is not woken up for nothing
        ignore_permission_denied=True,
    )
    async with aclosing(changes):
        async for batch in changes:
            came_and_went = {path for change, path in batch if change is Change.added and not os.path.lexists(path)}
            paths: set[str] = set()
            for change, path in batch:
                if not os.path.isdir(path):
                    paths.add(path)
                elif change is Change.added:  # what is in it may have been written before anybody looked at it
                    paths.update(files_in(path))
            if paths - came_and_went:
                yield paths - came_and_went
