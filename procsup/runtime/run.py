"""What `procsup start` does, up to the event loop: the lock, the kept formation, and the first children."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from procsup.config.project import Project
from procsup.control.address import identity, make_private, project_folder, socket_path
from procsup.core.model import StopPlan
from procsup.runtime import census
from procsup.runtime.beginning import begin
from procsup.runtime.census import project_cookie, run_cookie
from procsup.runtime.child import choose_spawn
from procsup.runtime.formation_store import load
from procsup.runtime.inherited import hold_signals, prepare_descriptors, undo_inherited_signals
from procsup.runtime.options import RunOptions
from procsup.runtime.rundir import Claim, RootLock

if TYPE_CHECKING:
    from procsup.runtime.guardian import Guardian


def run(project: Project, read: Callable[[], Project], options: RunOptions, environ: Mapping[str, str]) -> int:
    """Supervise until all is over, and return the exit code. `read` reads the project again, for a reload.

    Raises ProcsupError where it cannot start; then nothing runs.
    """
    options = options._replace(portable=options.portable or sys.platform != "linux")
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
        earlier = _sweep(claim, options.policy.stop)  # may take the whole grace: Ctrl-C still ends us
        hold_signals()
        return _begin_and_supervise(project, read, options, claim, kept, earlier, environ)
    finally:
        lock.release()


def _sweep(claim: Claim, plan: StopPlan) -> list[str]:
    """If the supervisor before us was killed: what it left has to be gone before anything starts a second time."""
    if not (claim.lock.left_over and census.possible()):
        return []
    from procsup.runtime.leftovers import end_leftovers  # rarely needed

    found, left = end_leftovers(claim.any_cookie, plan)
    if not found:
        return []
    who = ", ".join(f"{member.name} (pid {member.pid})" for member in found[:5]) + (", …" if len(found) > 5 else "")
    told = f"the last supervisor was killed and left {len(found)} processes, which were stopped first: {who}"
    return [told, f"{len(left)} of these outlive SIGKILL; they are out of reach"] if left else [told]


def _begin_and_supervise(
    project: Project,
    read: Callable[[], Project],
    options: RunOptions,
    claim: Claim,
    kept: Mapping[str, int],
    earlier: list[str],
    environ: Mapping[str, str],
) -> int:
    beginning = begin(project, options, claim, kept)
    beginning.warnings[:0] = earlier
    guardian: Guardian | None = None
    try:
        # Loaded only now: the first children run already.
        import asyncio

        from procsup.runtime.guardian import post_guardian
        from procsup.runtime.supervise import supervise

        if census.possible():
            guardian = post_guardian(choose_spawn(options.portable), claim.cookie, options.policy.stop, environ)
        watcher = guardian.pid if guardian is not None else None
        exit_code = asyncio.run(supervise(project, read, options, beginning, watcher))
    except BaseException:
        beginning.abandon()
        if guardian is not None:
            guardian.alarm()
        raise
    if guardian is not None:
        guardian.dismiss()
    return exit_code
