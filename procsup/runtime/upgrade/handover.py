"""All that a supervisor hands to the version that takes over from it, in the same process, and how it is taken.

Descriptors go by their numbers, which an exec keeps. What is not here is made anew: timers, looks, tasks.
"""

from __future__ import annotations

from collections.abc import Mapping

from procsup.config import project, settings
from procsup.control.visitors import Visitor
from procsup.core import rules
from procsup.core.model import InstanceName
from procsup.core.snapshot import Snapshot
from procsup.output import memory
from procsup.output.source import Source
from procsup.runtime.limits import controllers
from procsup.runtime.options import Policy, RunOptions
from procsup.runtime.upgrade.document import Aliases
from procsup.value import Value


class RemainsMemory(Value):
    """Of an instance whose leader has ended. `group` is None once the number may be somebody else's."""

    group: int | None
    killing: bool


class ScreenMemory(Value):
    """What was on a terminal lately, and how many bytes ever were."""

    past: bytes
    said: int


class ProcessesMemory(Value):
    leaders: Mapping[InstanceName, int]
    sent: Mapping[InstanceName, int]
    remains: Mapping[InstanceName, RemainsMemory]
    escaped: frozenset[str]
    screens: Mapping[str, ScreenMemory]


class ReadinessMemory(Value):
    missing: Mapping[str, str]
    says: Mapping[str, str]
    lines: Mapping[Source, bytes]


class LimitsMemory(Value):
    by_type: Mapping[str, settings.Limits]
    hard: frozenset[str]
    reasons: Mapping[InstanceName, str]
    restarts: Mapping[InstanceName, int]
    told: str
    before: Mapping[InstanceName, controllers.OutOfMemory]


class NotifySocketMemory(Value):
    descriptor: int
    user: int


class LauncherMemory(Value):
    """`limit` is the one of open files that children get; `sockets` are by address, `addresses` by type."""

    stdin: tuple[int, int]
    limit: tuple[int, int]
    notify_sockets: Mapping[InstanceName, NotifySocketMemory]
    sockets: Mapping[str, int]
    addresses: Mapping[str, str]


class ClaimMemory(Value):
    any_cookie: str
    cookie: str
    folder: str
    socket: str
    lock: int
    root_lock: int | None


class ReaderMemory(Value):
    """`environ` is the environment that the first version was started with."""

    environ: Mapping[str, str]
    options: project.ProjectOptions
    cwd: str
    stdin: bytes | None


class GuardianMemory(Value):
    pid: int
    pipe: int


class ListenerMemory(Value):
    """Of the control socket. `inode` says whether what has its name is still the same.

    `complained`: that it is not, and cannot be made again, has been told.
    """

    descriptor: int
    inode: tuple[int, int]
    complained: bool = False


class Handover(Value):
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


# By these names they are told to other versions, all others by their own: whoever gives a class another name puts the
# one before here. Of ProcessType there are two.
ALIASES: Aliases = {rules.ProcessType: "Rules", project.ProcessType: "Line"}
