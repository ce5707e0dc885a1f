"""launchd: a property list for each instance, to run as a daemon of the system."""

from __future__ import annotations

import math
import plistlib
from collections.abc import Iterator

from procsup.errors import UsageError
from procsup.export import shell
from procsup.export.model import PRIVATE, PUBLIC, App, Export, File, Instance, Type
from procsup.export.stopping import seconds, signal_name
from procsup.export.unsaid import is_text, lost_sentence, unsaid

_CANNOT = {
    "size": "it limits neither memory nor processors in earnest",
    "memory": "its limits of memory are not kept by macOS",
    "cpu": "it limits no processors",
    "ready": "it does not look whether a process is ready",
    "live": "it does not look whether a process still answers",
    "depends_on": "it starts all at once, and again until what they need is there",
    "max_restarts": "it never gives up",
    "socket": "its sockets have to be asked for, by a call of its own",
    "mounts": "it makes no folders: the variables are set, the folders are yours to make",
}
_DAEMONS = "/Library/LaunchDaemons"
_SIGTERM = 15  # all that launchd sends before SIGKILL
_PAUSE = 1  # seconds between two starts; it does not let them grow


def write(app: App) -> Export:
    files: dict[str, File] = {}
    for of in app.types:
        for each in of.instances:
            label = f"{app.slug}.{of.name}.{each.number}"
            private = of.command.secret or bool(of.env.secret)
            files[f"{label}.plist"] = File(
                _property_list(_entries(app, of, each, label)), PRIVATE if private else PUBLIC
            )
    return Export(
        files,
        (*unsaid(app, "launchd", _CANNOT), *_sentences(app)),
        _next(app),
    )


def _next(app: App) -> str:
    names = [name for of in app.types if of.count for name in shell.named(app, of, f"{app.slug}.{of.name}.", ".plist")]
    if not names:
        return "nothing, as launchd has no property list for what does not run; export again with -m NAME=N"
    return (
        f"sudo mkdir -p /var/log/{app.slug} && "
        f"sudo install -o root -g wheel -m 600 {' '.join(names)} {_DAEMONS}/ && "
        f"sudo launchctl bootstrap system {' '.join(name.replace('{}', _DAEMONS) for name in names)}"
    )


def _entries(app: App, of: Type, instance: Instance, label: str) -> dict[str, object]:
    if not is_text(of.cwd):
        raise UsageError(f"the folder of {of.name} is no UTF-8 text, and cannot be written down; give it another name")
    log = f"/var/log/{app.slug}/{of.name}.{instance.number}.log"
    user = app.user_of(of)
    return {
        "Label": label,
        "ProgramArguments": _argv(of, instance),
        "EnvironmentVariables": {
            name: value for name, value in app.environment(of, instance).items() if is_text(name) and is_text(value)
        },
        "WorkingDirectory": of.cwd,
        **({"UserName": user} if user else {}),
        "RunAtLoad": True,
        "KeepAlive": {"always": True, "on-failure": {"SuccessfulExit": False}, "never": False}[of.restart],
        "ThrottleInterval": _PAUSE,
        "ExitTimeOut": _grace(of),
        "ProcessType": "Standard",
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }


def _grace(of: Type) -> int:
    """0 would be for ever."""
    return max(1, math.ceil(of.grace))


def _argv(of: Type, instance: Instance) -> list[str]:
    """A shell looks the program up in the PATH of the variables, and launchd in another."""
    argv = of.command.argv(instance.unique_int)
    return list(argv) if argv[0].startswith("/") else ["/bin/sh", "-c", of.command.for_shell(instance.unique_int)]


def _property_list(entries: dict[str, object]) -> bytes:
    """As text, if that says the same: XML has not every character, and takes some line breaks for others."""
    try:
        text = plistlib.dumps(entries, fmt=plistlib.FMT_XML)
        if plistlib.loads(text) == entries:
            return text
    except Exception:  # noqa: S110 (whatever plistlib and its parser of XML raise: it is not to be said in XML)
        pass
    return plistlib.dumps(entries, fmt=plistlib.FMT_BINARY)


def _sentences(app: App) -> Iterator[str]:
    lost: dict[str, list[str]] = {}
    for of in app.types:
        for name, value in of.env.all.items():
            if not (is_text(name) and is_text(value)):
                lost.setdefault(name, []).append(of.name)
    for name, types in lost.items():
        yield lost_sentence(name, types, "a property list has no bytes that are no text")
    for of in app.types:
        if not of.count:
            yield f"{of.name}: its count is 0, so there is no property list of it"
        elif [step.signal for step in of.stop] != [_SIGTERM]:
            signals, grace = ", ".join(signal_name(step.signal) for step in of.stop) or "KILL", _grace(of)
            yield f"{of.name}: its stop, {signals}, is left out: launchd sends TERM, and SIGKILL {grace} s later"
        elif _grace(of) != of.grace:
            yield f"{of.name}: its grace of {seconds(of.grace)} s becomes {_grace(of)} s: launchd counts whole ones"
