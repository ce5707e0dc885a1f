"""A supervisor's memory, taken down for the version that takes over: a look at everything, which changes nothing."""

from __future__ import annotations

import os

from procsup import __version__
from procsup.control.visitors import visitor
from procsup.core.snapshot import take_snapshot
from procsup.output import memory
from procsup.runtime.launch import Launcher
from procsup.runtime.limits.confinement import Confinement
from procsup.runtime.processes import Processes
from procsup.runtime.readiness import Readiness
from procsup.runtime.rundir import Claim
from procsup.runtime.upgrade.handover import (
    ClaimMemory,
    GuardianMemory,
    Handover,
    LauncherMemory,
    LimitsMemory,
    ListenerMemory,
    NotifySocketMemory,
    ProcessesMemory,
    ReaderMemory,
    ReadinessMemory,
    RemainsMemory,
    ScreenMemory,
)
from procsup.runtime.upgrade.household import Household


def take_down(house: Household, *, terminal: bool, pinned: frozenset[str]) -> Handover:
    """`terminal`: it was started at one."""
    daemon, beginning, guardian = house.daemon, house.beginning, house.guardian
    return Handover(
        pid=os.getpid(),
        upgrades=daemon.upgrades,
        version=__version__,
        project=daemon.project,
        # What belongs to the start alone is over.
        options=house.options.but(on_up=None, release=False, focus=None),
        policy=daemon.policy,
        reader=ReaderMemory(dict(house.read.environ), house.read.options, house.read.cwd, house.read.stdin),
        core=take_snapshot(daemon.supervisor),
        lost=daemon._lost,
        formation=dict(daemon.keeper.formation),
        claim=_claim(beginning.claim),
        cgroups=beginning.cgroups.folder,
        launcher=_launcher(daemon.launcher),
        limits=_limits(daemon.confinement),
        processes=_processes(daemon._processes),
        readiness=_readiness(daemon.readiness),
        streams=memory.remember_streams(house.pump),
        console=memory.remember_console(house.console),
        history=memory.remember_history(house.history),
        listener=ListenerMemory(
            house.server.listener.socket.fileno(), house.server.listener.inode, house.server._complained
        ),
        visitors=tuple(map(visitor, house.server.connections)),
        logs=memory.remember_logs(house.outlets.files) if house.outlets.files is not None else None,
        syslog=memory.remember_syslog(house.outlets.syslog) if house.outlets.syslog is not None else None,
        guardian=GuardianMemory(guardian.pid, guardian.pipe) if guardian is not None else None,
        terminal=terminal,
        unkept=daemon.keeper.trouble,
        announced=daemon.announced,
        pinned=pinned,
    )


def _claim(claim: Claim) -> ClaimMemory:
    lock = claim.lock
    if lock._descriptor is None:
        raise RuntimeError("the lock is not held")
    return ClaimMemory(
        claim.any_cookie, claim.cookie, claim.folder, claim.socket, lock._descriptor, lock._root_descriptor
    )


def _launcher(launcher: Launcher) -> LauncherMemory:
    spawner, notify, sockets = launcher._spawner, launcher.notify._opened, launcher.sockets
    return LauncherMemory(
        (spawner._stdin, spawner._stdin_writer),
        spawner._inherited_limit,
        {name: NotifySocketMemory(each.socket.fileno(), each.user) for name, each in notify.items()},
        {address: opened.fileno() for address, opened in sockets._opened.items()},
        dict(sockets._addresses),
    )


def _limits(confinement: Confinement) -> LimitsMemory:
    return LimitsMemory(
        dict(confinement.by_type),
        confinement.hard,
        dict(confinement.reasons),
        dict(confinement.restarts),
        confinement._told,
        dict(confinement._before),
    )


def _processes(processes: Processes) -> ProcessesMemory:
    adoption, terminals = processes._adoption, processes.terminals._by_name
    return ProcessesMemory(
        dict(processes._leaders),
        dict(processes._sent),
        {name: RemainsMemory(each._group, each._killing) for name, each in processes._remains.items()},
        frozenset(adoption._escaped) if adoption is not None else frozenset(),
        {name: ScreenMemory(bytes(each._past), each.said) for name, each in terminals.items() if not each.ended},
    )


def _readiness(readiness: Readiness) -> ReadinessMemory:
    return ReadinessMemory(dict(readiness._missing), dict(readiness._says), dict(readiness._lines))
