"""Keeps the scaled formation on disk without making the loop wait for the disk."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping

from procsup.runtime.formation_store import save


class FormationKeeper:
    """Writes one formation at a time, the newest; `complain` is told once when the disk does not take it."""

    def __init__(self, folder: str, formation: Mapping[str, int], complain: Callable[[str], None]) -> None:
        self._folder = folder
        self.formation = formation
        self._complain = complain
        self._newest: Mapping[str, int] | None = None
        self._writing: asyncio.Task[None] | None = None
        self.trouble: str | None = None

    def keep(self, formation: Mapping[str, int]) -> None:
        self.formation = self._newest = formation
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def kept(self) -> None:
        """Wait until all that was given to `keep` is on disk, or is known not to get there."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _save(self, formation: Mapping[str, int]) -> None:
        try:
            await asyncio.to_thread(save, self._folder, formation)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            # While a child is being started the children's limit of open files is ours too; here none is.
            save(self._folder, formation)

    async def _write(self) -> None:
        while self._newest is not None:
            formation, self._newest = self._newest, None
            try:
                await self._save(formation)
            except Exception as error:  # whatever it is, the processes run on
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                trouble = f"the formation cannot be kept in {self._folder}: {reason}; it is lost at the next start"
                if trouble != self.trouble:
                    self._complain(trouble)
                self.trouble = trouble
            else:
                self.trouble = None
