"""A supervisor's memory, given to the version that takes over: first what needs no loop, then all that lives in one."""

from __future__ import annotations

import platform
import signal
import socket
from typing import TYPE_CHECKING

from procsup import __version__
from procsup.core.snapshot import restore
from procsup.output.pump import Watch
from procsup.runtime.beginning import Beginning
from procsup.runtime.child import Spawner, choose_spawn
from procsup.runtime.launch import Launcher, load
from procsup.runtime.limits.cgroups import Cgroups
from procsup.runtime.limits.confinement import Confinement
from procsup.runtime.notify_socket import NotifySocket
from procsup.runtime.rundir import Claim, RootLock
from procsup.runtime.upgrade.handover import Handover, LimitsMemory, ProcessesMemory

if TYPE_CHECKING:
    from procsup.output.memory import StreamMemory
    from procsup.runtime.daemon import Daemon
    from procsup.runtime.processes import Processes
    from procsup.runtime.upgrade.household import Household


# So long nothing is done but to hear what happened meanwhile, in seconds.
LISTEN_FIRST = 0.05


def begin_again(handover: Handover) -> Beginning:
    """What a start would have made, but nothing is started."""
    claim = handover.claim
    lock = RootLock(claim.folder, handover.project.root)
    lock._descriptor, lock._root_descriptor = claim.lock, claim.root_lock
    cgroups = Cgroups(handover.cgroups)
    return Beginning(
        supervisor=restore(handover.core),
        launcher=_launcher(handover),
        claim=Claim(claim.any_cookie, claim.cookie, claim.folder, claim.socket, lock),
        cgroups=cgroups,
        confinement=_confinement(cgroups, handover.limits),
        kept=handover.formation,
        born=[],
        orders=[],
        warnings=[],
    )


def _launcher(handover: Handover) -> Launcher:
    memory, options, claim = handover.launcher, handover.options, handover.claim
    spawner = Spawner(choose_spawn(options.portable), stdin=memory.stdin, limit=memory.limit)
    launcher = Launcher(spawner, claim.cookie, options.tty, options.window, claim.folder)
    launcher.notify._opened = {
        name: NotifySocket(socket.socket(fileno=each.descriptor), each.user)
        for name, each in memory.notify_sockets.items()
    }
    load(handover.project)
    launcher.sockets._addresses = dict(memory.addresses)
    launcher.sockets._opened = {
        address: socket.socket(fileno=descriptor) for address, descriptor in memory.sockets.items()
    }
    return launcher


def _confinement(cgroups: Cgroups, memory: LimitsMemory) -> Confinement:
    confinement = Confinement(cgroups)
    confinement.by_type, confinement.hard = dict(memory.by_type), memory.hard
    confinement.reasons = dict(memory.reasons)
    confinement.restarts.update(memory.restarts)
    confinement._told, confinement._before = memory.told, dict(memory.before)
    confinement.go_on()
    return confinement


def recall(house: Household, handover: Handover, failure: str | None) -> None:
    """In the loop, and nothing else has happened in it. No byte leaves yet.

    `failure`: another version was to take over, and could not.
    """
    from procsup.control.listener import adopt
    from procsup.output import recollection

    daemon = house.daemon
    daemon.upgrades = handover.upgrades + (failure is None)
    daemon.policy = handover.policy
    daemon.announced = handover.announced
    daemon._lost = handover.lost
    recollection.recall_history(house.history, handover.history)
    if house.outlets.files is not None and handover.logs is not None:
        recollection.recall_logs(house.outlets.files, handover.logs)
    if house.outlets.syslog is not None and handover.syslog is not None:
        recollection.recall_syslog(house.outlets.syslog, handover.syslog)
    if handover.unkept is not None:
        daemon.keeper.go_on_failing(handover.unkept)
    readiness = daemon.readiness
    readiness._missing |= handover.readiness.missing
    readiness._says |= handover.readiness.says
    readiness._lines |= handover.readiness.lines
    readiness.go_on()
    terminals, screens = daemon.terminals, handover.processes.screens

    def watch(stream: StreamMemory) -> Watch | None:
        if stream.cooked is None:
            return None
        terminal = terminals.add(stream.source.name, stream.descriptor)
        if (screen := screens.get(stream.source.name)) is not None:
            terminal._past += screen.past
            terminal.said = screen.said
        return terminal.hear

    recollection.recall_streams(house.pump, handover.streams, watch)
    daemon.name_all()
    _processes(daemon._processes, handover.processes)
    _set_alarm(daemon)
    daemon._overview.show(daemon.supervisor, daemon.now())
    upgraded = {
        "pid": handover.pid,
        "before": handover.version,
        "version": __version__,
        "python": platform.python_version(),
    }
    # Last: who asked for the upgrade is told that it has succeeded.
    listener = handover.listener
    house.server._complained = listener.complained
    house.server.take_over(
        adopt(listener.descriptor, listener.inode, house.server.path), handover.visitors, failure or upgraded
    )


def _set_alarm(daemon: Daemon) -> None:
    """What was due meanwhile has to wait until what happened is heard."""
    when = daemon.supervisor.deadline
    if when is not None:
        daemon._alarm_at = when
        daemon._alarm = daemon._ring_at(max(when + daemon._lost, daemon._loop.time() + LISTEN_FIRST))


def _processes(processes: Processes, memory: ProcessesMemory) -> None:
    processes._sent = dict(memory.sent)
    for name, pid in memory.leaders.items():
        processes.go_on_with(name, pid)
    for name, remains in memory.remains.items():
        processes.look_after_remains(name, remains.group, signal.SIGKILL if remains.killing else None)
    if processes._adoption is not None:
        processes._adoption.go_on(memory.escaped)
