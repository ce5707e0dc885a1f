"""The unit under which systemd runs procsup itself: text only. Why each line is there: docs/decisions/systemd.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from procsup.errors import UsageError
from procsup.export import systemd_words as words

PREFIX, SUFFIX = "procsup-", ".service"
_OURS = "# Written by `procsup install`."
_ROOT, _STATE = "Root", "State"
_Value = TypeVar("_Value")


class OwnService(NamedTuple):
    """`user` is whom it runs as, None in a unit of a user's own systemd; times are in seconds.

    `command` are the words that start procsup, without a command; `start` what follows them to start this application.
    `state` is the folder of the application's state; `state_directory`: whether systemd has to make the one above it.
    `env_file`: what has to be kept from other eyes. `protect`: whether all of the application is outside of /usr.
    """

    name: str
    app: str
    root: str
    user: str | None
    command: Sequence[str]
    start: Sequence[str]
    environment: Mapping[str, str]
    env_file: str | None
    state: str
    state_directory: bool
    longest_stop: float
    protect: bool


class Installed(NamedTuple):
    """What a unit of ours says of itself."""

    root: str
    state: str


def unit_name(name: str) -> str:
    return f"{PREFIX}{name}{SUFFIX}"


def installed(text: str) -> Installed | None:
    """None where the unit is not one of ours."""
    if not text.startswith(_OURS):
        return None
    said = dict(line.split("=", 1) for line in text.split("\n") if line.startswith((f"{_ROOT}=", f"{_STATE}=")))
    return Installed(said.get(_ROOT, ""), said.get(_STATE, ""))


def unit(service: OwnService) -> str:
    """Raises UsageError for what no unit can carry."""
    of_system = service.user is not None
    with_words = (*service.command, "start", *service.start)
    reload = (*service.command, "reload", "--root", service.root)
    name = unit_name(service.name)
    edit = f"systemctl {'' if of_system else '--user '}edit {name.removesuffix(SUFFIX)}"
    lines = [
        f"{_OURS} `procsup uninstall` removes it; lines of your own go in with: {edit}",
        "[X-Procsup]",
        f"{_ROOT}={_said('the folder', service.root, _plain)}",
        f"{_STATE}={_said('the folder of the state', service.state, _plain)}",
        "",
        "[Unit]",
        f"Description={words.sentence(service.app)}, run by procsup",
        *(("Wants=network-online.target", "After=network-online.target") if of_system else ()),
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        *((f"User={words.sentence(service.user)}",) if service.user is not None else ()),
        f"WorkingDirectory={_said('the folder', service.root, words.path)}",
        *_environment(service),
        f"ExecStart={_said('the command', with_words, words.exec_line)}",
        f"ExecReload={_said('the command', reload, words.exec_line)}",
        # A release that fails ends the start; nobody wants a migration in a loop.
        f"Restart={'on-abnormal' if '--release' in service.start else 'on-failure'}",
        "RestartSec=2",
        "TimeoutStartSec=90",
        f"TimeoutStopSec={service.longest_stop:.0f}",
        "WatchdogSec=30",
        "WatchdogSignal=SIGKILL",
        "KillMode=mixed",
        "OOMPolicy=continue",
        "Delegate=yes",
        "LimitNOFILE=1024:524288",
        "SyslogIdentifier=procsup",
        *(_of_system(service) if of_system else ()),
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if of_system else 'default.target'}",
    ]
    return "\n".join(lines) + "\n"


def environment_file(variables: Mapping[str, str]) -> str:
    """Raises UsageError for a value that it cannot carry."""
    return f"{_OURS}\n" + _said("what is set", dict(variables), words.environment_file)


def is_ours(text: str) -> bool:
    return text.startswith(_OURS)


def _environment(service: OwnService) -> list[str]:
    lines = [
        f"Environment={_said(name, value, partial(words.environment, name))}"
        for name, value in service.environment.items()
    ]
    if service.env_file is not None:
        lines.append(f"EnvironmentFile={_said('the file', service.env_file, words.pattern)}")
    return lines


def _of_system(service: OwnService) -> list[str]:
    own = [f"StateDirectory={PREFIX}{service.name}", "StateDirectoryMode=0700"] if service.state_directory else []
    return [
        "LogRateLimitIntervalSec=0",
        f"RuntimeDirectory=procsup-system/{service.name}",
        "RuntimeDirectoryMode=0700",
        *own,
        *(["ProtectSystem=yes"] if service.protect else []),
    ]


def _plain(value: str) -> str:
    words.path(value)  # raises what there is to say against it
    return value


def _said(what: str, value: _Value, say: Callable[[_Value], str]) -> str:
    try:
        return say(value)
    except words.Unsayable as error:
        shown = value if isinstance(value, str) and what.startswith("the f") else ""
        raise UsageError(f"{what}{f' {shown!r}' if shown else ''} {error}; systemd cannot be told of it") from error
