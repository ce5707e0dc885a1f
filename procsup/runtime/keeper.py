"""Keeps the scaled formation on disk without making the loop wait for the disk."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping

from procsup.runtime.formation_store import save
from procsup.runtime.threads import in_thread

_RETRY = 2.0  # seconds; somebody makes room on a disk at a human pace


class FormationKeeper:
    """Writes one formation at a time, the newest; one that the disk does not take is tried again until it does.

    `tell` gets a sentence when that begins, and when it is over.
    """

    def __init__(self, folder: str, formation: Mapping[str, int], tell: Callable[[str], None]) -> None:
        self.folder = folder
        self.formation = formation
        self._tell = tell
        self._newest: Mapping[str, int] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self.trouble: str | None = None

    def go_on_failing(self, trouble: str) -> None:
        """Another could not write it down, and has told so."""
        self.trouble = trouble
        self.keep(self.formation)

    def keep(self, formation: Mapping[str, int]) -> None:
        self.formation = self._newest = formation
        self._cancel_retry()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    @property
    def writing(self) -> bool:
        return self._writing is not None and not self._writing.done()

    async def kept(self) -> None:
        """Wait until all that was given to `keep` is on disk, or is known not to get there for now."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def close(self) -> None:
        """What is not on disk is tried once more."""
        await self.kept()
        if self.trouble is not None:
            self.keep(self.formation)
            await self.kept()
        self._cancel_retry()

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    async def _save(self, formation: Mapping[str, int]) -> None:
        try:
            await in_thread(save, self.folder, formation)
        except (OSError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno != errno.EMFILE:
                raise
            # No thread may be started. Or a child is just being started, and its limit of open files is ours; here not.
            save(self.folder, formation)

    async def _write(self) -> None:
        while self._newest is not None:
            formation, self._newest = self._newest, None
            before = self.trouble
            try:
                await self._save(formation)
            except Exception as error:  # whatever it is, the processes run on
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                self.trouble = f"the formation is not kept: {reason}; it holds until the supervisor ends"
                if self.trouble != before:
                    self._tell(f"warning: {self.trouble}")
            else:
                self.trouble = None
                if before is not None:
                    self._tell("the formation is kept again")
        if self.trouble is not None:
            self._retry = asyncio.get_running_loop().call_later(_RETRY, self.keep, self.formation)
