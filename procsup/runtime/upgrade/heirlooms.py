"""The classes of what one version hands to another, for the one that reads it; the writer knows what it has."""

from __future__ import annotations

from procsup.config import environment, project, settings
from procsup.control.visitors import Visitor
from procsup.core import actions, model, rolling, rules, snapshot
from procsup.errors import Problem
from procsup.output import memory, rotation, style, syslog_address
from procsup.runtime import child, options
from procsup.runtime.limits import controllers
from procsup.runtime.upgrade.document_reader import Classes
from procsup.runtime.upgrade.handover import (
    ALIASES,
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
        settings.Check,
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
        Problem,
    )
} | {name: each for each, name in ALIASES.items()}
