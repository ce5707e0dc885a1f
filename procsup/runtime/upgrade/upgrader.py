"""`procsup upgrade`, SIGUSR2: this process becomes another version of procsup, and nobody notices.

The new version is tried first, with the very memory that it would get. Then, at a moment at which nothing is half done,
with all signals held back, this process executes it in its own place; what it hands over is `handover`. What writes
that down is loaded right after the start, what reads it by the other version only.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import NoReturn

from procsup import __version__
from procsup.control.visitors import half_done
from procsup.core.model import Starting
from procsup.errors import ProcsupError
from procsup.runtime.child import choose_spawn
from procsup.runtime.inherited import hold_all_signals
from procsup.runtime.upgrade.household import Household

# So long the moment is waited for at which nothing is half done, in seconds.
PATIENCE = 10.0
# If it does not come by itself, who asks for something is held up from time to time, for so long; and then is not.
_HELD = 0.5
_LOOK = 0.02
# Descriptors that have to be free for a Python to begin with.
_ROOM = 16
# Turns of the loop after which a signal that came before all were held back has been heard.
_TURNS = 5

_Obstacle = tuple[Callable[[], bool], str]


class Upgrader:
    """`arguments` are those of the command line, kept so that `ps` goes on to show them.

    `terminal`: whether it was started at one. `pinned` are the types whose counts they have said.
    """

    def __init__(self, house: Household, arguments: Sequence[str], terminal: bool, pinned: frozenset[str]) -> None:
        self.terminal = terminal
        self._pinned = pinned
        self._house = house
        self._arguments = tuple(arguments)
        self._obstacles: list[_Obstacle] = []
        self._delays: list[_Obstacle] = []
        self._under_way = False

    def not_while(self, condition: Callable[[], bool], why: str) -> None:
        """There is no upgrade while this holds."""
        self._obstacles.append((condition, why))

    def wait_while(self, condition: Callable[[], bool], why: str) -> None:
        """An upgrade waits for the end of this, if it does not take too long."""
        self._delays.append((condition, why))

    async def upgrade(self, python: str | None = None) -> NoReturn:
        """Never returns. Raises ProcsupError if it was not possible; then nothing has changed."""
        if self._under_way:
            raise ProcsupError("not upgraded: another upgrade is under way")
        self._under_way = True
        try:
            self._refuse_unless_possible()
            chosen = python or sys.executable
            await self._try(chosen)
            await self._wait_for_the_moment(chosen)
        except ProcsupError as error:
            raise ProcsupError(f"not upgraded, nothing changed: {error}") from error
        except OSError as error:
            raise ProcsupError(f"not upgraded, nothing changed: {error.strerror or error}") from error
        except Exception as error:  # whatever it is, all goes on
            raise ProcsupError(f"not upgraded, this is a bug in procsup: {type(error).__name__}: {error}") from error
        finally:
            self._under_way = False
            self._house.server.hold(False)

    @staticmethod
    def prepare() -> None:
        """Load what writes our memory down: whoever installs a new version puts other files where ours were.

        So with what says why a copy could not be started: its own program may have gone together with ours.
        """
        with suppress(ImportError, OSError):  # it is tried again when it is needed, and told then
            from procsup.config import secrets, shown  # noqa: F401
            from procsup.runtime.upgrade import document, handover, taking_leave, trial  # noqa: F401

    def _refuse_unless_possible(self) -> None:
        daemon = self._house.daemon
        if daemon.supervisor.shutting_down or daemon.finished.done():
            raise ProcsupError("the supervisor is being stopped")
        if (why := _first(self._obstacles)) is not None:
            raise ProcsupError(why)
        with ExitStack() as room:  # a Python that begins needs some, and it would be too late to say so
            for _ in range(_ROOM):
                room.callback(os.close, os.dup(2))

    async def _try(self, python: str) -> None:
        from procsup.runtime.upgrade.trial import Trial

        house = self._house
        document = self._write()[0]
        try:
            spawn = choose_spawn(house.options.portable)
            await Trial(spawn, house.daemon.others, house.read.environ).run(python, document)
        finally:
            os.close(document)

    async def _wait_for_the_moment(self, python: str) -> NoReturn:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        until = begun + PATIENCE
        while True:
            self._house.server.hold(int((loop.time() - begun) / _HELD) % 3 == 2)
            if self._half_done() is None:
                before = hold_all_signals()
                try:
                    for _ in range(_TURNS):
                        await asyncio.sleep(0)
                    self._refuse_unless_possible()
                    if self._half_done() is None:
                        self._become(python)
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._refuse_unless_possible()
            why = self._half_done()
            if why is not None and loop.time() > until:
                raise ProcsupError(f"{why}; try again when that is over")
            await asyncio.sleep(_LOOK)

    def _half_done(self) -> str | None:
        """What must not be interrupted just now."""
        daemon = self._house.daemon
        if (why := half_done(self._house.server.connections)) is not None:
            return why
        if daemon.supervisor.rolling:
            return "instances are being replaced one by one"
        if daemon.busy or any(isinstance(each.state, Starting) for each in daemon.supervisor.instances()):
            return "too much is happening"
        if daemon.keeper.writing:
            return "the formation is just being written down"
        return _first(self._delays)

    def _write(self) -> tuple[int, tuple[int, ...]]:
        """A file with our memory, and the descriptors that go with it."""
        from procsup.runtime.upgrade.document import FORMAT, Header, make_file, write
        from procsup.runtime.upgrade.handover import ALIASES
        from procsup.runtime.upgrade.taking_leave import take_down

        handover = take_down(self._house, terminal=self.terminal, pinned=self._pinned)
        descriptors = handover.descriptors()
        header = Header(FORMAT, __version__, sys.executable, self._arguments, descriptors)
        return make_file(write(header, handover, ALIASES), handover.claim.folder), descriptors

    def _become(self, python: str) -> NoReturn:
        """Raises OSError if the system refuses."""
        from procsup.runtime.upgrade.trial import command

        house = self._house
        house.console.make_room()
        document, descriptors = self._write()
        inherited = (*descriptors, document)
        try:
            for each in inherited:
                os.set_inheritable(each, True)
            arguments = command(python, "--take-over", str(document), *self._arguments)
            os.execve(python, arguments, dict(house.environ))
        finally:  # it was refused: an exec that works never comes back
            for each in inherited:
                with suppress(OSError):
                    os.set_inheritable(each, False)
            os.close(document)


def _first(obstacles: Sequence[_Obstacle]) -> str | None:
    return next((why for condition, why in obstacles if condition()), None)
