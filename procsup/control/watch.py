"""Says when something was taken out of a folder, without ever waking up for nothing.

On Linux the kernel sends a signal (dnotify: F_NOTIFY, the one of its means that Python can reach without ctypes). It
tells no more than "look again", which is all that is wanted here. Where there is none, the looking is done every
few seconds.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Sequence

POLL = 4.0  # seconds; the contract gives five to notice and to mend
# A folder being removed is removed file by file: wait until that is over rather than put a file back in between.
_SETTLE = 0.25
# The signal does not say which folder it is about, and there is one of it for the whole process.
_listening: set[RemovalWatch] = set()


class RemovalWatch:
    """Calls back, soon after, when an entry of one of the folders was removed or renamed."""

    def __init__(self, on_removal: Callable[[], None], *, poll: bool = False) -> None:
        self._on_removal = on_removal
        self._poll = poll
        self._loop = asyncio.get_running_loop()
        self._folders: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def polling(self) -> bool:
        return not self._folders

    def start(self, folders: Sequence[str]) -> None:
        """Watches these instead of any before; what was removed up to now is not told."""
        self._forget_folders()
        if not self._poll and not self._ask_kernel(folders):
            self._forget_folders()
        if self.polling:
            self.look_again(POLL)

    def look_again(self, delay: float) -> None:
        """Calls back once more after so many seconds, for one who could not mend it now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, self._fire)

    def close(self) -> None:
        self._forget_folders()
        if self._timer is not None:
            self._timer.cancel()
        if self in _listening:
            _listening.remove(self)
            if not _listening:
                # Ignored first: a signal that is still on its way would otherwise meet the default, which is to die.
                signal.signal(signal.SIGIO, signal.SIG_IGN)
                self._loop.remove_signal_handler(signal.SIGIO)

    def _ask_kernel(self, folders: Sequence[str]) -> bool:
        if sys.platform != "linux":
            return False
        try:
            if not _listening:
                self._loop.add_signal_handler(signal.SIGIO, _tell_all)
            _listening.add(self)
            for folder in folders:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                self._folders.append(descriptor)
                fcntl.fcntl(descriptor, fcntl.F_NOTIFY, fcntl.DN_DELETE | fcntl.DN_RENAME | fcntl.DN_MULTISHOT)
        except (OSError, RuntimeError, ValueError):  # a kernel or a file system without it; a loop in a thread
            return False
        return True

    def _forget_folders(self) -> None:
        for descriptor in self._folders:
            os.close(descriptor)
        self._folders.clear()

    def signalled(self) -> None:
        if self._timer is None:
            self.look_again(_SETTLE)

    def _fire(self) -> None:
        self._timer = None
        self._on_removal()
        if self.polling and self._timer is None:
            self.look_again(POLL)


def _tell_all() -> None:
    for watch in _listening:
        watch.signalled()
