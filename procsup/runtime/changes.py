"""Looks at the files that globs mean, and restarts the instances of those types whose files have changed.

watchfiles (the extra `watch`) looks at them, in a thread of its own; it is imported only where somebody wants it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, suppress

from procsup.config.globs import files_in, folders_of, ignored, matches
from procsup.core.events import RestartRequested
from procsup.core.model import RequestRefused, Wish
from procsup.runtime.daemon import Daemon

# So often the thread looks whether something has changed, or it should end; and changes without such a pause between
# them, as those of a `git checkout`, are one, unless they go on for long. In milliseconds.
PAUSE = 100
LONGEST = 2000


class Changes:
    """`wanted` are the globs of each type, from the root. `besides` is a folder that is never looked at."""

    def __init__(self, daemon: Daemon, root: str, wanted: Mapping[str, tuple[str, ...]], besides: str | None) -> None:
        self._daemon = daemon
        self._root = os.path.realpath(root)
        self._wanted = wanted
        self._besides = os.path.realpath(besides) + "/" if besides else None

    async def follow(self, stop: asyncio.Event) -> None:
        """Until `stop`; at once, where nothing is wanted. Raises what watchfiles makes of its own troubles."""
        while self._wanted and not stop.is_set():
            folders = self._folders()
            async with aclosing(_changes(folders, stop)) as batches:
                async for changed in batches:
                    await self._restart(self._relative(changed))
                    if self._folders() != folders:
                        break  # one of them is gone, or there at last

    def _folders(self) -> tuple[str, ...]:
        return folders_of(self._root, (glob for own in self._wanted.values() for glob in own))

    def _relative(self, paths: Iterable[str]) -> list[str]:
        chosen = (path for path in paths if self._besides is None or not path.startswith(self._besides))
        return sorted(path for each in chosen if not ignored(path := os.path.relpath(each, self._root)))

    async def _restart(self, paths: list[str]) -> None:
        changed = {
            name: found for name, own in self._wanted.items() if (found := [p for p in paths if matches(p, own)])
        }
        # What a person has stopped stays so; what ended, or waits for its next try, is what a change is made for.
        instances = [
            each.name
            for each in self._daemon.supervisor.instances()
            if changed.get(each.name.type) and each.wish is Wish.UP
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
