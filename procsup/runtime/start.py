"""What `procsup start` does, up to the event loop: the lock, the kept formation, and the first children."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from procsup.config.project import Project
from procsup.config.reader import ProjectReader
from procsup.control.address import identity, make_private, project_folder, socket_path
from procsup.errors import ProcsupError
from procsup.runtime.beginning import Beginning, begin
from procsup.runtime.child import choose_spawn
from procsup.runtime.formation_store import load
from procsup.runtime.guardian import Guardian, post_guardian
from procsup.runtime.inherited import for_children, hold_signals, prepare_descriptors, undo_inherited_signals
from procsup.runtime.limits.cgroups import Cgroups, find_cgroups
from procsup.runtime.options import RunOptions
from procsup.runtime.rules import rescue_plan
from procsup.runtime.rundir import Claim, RootLock
from procsup.runtime.trees import census
from procsup.runtime.trees.census import project_cookie, run_cookie

if TYPE_CHECKING:
    from procsup.runtime.systemd.notify import Notifier
    from procsup.runtime.upgrade.successor import Legacy

_SLACK = 15.0  # seconds beyond the graces, for systemd


def run(project: Project, read: ProjectReader, options: RunOptions, environ: Mapping[str, str]) -> int:
    """Supervise until all is over, and return the exit code. `read` reads the project again, for a reload.

    Raises ProcsupError where it cannot start; then nothing runs.
    """
    options = options.but(portable=options.portable or sys.platform != "linux")
    undo_inherited_signals()
    prepare_descriptors()
    user = os.geteuid()
    folder = project_folder(environ, user, project.root)
    lock = RootLock(folder, project.root)
    name = identity(project.root)
    claim = Claim(project_cookie(name), run_cookie(name), folder, socket_path(environ, user, project.root), lock)
    lock.acquire()
    try:
        kept = load(folder)
        make_private(os.path.dirname(claim.socket))
        os.chdir(project.root)
        cgroups = Cgroups() if options.portable else find_cgroups(name)
        # May take the whole grace: Ctrl-C still ends us.
        earlier = _sweep(claim, cgroups, project, options, _notifier(environ))
        hold_signals()
        return _begin_and_supervise(project, read, options, claim, cgroups, kept, earlier, environ)
    finally:
        lock.release()


def _notifier(environ: Mapping[str, str]) -> Notifier | None:
    """To systemd, where that has started us and wants to be told."""
    if "NOTIFY_SOCKET" not in environ:
        return None
    from procsup.runtime.systemd.notify import find_notifier

    return find_notifier(environ)


def _sweep(
    claim: Claim, cgroups: Cgroups, project: Project, options: RunOptions, notifier: Notifier | None
) -> list[str]:
    """If the supervisor before us was killed: what it left has to be gone before anything starts a second time."""
    if not (claim.lock.left_over and census.possible()):
        cgroups.tidy()
        return []
    from procsup.runtime.trees.leftovers import end_leftovers  # rarely needed

    plan = rescue_plan(project, options.policy)
    if notifier is not None:
        from procsup.runtime.systemd.notify import more_time

        with suppress(OSError):
            notifier.tell(
                "STATUS=stopping what the last supervisor left", more_time(_SLACK + sum(each.wait for each in plan))
            )
    found, left = end_leftovers(claim.any_cookie, plan, cgroups)
    if not found:
        return []
    who = ", ".join(f"{member.name} (pid {member.pid})" for member in found[:5]) + (", …" if len(found) > 5 else "")
    what = "1 process, which was" if len(found) == 1 else f"{len(found)} processes, which were"
    told = f"the last supervisor was killed and left {what} stopped first: {who}"
    out_of_reach = "outlives SIGKILL; it is" if len(left) == 1 else "outlive SIGKILL; they are"
    return [told, f"{len(left)} of these {out_of_reach} out of reach"] if left else [told]


def _begin_and_supervise(
    project: Project,
    read: ProjectReader,
    options: RunOptions,
    claim: Claim,
    cgroups: Cgroups,
    kept: Mapping[str, int],
    earlier: list[str],
    environ: Mapping[str, str],
) -> int:
    guardian: Guardian | None = None
    beginning: Beginning | None = None
    try:
        if census.possible():  # first: where processes are few, the children would leave no room for it
            spawn = choose_spawn(options.portable)
            stop = rescue_plan(project, options.policy)
            guardian = post_guardian(spawn, claim.cookie, cgroups, stop, for_children(environ))
        beginning = begin(project, options, claim, cgroups, kept)
        beginning.warnings[:0] = earlier
    except BaseException as error:
        _give_up(error, beginning, guardian)
    return see_through(project, read, options, beginning, guardian, environ)


def see_through(
    project: Project,
    read: ProjectReader,
    options: RunOptions,
    beginning: Beginning,
    guardian: Guardian | None,
    environ: Mapping[str, str],
    legacy: Legacy | None = None,
) -> int:
    """From what was begun, here or (`legacy`) by another version, to the end; returns the exit code.

    `environ` is our own environment, in which there may be more than in that of the app.
    """
    try:
        # Loaded only now: the first children run already.
        from procsup.runtime.memory import run_loop
        from procsup.runtime.supervise import supervise

        notifier = _notifier(environ)
        exit_code = run_loop(supervise(project, read, options, beginning, guardian, environ, notifier, legacy))
    except BaseException as error:
        # What was not taken over is not ours to kill: it gets its grace from the guardian.
        _give_up(error, beginning if legacy is None or legacy.settled else None, guardian)
    if guardian is not None:
        guardian.dismiss()
    return exit_code


def _give_up(error: BaseException, beginning: Beginning | None, guardian: Guardian | None) -> NoReturn:
    if beginning is not None:
        beginning.abandon()
    if guardian is not None:
        guardian.alarm()
    if isinstance(error, MemoryError):
        raise ProcsupError(
            "the supervisor ran out of memory, so it killed what it had started, and ended; "
            "give it more (ulimit -v says what it may have)"
        ) from None
    raise error
