"""What signals to procsup mean; the handlers only put requests into the inbox."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

from procsup.core.events import ShutdownRequested
from procsup.core.model import RequestRefused
from procsup.errors import ProcsupError
from procsup.runtime.daemon import Daemon
from procsup.runtime.inherited import release_signals
from procsup.runtime.upgrade.upgrader import Upgrader


class SignalDesk:
    """SIGTERM and SIGINT stop everything, a second one with SIGKILL; SIGHUP reloads, SIGUSR1 opens logs again, SIGUSR2
    upgrades.

    SIGQUIT (Ctrl-\\) is one more way to lose patience: left at its default it would leave the processes to themselves.
    """

    def __init__(
        self,
        daemon: Daemon,
        reload: Callable[[], Awaitable[object]],
        reopen: Callable[[], None],
        resized: Callable[[], None],
        upgrader: Upgrader,
    ) -> None:
        self._daemon = daemon
        self._reload = reload
        self._reopen = reopen
        self._loop = asyncio.get_running_loop()
        self._upgrader = upgrader
        self._terminal = upgrader.terminal
        self._upgrading: asyncio.Task[None] | None = None
        upgrader.wait_while(lambda: self._reloading is not None and not self._reloading.done(), "a reload is under way")
        self._reloading: asyncio.Task[None] | None = None
        self._once_more = False
        self._asked = False
        self._handled: list[signal.Signals] = []
        self._handle(signal.SIGTERM, lambda: self._stop(0))
        self._handle(signal.SIGINT, lambda: self._stop(128 + signal.SIGINT))
        self._handle(signal.SIGQUIT, lambda: self._stop(128 + signal.SIGQUIT))
        self._handle(signal.SIGUSR1, self._reopen)
        if daemon.console.style.terminal:
            self._handle(signal.SIGWINCH, resized)
        self._handle(signal.SIGUSR2, self._upgrade)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup, which means: live on
            self._handle(signal.SIGHUP, self._hang_up)
        release_signals()

    def close(self) -> None:
        """All is down: who asks once more for the end must not interrupt it, nor change the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._handled)
        for number in self._handled:
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._handled)

    def _handle(self, number: signal.Signals, action: Callable[[], None]) -> None:
        self._loop.add_signal_handler(number, action)
        self._handled.append(number)

    def _stop(self, exit_code: int) -> None:
        """Only who has asked before loses patience: a shutdown that began by itself is no reason to kill."""
        self._daemon.post(ShutdownRequested(exit_code, force=self._asked))
        self._asked = True

    def _hang_up(self) -> None:
        if self._terminal and not has_terminal():
            self._daemon.post(ShutdownRequested(128 + signal.SIGHUP))
        elif self._reloading is not None and not self._reloading.done():
            self._once_more = True  # the files may have changed since they were read
        else:
            self._reloading = self._loop.create_task(self._reload_and_tell())

    def _upgrade(self) -> None:
        if self._upgrading is None or self._upgrading.done():
            self._upgrading = self._loop.create_task(self._upgrade_or_tell())

    async def _upgrade_or_tell(self) -> None:
        try:
            await self._upgrader.upgrade()
        except ProcsupError as error:
            self._daemon.console.notice(str(error))

    async def _reload_and_tell(self) -> None:
        wanted = True
        while wanted:
            self._once_more = False
            try:
                await self._reload()
            except (ProcsupError, RequestRefused) as error:
                self._daemon.console.notice(f"not reloaded, nothing changed:\n{error}")
            wanted = self._once_more


def has_terminal() -> bool:
    """Whether we have a controlling terminal, and it is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
