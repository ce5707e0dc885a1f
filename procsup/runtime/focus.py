"""`start --focus web`: one instance has procsup's own terminal; the others' lines wait, and show when it has ended.

The keys go to its terminal as they are, Ctrl-C too, and Ctrl-] gives the screen back to everybody.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from procsup.errors import ProcsupError
from procsup.output.console import Console
from procsup.output.history import History
from procsup.output.raw_mode import LEAVE, TIDY, RawMode
from procsup.output.replay import show_again
from procsup.runtime.child import Window
from procsup.runtime.terminals import Terminal, Terminals


class Focus:
    """For the first copy of the instance `name`; once it has ended, or was left, its lines are like all others'."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, name: str, console: Console, history: History, terminals: Terminals
    ) -> None:
        self._loop = loop
        self._name = name
        self._console = console
        self._history = history
        self._raw = RawMode(0)
        self._terminal: Terminal | None = None
        self._before = 0
        self._typing: asyncio.Task[None] | None = None
        self._over = False
        terminals.on_new = self._appeared

    def has_it(self) -> bool:
        """Whether it has the terminal just now."""
        return self._terminal is not None

    def resized(self) -> None:
        if self._terminal is not None:
            columns, rows = os.get_terminal_size(0)
            self._terminal.resize(Window(max(1, rows - self._console.step_aside(rows)), max(1, columns)))

    def leave(self) -> None:
        """Everybody's lines again, first those that waited."""
        self._over = True
        if self._terminal is None:
            return
        self._loop.remove_reader(0)
        self._terminal.listener = None
        self._terminal = None
        self._raw.leave()
        self._console.pass_through(TIDY)
        self._console.come_back()
        waited = self._history.since(self._before, lambda name: name != self._name)
        show_again(self._loop, self._console, waited)

    def _appeared(self, name: str, terminal: Terminal) -> None:
        if name != self._name or self._over:
            return
        self._terminal = terminal
        self._console.notice(f"{name} has this terminal; Ctrl-] gives it back to everybody")
        self._before = self._history.end()
        self._raw.__enter__()
        self.resized()
        terminal.listener = self._show
        self._loop.add_reader(0, self._keys)

    def _show(self, chunk: bytes) -> None:
        if chunk:
            self._console.pass_through(chunk)
        else:
            self.leave()

    def _keys(self) -> None:
        try:
            keys = os.read(0, 4096)
        except OSError:
            keys = b""
        typed, left, _ = keys.partition(LEAVE)
        if self._terminal is not None and typed:
            self._typing = self._loop.create_task(self._type(self._terminal, typed, self._typing))
        if left or not keys:
            self.leave()

    async def _type(self, terminal: Terminal, typed: bytes, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        with suppress(ProcsupError):  # it has just ended, or takes no keys: as at any terminal
            await terminal.type(typed)
