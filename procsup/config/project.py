"""Puts together what a person wants of an app: its process types, their environment and ports.

`load_project` is all that the others need of `config`; what it returns never changes. The values of this package are
named tuples: making a frozen dataclass costs most of a millisecond each, on the way to the first child.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from procsup.config.environment import Environment
from procsup.config.files import read_file
from procsup.config.location import STDIN, environment_name
from procsup.config.lookup import STDIN_SHOWN, find_project
from procsup.config.ports import PORTS_PER_TYPE, base_port, check_ports
from procsup.config.procfile import Procfile, parse_procfile
from procsup.errors import ConfigError, Problem, unknown_name

_BY_DEFAULT = 1
_RELEASE = "release"  # a one-off by the platforms' convention, so none of it runs unless asked for


class ProjectOptions(NamedTuple):
    """The options common to all commands that read the project, and --port."""

    procfile: str | None = None
    root: str | None = None
    env_name: str | None = None
    env_files: tuple[str, ...] = ()
    env_override: bool = False
    port: int | None = None


class ProcessType(NamedTuple):
    """One line of the Procfile; `position` counts from 0 and decides its ports."""

    name: str
    command: str
    position: int
    line: int


class Project(NamedTuple):
    """`warnings` are for every start, `check_warnings` for `check` alone; `procfile` is as a person would name it."""

    root: str
    app: str
    procfile: str
    env_name: str | None
    types: tuple[ProcessType, ...]
    environment: Environment
    base_port: int
    warnings: tuple[str, ...] = ()
    check_warnings: tuple[Problem, ...] = ()

    def type(self, name: str) -> ProcessType:
        for process_type in self.types:
            if process_type.name == name:
                return process_type
        raise unknown_name(name, [process_type.name for process_type in self.types], self.procfile)

    def default_counts(self) -> dict[str, int]:
        return {each.name: 0 if each.name == _RELEASE else _BY_DEFAULT for each in self.types}

    def port_of(self, name: str) -> int:
        """The port of the type's instance 1."""
        return self.base_port + PORTS_PER_TYPE * self.type(name).position

    def set_by_procsup(
        self, name: str, number: int, port: int, unique_int: int, type_ports: Mapping[str, int]
    ) -> dict[str, str]:
        """What no file can overwrite, and PYTHONUNBUFFERED where nobody set it."""
        own = {} if "PYTHONUNBUFFERED" in self.environment.values else {"PYTHONUNBUFFERED": "1"}
        for other, its_port in type_ports.items():
            own.setdefault(f"PROCSUP_PORT_{other.replace('-', '_')}", str(its_port))
        return own | {
            "PORT": str(port),
            "PS": f"{name}.{number}",
            "PROCSUP_TYPE": name,
            "PROCSUP_INSTANCE": str(number),
            "PROCSUP_UNIQUE_INT": str(unique_int),
            # A shell would correct an inherited PWD that is not the folder it starts in; without one, we do.
            "PWD": self.root,
        }

    def instance_environment(
        self,
        name: str,
        number: int,
        port: int,
        unique_int: int,
        type_ports: Mapping[str, int],
    ) -> dict[str, str]:
        return {**self.environment.values, **self.set_by_procsup(name, number, port, unique_int, type_ports)}

    def fingerprint(self, name: str) -> str:
        """Changes when an instance would be started from something else; not when the type only moved in the file.

        Holds values that may be secret: to be compared, never shown or stored.
        """
        values = {key: value for key, value in self.environment.values.items() if key != "PORT"}
        parts = [self.root, self.type(name).command]
        parts += [f"{key}={values[key]}" for key in sorted(values)]
        return "\0".join(parts)


def load_project(options: ProjectOptions, environ: Mapping[str, str], cwd: str, stdin: Callable[[], bytes]) -> Project:
    """Reads everything and starts nothing. Raises ConfigError with all that is wrong in the files, or UsageError.

    `environ` is the environment procsup was started with; `stdin` is called for `-f -` only.
    """
    env_name = environment_name(options.env_name, environ)
    found = find_project(
        options.procfile, options.root, env_name, options.env_files, options.env_override, environ, cwd
    )
    procfile, warnings = _read_procfile(found.procfile, found.shown, stdin)
    types = tuple(
        ProcessType(entry.name, entry.command, position, entry.line) for position, entry in enumerate(procfile.entries)
    )
    base = base_port(options.port, found.environment)
    check_ports(base, [each.name for each in types])
    return Project(
        root=found.root,
        app=os.path.basename(found.root) or "root",
        procfile=found.shown,
        env_name=env_name,
        types=types,
        environment=found.environment,
        base_port=base,
        warnings=(*found.environment.conflicts, *found.environment.warnings, *warnings),
        check_warnings=procfile.warnings,
    )


def _read_procfile(path: str, shown: str, stdin: Callable[[], bytes]) -> tuple[Procfile, tuple[str, ...]]:
    if path == STDIN:
        return parse_procfile(stdin(), STDIN_SHOWN), ()
    content = read_file(path, shown, "name another with -f")
    if content is None:
        advice = "create it with lines such as web: COMMAND, or name another with -f"
        raise ConfigError([Problem(shown, 1, 1, f"there is no such file; {advice}")])
    warnings: tuple[str, ...] = ()
    if os.geteuid() == 0 and content.writable_by_others:
        warnings = (f"{shown} can be changed by another user and procsup runs as root; chown it to root",)
    return parse_procfile(content.data, shown), warnings
