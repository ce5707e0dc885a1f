"""The version that takes over, from its first moment on; and how it says beforehand whether it could.

All signals are held back when it begins, until it can act on them; what it was handed over waits. If it cannot take
over after all, the version before gets everything back, if that is another; else there is nobody left who could look
after the instances, and the guardian stops them in order.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from procsup import __version__
from procsup.config.reader import ProjectReader
from procsup.core.snapshot import restore
from procsup.errors import ProcsupError
from procsup.runtime.child import choose_spawn
from procsup.runtime.guardian import Guardian, post_guardian
from procsup.runtime.launch import load
from procsup.runtime.rules import rescue_plan
from procsup.runtime.start import see_through
from procsup.runtime.upgrade.document import Header, make_file
from procsup.runtime.upgrade.document_reader import load_file, read, read_header
from procsup.runtime.upgrade.handover import Handover
from procsup.runtime.upgrade.heirlooms import CLASSES
from procsup.runtime.upgrade.taking_over import begin_again
from procsup.runtime.upgrade.trial import command

if TYPE_CHECKING:
    from procsup.runtime.upgrade.household import Household


def try_out(descriptor: int) -> None:
    """Say whether we could take over what stands in that file, on standard output. Raises what keeps us from it."""
    handover: Handover = read(load_file(descriptor), CLASSES)
    restore(handover.core)
    from procsup.output import recollection  # noqa: F401
    from procsup.runtime import memory, supervise  # noqa: F401

    load(handover.project)
    if handover.options.log is not None:
        from procsup.output import bounded_file  # noqa: F401
    if handover.options.style.status:
        from procsup.output import foot  # noqa: F401
    if handover.project.settings.read_from is not None:
        from procsup.runtime import changes  # noqa: F401
    if handover.options.log_folder is not None:
        from procsup.output import files  # noqa: F401
    if handover.options.syslog is not None:
        from procsup.output import syslog  # noqa: F401
    print(json.dumps({"version": __version__, "python": platform.python_version(), "pid": os.getpid()}))


def take_over(descriptor: int, why_back: int | None = None, *, environ: Mapping[str, str]) -> int:
    """Until all is over; returns the exit code. Raises ProcsupError where nobody can go on.

    `why_back` is a file that says why another version has given it back to us.
    """
    data = load_file(descriptor)
    header = read_header(data)
    for each in (descriptor, *header.descriptors):
        os.set_inheritable(each, False)
    legacy = Legacy(header, descriptor, environ)
    if why_back is not None:
        legacy.failure = load_file(why_back).decode()
        os.close(why_back)
    try:
        handover: Handover = read(data, CLASSES)
        if handover.pid != os.getpid():
            raise ProcsupError(f"this is process {os.getpid()}, and {handover.pid} was to become another version")
        legacy.take(handover)
        with suppress(OSError):  # it may be gone
            os.chdir(handover.project.root)
        reader = ProjectReader(
            handover.reader.options, handover.reader.environ, handover.reader.cwd, handover.reader.stdin
        )
        beginning = begin_again(handover)
        guardian = Guardian(handover.guardian.pid, handover.guardian.pipe) if handover.guardian is not None else None
    except Exception as error:
        legacy.go_back(error)
    project, options = handover.project, handover.options
    del data, handover  # much of it is there twice as soon as it is taken over
    return see_through(project, reader, options, beginning, guardian, environ, legacy)


class Legacy:
    """What was handed over, and the way back to the version before for as long as nothing of it was touched."""

    def __init__(self, header: Header, descriptor: int, environ: Mapping[str, str]) -> None:
        self.terminal = False  # whether the first version was started at one
        self.pinned: frozenset[str] = frozenset()  # the types whose counts its command line has said
        self._handover: Handover | None = None
        self.settled = False  # there is no way back any more, and none is needed
        self.failure: str | None = None  # why another version has given it back
        self.arguments = header.arguments
        self._header = header
        self._descriptor = descriptor
        self._environ = environ

    def go_back(self, error: Exception) -> NoReturn:
        """Raises ProcsupError where there is no other version to go back to."""
        words = f"{type(error).__name__}: {error}" if not isinstance(error, ProcsupError) else str(error)
        if self._header.python != sys.executable and self.failure is None:
            with suppress(OSError):
                why = make_file(f"{sys.executable} could not take over: {words}; the version before goes on".encode())
                for each in (self._descriptor, why, *self._header.descriptors):
                    os.set_inheritable(each, True)
                python, files = self._header.python, f"{self._descriptor},{why}"
                os.execve(python, command(python, "--take-back", files, *self._header.arguments), dict(self._environ))
        raise ProcsupError(f"procsup {__version__} could not take over, and all is stopped: {words}") from error

    def take(self, handover: Handover) -> None:
        self._handover, self.terminal, self.pinned = handover, handover.terminal, handover.pinned

    def settle(self, house: Household) -> None:
        """Give everything what it had."""
        handover, self._handover = self._handover, None
        if handover is None:
            raise RuntimeError("nothing was handed over")
        from procsup.output.recollection import recall_console
        from procsup.runtime.upgrade.taking_over import recall

        try:
            recall(house, handover, self.failure)
        except Exception as error:
            self.go_back(error)
        self.settled = True
        os.close(self._descriptor)
        recall_console(house.console, handover.console)
        _relieve_guardian(house)
        versions = f"procsup {handover.version} to {__version__}, on Python {platform.python_version()}"
        house.console.notice(
            f"upgraded from {versions}; all goes on" if self.failure is None else f"not upgraded: {self.failure}"
        )


def _relieve_guardian(house: Household) -> None:
    """One that would run this version of ours takes the place of the other."""
    guardian, beginning, options = house.guardian, house.beginning, house.options
    if guardian is None:
        return
    plan = rescue_plan(house.daemon.project, house.daemon.policy)
    spawn, others = choose_spawn(options.portable), house.daemon.others
    with suppress(OSError):  # there is no room for another; the one before will do
        fresh = post_guardian(spawn, beginning.claim.cookie, beginning.cgroups, plan, house.read.environ)
        others.add(fresh.pid)
        others.discard(guardian.pid)
        guardian.give_way_to(fresh)
