"""The supervisor from its event loop on: output, control socket and signals are put together, and taken down again."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from procsup.config.project import Project
from procsup.config.reader import ProjectReader
from procsup.control.server import ControlServer
from procsup.core.events import ShutdownRequested
from procsup.errors import ProcsupError
from procsup.output.console import Console
from procsup.output.history import History
from procsup.output.pump import Pump
from procsup.output.source import Source
from procsup.runtime.beginning import Beginning
from procsup.runtime.daemon import Daemon
from procsup.runtime.guardian import Guardian
from procsup.runtime.keeper import FormationKeeper
from procsup.runtime.limits.memory_watch import MemoryWatch
from procsup.runtime.options import OnUp, RunOptions
from procsup.runtime.outlets import Outlets, journal_or_stdout
from procsup.runtime.reload import Reloader
from procsup.runtime.requests import Requests
from procsup.runtime.signals import SignalDesk, has_terminal
from procsup.runtime.up import failures, until_up
from procsup.runtime.upgrade.household import Household
from procsup.runtime.upgrade.upgrader import Upgrader
from procsup.runtime.watching import Watching

if TYPE_CHECKING:
    from procsup.output.bounded_file import BoundedFile
    from procsup.runtime.focus import Focus
    from procsup.runtime.systemd.announcing import Announcer
    from procsup.runtime.systemd.notify import Notifier
    from procsup.runtime.upgrade.successor import Legacy

# A reader that has stopped reading holds up the end no longer than this; that its last part is lost is told.
LAST_FLUSH = 0.8
# Whoever read our output has gone, as `head -1` does: a clean stop.
READER_GONE = ShutdownRequested(0, provisional=True)


async def supervise(
    project: Project,
    read: ProjectReader,
    options: RunOptions,
    beginning: Beginning,
    guardian: Guardian | None,
    environ: Mapping[str, str],
    notifier: Notifier | None = None,
    legacy: Legacy | None = None,
) -> int:
    """Until all is over; returns the exit code. With a `legacy`, another version has begun it.

    `environ` is our own, whole environment; `notifier` leads to systemd, where that wants to be told.
    """
    gc.enable()  # off since the entry point: nothing that a start allocates is garbage
    loop = asyncio.get_running_loop()
    history = History(options.history)
    log: BoundedFile | None = None
    if options.log is not None:
        from procsup.output.bounded_file import BoundedFile  # in the background

        log = BoundedFile(options.log, 1, also=(2,))
    outlets = Outlets(project.app, options, lambda text: console.notice(f"warning: {text}"))
    style, sink = journal_or_stdout(options.style) if log is None else (options.style, log.sink())

    def overhear(source: Source, lines: bytes) -> None:
        history.take(source, lines)
        outlets.take_notice(source, lines)

    def reopen() -> None:
        outlets.reopen()
        if log is not None:
            log.reopen()

    console = Console(
        loop,
        1,
        style,
        lambda: daemon.post(READER_GONE),
        sink=sink,
        on_trouble=_complain,
        on_notice=overhear,
    )
    claim = beginning.claim
    keeper = FormationKeeper(claim.folder, beginning.kept, console.notice)
    pump = Pump(loop, console, options.quiet, taps=[history], audiences=outlets.audiences)
    daemon = Daemon(project, options, beginning, console, pump, keeper)
    if guardian is not None:
        daemon.others.add(guardian.pid)
    daemon.troubles_elsewhere = lambda: outlets.troubles
    memory_watch = MemoryWatch(daemon, claim.cookie)
    pinned = legacy.pinned if legacy is not None else options.pinned(project)
    reloader = Reloader(daemon, read, keeper, memory_watch.adapt, pinned)

    def report(text: str, error: BaseException | None) -> None:
        console.notice(f"warning: {text}" if error is None else _bug(text, error, bool(environ.get("PROCSUP_DEBUG"))))

    server = ControlServer(claim.socket, lambda method, params: requests.answer(method, params), report)
    desk: SignalDesk | None = None
    focus: Focus | None = None
    if options.focus is not None:
        from procsup.runtime.focus import Focus  # where somebody asks for it

        focus = Focus(loop, options.focus, console, history, daemon.terminals)
    house = Household(environ, read, options, beginning, guardian, daemon, console, pump, history, outlets, server)
    upgrader = Upgrader(
        house,
        legacy.arguments if legacy is not None else sys.argv[1:],
        legacy.terminal if legacy is not None else has_terminal(),
        pinned,
    )
    requests = Requests(daemon, reloader, history, upgrader.upgrade)

    def resized() -> None:
        console.resized()
        if focus is not None:
            focus.resized()

    watching: Watching | None = None
    if legacy is not None:
        legacy.settle(house)
    announcer: Announcer | None = None
    if notifier is not None:
        from procsup.runtime.systemd.announcing import Announcer  # only under systemd

        announcer = Announcer(notifier, daemon, options.policy)
        reloader.around = announcer.reloading
    try:
        if legacy is None:
            await server.start()
        memory_watch.adapt()
        desk = SignalDesk(daemon, reloader.reload, reopen, resized, upgrader)
        if focus is not None:
            upgrader.not_while(focus.has_it, f"{options.focus} has this terminal; Ctrl-] gives it back")
        if options.watch:
            watching = Watching(daemon, options.log_folder.path if options.log_folder is not None else None)
        exit_code = await _from_start_to_end(daemon, beginning, options, upgrader, announcer)
    except BaseException:
        daemon.kill_all()
        raise
    finally:
        await memory_watch.close()
        await keeper.close()
        pump.detach_all()
        if announcer is not None:
            announcer.close()
        if focus is not None:
            focus.leave()
        daemon.close()
        everything, complaints, _ = await asyncio.gather(
            console.flush_pending(LAST_FLUSH),
            outlets.finish(LAST_FLUSH),
            watching.close() if watching is not None else asyncio.sleep(0),
        )
        for complaint in complaints:
            _complain(complaint)
        claim.lock.release()  # first: who waits for us to be gone may start the next supervisor at once
        history.close()
        await server.close()
        console.close()
        if desk is not None:
            desk.close()
    if not everything:
        if not select.select((), (2,), (), 0)[1]:
            return 1  # stderr is the same pipe, as after 2>&1: a word there would wait for ever
        raise ProcsupError("the reader of procsup's output has stopped reading: its last part is lost")
    return exit_code


def _complain(text: str) -> None:
    """What cannot be said on standard output."""
    with suppress(OSError):
        os.write(2, f"procsup: {text}\n".encode(errors="replace"))


def _bug(text: str, error: BaseException, debug: bool) -> str:
    """What went wrong because of it, and what it is."""
    said = f"warning: {text}: {type(error).__name__}: {error}"
    if not debug:
        return f"{said}; PROCSUP_DEBUG=1 shows where"
    from traceback import format_exception

    return f"{said}\n{''.join(format_exception(error))}"


async def _from_start_to_end(
    daemon: Daemon, beginning: Beginning, options: RunOptions, upgrader: Upgrader, announcer: Announcer | None
) -> int:
    console = daemon.console
    daemon.name_all()
    for warning in beginning.warnings:
        console.notice(f"warning: {warning}")
    if not daemon.upgrades and not any(daemon.supervisor.formation.values()):
        console.notice("nothing runs: no process type has an instance; procsup scale NAME=1 starts one")
    release: asyncio.Task[None] | None = None
    if options.release:
        from procsup.runtime.release import end_release
        from procsup.runtime.release_order import policy_in_release

        daemon.policy = policy_in_release(daemon.project, options.policy)
        release = asyncio.create_task(end_release(daemon, options.policy))
        upgrader.not_while(lambda: not release.done(), "the release is under way")
    daemon.take_over(beginning)
    asyncio.get_running_loop().call_soon(upgrader.prepare)
    if announcer is not None:
        announcer.begin(release)
    watcher = asyncio.create_task(_tell_when_up(daemon, options.on_up, release)) if options.on_up is not None else None
    if watcher is not None:
        upgrader.not_while(lambda: not watcher.done(), "the formation is not up yet, and start --detach waits for it")
    exit_code = await daemon.finished
    if release is not None:
        release.cancel()
    if watcher is not None and options.on_up is not None and not watcher.done():
        watcher.cancel()
        options.on_up(failures(daemon), over=True)
    got_away = daemon.end_the_rest()
    if got_away:
        processes, were = ("process", "was") if got_away == 1 else ("processes", "were")
        console.notice(f"{got_away} more {processes} of theirs had got away, and {were} found and killed")
    left = sum(each.unkillable for each in daemon.supervisor.instances())
    summary = daemon.tally.line(left)
    if summary is not None:
        console.notice(summary)
    if not left:
        beginning.claim.lock.all_is_down()
    return exit_code


async def _tell_when_up(daemon: Daemon, on_up: OnUp, release: asyncio.Task[None] | None) -> None:
    await until_up(daemon, release)
    on_up(failures(daemon), over=False)
