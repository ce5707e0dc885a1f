"""Takes the picture of a project that engines are given: what the files say, and nothing of the shell around us.

The project has to be read with `env_override`, so that a file's value wins over the shell's: an export made in another
terminal is the same, and no secret of somebody's shell is written down.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from procsup.config.environment import INHERITED
from procsup.config.expand import expand_command
from procsup.config.ports import PORT_VARIABLE, port_variables
from procsup.config.project import Project
from procsup.config.secrets import mask_text, masked, secret_values
from procsup.config.settings import (
    LIVE_INTERVAL,
    MOUNT,
    READY_TIMEOUT,
    RESTART_WINDOW,
    Step,
    mount_variable,
)
from procsup.config.settings_shown import said_of_app, said_of_type
from procsup.core.events import ProjectRead
from procsup.core.model import RequestRefused
from procsup.core.rules import ProcessType
from procsup.core.supervisor import Supervisor
from procsup.errors import UsageError
from procsup.export.model import App, Command, Instance, Mount, Socket, Type, Variables

_USED = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
# What every engine gives its processes, in one way or another, and nobody misses in a file.
_FROM_THE_ENGINE = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD"})


class Machine(NamedTuple):
    """What is asked of this machine: `mount_path` of a type and a name; `login` is a user's HOME, USER and LOGNAME.

    `inherited` is the environment that procsup was called in; `owner` who called it, None for root.
    """

    inherited: Mapping[str, str]
    owner: str | None
    mount_path: Callable[[str, str], str]
    login: Callable[[str], Mapping[str, str]]


def picture(project: Project, counts: Mapping[str, int], machine: Machine) -> App:
    """`counts` are for types whose count is not that of the files. Raises UsageError for a formation that cannot be."""
    settings = project.settings
    instances, ports = _formation(project, {**project.default_counts(), **counts})
    kept = {each.name: _of_files(project, each.name) for each in project.types}
    secrets = secret_values(chain.from_iterable(values.items() for values in kept.values()))
    path = machine.inherited.get("PATH")
    types = []
    for each in project.types:
        name, own = each.name, settings.of(each.name)
        found = instances[name]
        first = found[0] if found else _Numbers(1, ports[name], sum(map(len, instances.values())) + 1)
        values = kept[name]
        values.setdefault("PYTHONUNBUFFERED", "1")
        values["PROCSUP_TYPE"] = name
        shown = masked(values, secrets)
        set_by_us = {"PYTHONUNBUFFERED", "PROCSUP_TYPE"}
        steps = own.stop_steps()
        folder = project.folder_of(name)
        user = own.user or machine.owner
        login = machine.login(user) if user is not None else {}
        environment = {"PATH": path or os.defpath, **values, **_own_variables(name, first)}
        types.append(
            Type(
                name=name,
                command=_command(each.command, environment, secrets),
                port=ports[name],
                instances=tuple(_instance(name, numbers) for numbers in found),
                first=_instance(name, first),
                env=Variables(
                    {key: values[key] for key in sorted(values) if shown[key] == values[key] or key in set_by_us},
                    {key: values[key] for key in sorted(values) if shown[key] != values[key] and key not in set_by_us},
                ),
                cwd=folder,
                subfolder=_below(project.root, folder),
                user=own.user,
                login={key: value for key, value in sorted(login.items()) if key not in values},
                stop=tuple(Step(number, wait) for number, wait in steps),
                grace=sum(wait for _, wait in steps),
                restart=own.restart_word(None, release=name in project.releases),
                max_restarts=own.max_restarts,
                restart_window=RESTART_WINDOW if own.restart_window is None else own.restart_window,
                limits=settings.limits(name),
                ready=own.ready,
                ready_timeout=READY_TIMEOUT if own.ready_timeout is None else own.ready_timeout,
                live=own.live,
                live_interval=LIVE_INTERVAL if own.live_interval is None else own.live_interval,
                mounts=tuple(Mount(each, mount_variable(each), machine.mount_path(name, each)) for each in own.mounts),
                socket=_socket(own.socket, project.root),
                depends_on=settings.depends_on(name),
                one_shot=own.one_shot,
                release=name in project.releases,
                said=tuple(said for said in said_of_type(project, name) if not said.key.startswith("env.")),
            )
        )
    return App(
        name=project.app,
        slug=_slug(project.app),
        root=project.root,
        owner=machine.owner,
        path=path,
        types=tuple(types),
        type_ports=port_variables(ports),
        said=tuple(said for said in said_of_app(project) if "." not in said.key),
    )


class _Numbers(NamedTuple):
    number: int
    port: int
    unique_int: int


def _formation(project: Project, counts: Mapping[str, int]) -> tuple[dict[str, list[_Numbers]], dict[str, int]]:
    """As `start` would number them. Raises UsageError."""
    supervisor = Supervisor(base_port=project.base_port)
    types = tuple(ProcessType(each.name) for each in project.types)
    try:
        supervisor.handle(ProjectRead(types, counts, {}, most=project.settings.max_processes), 0.0)
    except RequestRefused as error:
        raise UsageError(str(error)) from error
    found: dict[str, list[_Numbers]] = {each.name: [] for each in project.types}
    for each in supervisor.instances():
        found[each.name.type].append(_Numbers(each.name.number, each.port, each.unique_int))
    return found, supervisor.type_ports


def _of_files(project: Project, name: str) -> dict[str, str]:
    """The variables that some file sets, but for those that are procsup's to set."""
    environments = project.environments
    return {
        key: value
        for key, value in environments.of(name).items()
        if not (key in _OURS or key.startswith(_OUR_PREFIXES))
        and (origins := environments.origin(name, key))
        and origins[0].where != INHERITED
    }


_OURS = frozenset({"PORT", "PS", "PWD", "PROCSUP_TYPE", "PROCSUP_INSTANCE", "PROCSUP_UNIQUE_INT"})
_OUR_PREFIXES = (MOUNT, PORT_VARIABLE)


def _own_variables(name: str, numbers: _Numbers) -> dict[str, str]:
    return {
        "PORT": str(numbers.port),
        "PS": f"{name}.{numbers.number}",
        "PROCSUP_INSTANCE": str(numbers.number),
        "PROCSUP_UNIQUE_INT": str(numbers.unique_int),
    }


def _instance(name: str, numbers: _Numbers) -> Instance:
    return Instance(numbers.number, numbers.port, numbers.unique_int, _own_variables(name, numbers))


def _command(text: str, environment: Mapping[str, str], secrets: tuple[str, ...]) -> Command:
    expanded = expand_command(text, environment, 1)
    simple = not expanded.shell
    fixed = simple and "$" not in text
    return Command(text, expanded.argv if fixed else None, simple, mask_text(text, secrets) != text)


def _below(root: str, folder: str) -> str | None:
    if folder == root:
        return ""
    inside = os.path.relpath(folder, root)
    return None if inside == os.pardir or inside.startswith(os.pardir + os.sep) else inside


def _socket(address: str | None, root: str) -> Socket | None:
    if address is None:
        return None
    if "/" in address:
        return Socket(address, path=os.path.normpath(os.path.join(root, address)))
    host, _, port = address.rpartition(":")
    return Socket(address, host.strip("[]"), int(port))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "app"


def differing(project: Project, app: App, inherited: Mapping[str, str]) -> Iterator[str]:
    """Sentences on what a person may miss: what the shell has in another way, or alone."""
    told: set[str] = set()
    for each in app.types:
        if each.command.secret:
            yield f"{each.name}: its command has a secret in it, readable by every user in ps: put it into a variable"
        known = {**app.environment(each, each.first), **inherited}
        for key, value in each.env.all.items():
            if key not in told and inherited.get(key, value) != value and key != "PYTHONUNBUFFERED":
                told.add(key)
                where = project.environments.origin(each.name, key)[0].where
                yield f"{key} differs between {where} and the environment procsup was called in: {where} is exported"
        for key in dict.fromkeys(_USED.findall(each.command.text)):
            own = app.environment(each, each.first)
            if key not in told and key not in own and key in known and key not in _FROM_THE_ENGINE:
                told.add(key)
                yield f"{each.name} uses ${key}, which only your shell sets: put it into .env to have it exported"


def counts_kept(kept: Mapping[str, int], app: App, asked: Mapping[str, int]) -> Iterator[str]:
    """Sentences on counts that were scaled on this machine, and are not in the files."""
    for each in app.types:
        if each.name not in asked and kept.get(each.name, each.count) != each.count:
            number = kept[each.name]
            yield (
                f"{each.name}: {number} {'was' if number == 1 else 'were'} scaled here, and the files say "
                f"{each.count}, which is exported; for the other add -m {each.name}={number}"
            )
