"""All that a supervisor hands to the version that takes over from it, in the same process, and how it is taken.

Descriptors go by their numbers, which an exec keeps. What is not here is made anew: timers, looks, tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from procsup.config import environment, project, readiness, settings
from procsup.control.visitors import Visitor
from procsup.core import actions, model, rolling, rules, snapshot
from procsup.core.model import InstanceName
from procsup.core.snapshot import Snapshot
from procsup.errors import Problem
from procsup.output import memory, rotation, style, syslog_address
from procsup.output.source import Source
from procsup.runtime import child, controllers, options
from procsup.runtime.document import Classes
from procsup.runtime.options import Policy, RunOptions


class RemainsMemory(NamedTuple):
    """Of an instance whose leader has ended. `group` is None once the number may be somebody else's."""

    group: int | None
    killing: bool


class ScreenMemory(NamedTuple):
    """What was on a terminal lately, and how many bytes ever were."""

    past: bytes
    said: int


class ProcessesMemory(NamedTuple):
    leaders: Mapping[InstanceName, int]
    sent: Mapping[InstanceName, int]
    remains: Mapping[InstanceName, RemainsMemory]
    escaped: frozenset[str]
    screens: Mapping[str, ScreenMemory]


class ReadinessMemory(NamedTuple):
    missing: Mapping[str, str]
    says: Mapping[str, str]
    lines: Mapping[Source, bytes]


class LimitsMemory(NamedTuple):
    by_type: Mapping[str, settings.Limits]
    hard: frozenset[str]
    reasons: Mapping[InstanceName, str]
    restarts: Mapping[InstanceName, int]
    told: str
    before: Mapping[InstanceName, controllers.OutOfMemory]


class NotifySocketMemory(NamedTuple):
    descriptor: int
    user: int


class LauncherMemory(NamedTuple):
    """`limit` is the one of open files that children get; `sockets` are by address, `addresses` by type."""

    stdin: tuple[int, int]
    limit: tuple[int, int]
    notify_sockets: Mapping[InstanceName, NotifySocketMemory]
    sockets: Mapping[str, int]
    addresses: Mapping[str, str]


class ClaimMemory(NamedTuple):
    any_cookie: str
    cookie: str
    folder: str
    socket: str
    lock: int
    root_lock: int | None


class ReaderMemory(NamedTuple):
    """`environ` is the environment that the first version was started with."""

    environ: Mapping[str, str]
    options: project.ProjectOptions
    cwd: str
    stdin: bytes | None


class GuardianMemory(NamedTuple):
    pid: int
    pipe: int


class ListenerMemory(NamedTuple):
    """Of the control socket. `inode` says whether what has its name is still the same.

    `complained`: that it is not, and cannot be made again, has been told.
    """

    descriptor: int
    inode: tuple[int, int]
    complained: bool = False


class Handover(NamedTuple):
    """`lost`: the time that does not count. `unkept`: why the formation could not be written down so far.

    `announced`: systemd knows that all were up. `pinned` are the types whose counts the command line has said.
    """

    pid: int
    upgrades: int
    version: str
    project: project.Project
    options: RunOptions
    policy: Policy
    reader: ReaderMemory
    core: Snapshot
    lost: float
    formation: Mapping[str, int]
    claim: ClaimMemory
    cgroups: str | None
    launcher: LauncherMemory
    limits: LimitsMemory
    processes: ProcessesMemory
    readiness: ReadinessMemory
    streams: tuple[memory.StreamMemory, ...]
    console: memory.ConsoleMemory
    history: memory.HistoryMemory
    listener: ListenerMemory
    visitors: tuple[Visitor, ...]
    logs: memory.LogsMemory | None = None
    syslog: memory.SyslogMemory | None = None
    guardian: GuardianMemory | None = None
    terminal: bool = False
    unkept: str | None = None
    announced: bool = False
    pinned: frozenset[str] = frozenset()

    def descriptors(self) -> tuple[int, ...]:
        launcher, claim = self.launcher, self.claim
        optional = (
            claim.root_lock,
            self.guardian.pipe if self.guardian is not None else None,
            self.syslog.descriptor if self.syslog is not None else None,
        )
        return (
            *launcher.stdin,
            *launcher.sockets.values(),
            *(each.descriptor for each in launcher.notify_sockets.values()),
            *(each.descriptor for each in self.streams),
            claim.lock,
            self.listener.descriptor,
            *(each.descriptor for each in self.visitors),
            *(each for each in optional if each is not None),
        )


# By these names they are told to other versions: they stay when a class gets another name, or another room.
CLASSES: Classes = {
    each.__name__: each
    for each in (
        *model.STATES,
        model.Exit,
        model.InstanceName,
        model.Fault,
        model.Wish,
        rules.RestartPolicy,
        rules.RestartRule,
        rules.StopStep,
        rolling.Surge,
        rolling.Relax,
        actions.RollingHalted,
        snapshot.InstanceMemory,
        snapshot.RosterMemory,
        snapshot.TurnsMemory,
        snapshot.RollingMemory,
        snapshot.EndingMemory,
        snapshot.Snapshot,
        environment.Environment,
        environment.Binding,
        project.Project,
        project.ProjectOptions,
        readiness.Check,
        settings.Settings,
        settings.TypeSettings,
        settings.Limits,
        settings.Step,
        options.RunOptions,
        options.Policy,
        style.Style,
        child.Window,
        rotation.LogFolder,
        rotation.Identity,
        syslog_address.Receiver,
        syslog_address.SyslogAddress,
        syslog_address.Place,
        controllers.OutOfMemory,
        memory.SanitizerMemory,
        memory.SpeakerMemory,
        memory.StreamMemory,
        memory.ConsoleMemory,
        memory.RingMemory,
        memory.HistoryMemory,
        memory.WeaveMemory,
        memory.LogMemory,
        memory.LogsMemory,
        memory.SyslogMemory,
        RemainsMemory,
        ProcessesMemory,
        ReadinessMemory,
        LimitsMemory,
        NotifySocketMemory,
        LauncherMemory,
        ClaimMemory,
        ReaderMemory,
        GuardianMemory,
        ListenerMemory,
        ScreenMemory,
        Visitor,
        Handover,
    )
} | {"Rules": rules.ProcessType, "Line": project.ProcessType, "Problem": Problem}
