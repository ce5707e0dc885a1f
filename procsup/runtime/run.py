"""Puts a supervisor together and runs it from the lock to the last byte of output: what `procsup start` does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from procsup.config.project import Project
from procsup.control.address import project_folder, socket_path
from procsup.control.peer import Peer
from procsup.control.server import ControlServer
from procsup.core.events import ShutdownRequested
from procsup.core.model import InstanceName, RequestRefused
from procsup.errors import ProcsupError, UsageError
from procsup.output.bounded_file import BoundedFile
from procsup.output.console import Console
from procsup.output.pump import Pump
from procsup.output.style import Style
from procsup.runtime.child import prepare_descriptors
from procsup.runtime.daemon import Daemon, Policy
from procsup.runtime.keeper import FormationKeeper
from procsup.runtime.listening import taken_ports
from procsup.runtime.reload import Reloader
from procsup.runtime.requests import Requests
from procsup.runtime.rundir import RootLock
from procsup.runtime.signals import SignalDesk, unblock_signals

# A reader that has stopped reading holds up the end no longer than this; what it did not take is counted and told.
LAST_FLUSH = 2.0
# Without a readiness check, a formation that has run so long counts as up for `--detach`.
UP_AFTER = 1.0


class RunOptions(NamedTuple):
    """What `start` was asked for, beside the project itself.

    `counts` are those of the command line; for types it does not name, what was scaled earlier holds, then 1.
    `only` limits the formation to these types. `log` replaces standard output by a bounded file.
    """

    style: Style
    policy: Policy
    counts: Mapping[str, int]
    only: tuple[str, ...] = ()
    quiet: frozenset[str] = frozenset()
    keep_going: bool = False
    log: str | None = None
    portable: bool = False


def run(
    project: Project,
    read: Callable[[], Project],
    options: RunOptions,
    environ: Mapping[str, str],
    on_up: Callable[[list[str]], None] | None = None,
) -> int:
    """Supervise until all is over, and return the exit code. `read` reads the project again, for a reload.

    `on_up` is told once, when all run or have failed to: what failed. Raises ProcsupError where it cannot start.
    """
    unblock_signals()
    prepare_descriptors()
    folder = project_folder(environ, os.geteuid(), project.root)
    lock = RootLock(folder, project.root)
    lock.acquire()
    try:
        os.chdir(project.root)
        return asyncio.run(_supervise(project, read, options, environ, folder, lock, on_up))
    finally:
        lock.release()


async def _supervise(
    project: Project,
    read: Callable[[], Project],
    options: RunOptions,
    environ: Mapping[str, str],
    folder: str,
    lock: RootLock,
    on_up: Callable[[list[str]], None] | None,
) -> int:
    loop = asyncio.get_running_loop()
    log = BoundedFile(options.log, 1) if options.log is not None else None
    console = Console(
        loop, 1, options.style, lambda: daemon.post(ShutdownRequested(0)), sink=log.sink() if log is not None else None
    )
    keeper = FormationKeeper(folder, lambda trouble: console.notice(f"warning: {trouble}"))
    pump = Pump(loop, console, options.quiet)
    daemon = Daemon(
        project, options.policy, console, pump, keeper, keep_going=options.keep_going, portable=options.portable
    )
    reloader = Reloader(daemon, read, keeper)
    requests = Requests(daemon, reloader)

    async def answer(method: str, params: dict[str, object], _peer: Peer) -> object:
        return await requests.answer(method, params)

    server = ControlServer(
        socket_path(environ, os.geteuid(), project.root),
        answer,
        lambda text, _error: console.notice(f"warning: {text}"),
    )
    desk: SignalDesk | None = None
    try:
        await server.start()
        desk = SignalDesk(daemon, reloader.reload, log.reopen if log is not None else lambda: None)
        exit_code = await _from_start_to_end(daemon, options, on_up)
    except BaseException:
        daemon.kill_all()
        raise
    finally:
        if desk is not None:
            desk.close()
        await keeper.kept()
        pump.detach_all()
        daemon.close()
        everything = await console.flush_pending(LAST_FLUSH)
        lock.release()  # first: who waits for us to be gone may start the next supervisor at once
        await server.close()
        console.close()
    if not everything:
        raise ProcsupError("the reader of procsup's output has stopped reading: its last part is lost")
    return exit_code


async def _from_start_to_end(daemon: Daemon, options: RunOptions, on_up: Callable[[list[str]], None] | None) -> int:
    project, console = daemon.project, daemon.console
    kept = daemon.keeper.formation
    counts = _counts(project, options, kept)
    instances = [str(InstanceName(name, number)) for name, count in counts.items() for number in range(1, count + 1)]
    console.set_names([*instances, "procsup"], [each.name for each in project.types])
    for warning in project.warnings:
        console.notice(f"warning: {warning}")
    for name, trouble in _trouble_with_ports(project, counts):
        console.notice(f"warning: {name}: {trouble}")
    try:
        await daemon.ask(daemon.project_read(project, counts, kept))
    except RequestRefused as error:
        raise UsageError(str(error)) from error
    watcher = asyncio.get_running_loop().create_task(_tell_when_up(daemon, on_up)) if on_up is not None else None
    try:
        exit_code = await daemon.finished
    finally:
        if watcher is not None:
            watcher.cancel()
    if daemon.stopped or daemon.killed:
        left = sum(each.unkillable for each in daemon.supervisor.instances())
        killed = f" ({', '.join(daemon.killed)})" if daemon.killed else ""
        console.notice(f"{daemon.stopped} stopped, {len(daemon.killed)} killed{killed}, {left} left")
    return exit_code


def _counts(project: Project, options: RunOptions, kept: Mapping[str, int]) -> dict[str, int]:
    """`-m` over what was scaled earlier over the default; a type that is asked for by name has at least one."""
    counts = {name: options.counts.get(name, kept.get(name, count)) for name, count in project.default_counts().items()}
    if options.only:
        counts = {name: options.counts.get(name, count or 1) * (name in options.only) for name, count in counts.items()}
    return counts


def _trouble_with_ports(project: Project, counts: Mapping[str, int]) -> list[tuple[str, str]]:
    names = {
        project.port_of(name) + number: f"{name}.{number + 1}"
        for name, count in counts.items()
        for number in range(min(count, 100))
    }
    return [(names[port], f"port {port} is in use by {who}") for port, who in sorted(taken_ports(names).items())]


async def _tell_when_up(daemon: Daemon, on_up: Callable[[list[str]], None]) -> None:
    everyone = daemon.supervisor.instances
    await daemon.until(lambda: all(each.settled for each in everyone()))
    await asyncio.sleep(UP_AFTER)
    failed = [str(each.name) for each in everyone() if not each.up or each.last_exit is not None]
    on_up(failed)
