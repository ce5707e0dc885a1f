"""Puts together what a person wants of an app: its process types, their environment and ports.

`load_project` is all that the others need of `config`; what it returns never changes. The values of this package are
named tuples: making a frozen dataclass costs most of a millisecond each, on the way to the first child.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from procsup.config.environment import EnvFile, Environment, load_environment
from procsup.config.files import owner_warning, read_file
from procsup.config.location import STDIN, STDIN_SHOWN, Found, environment_name, find_project
from procsup.config.ports import PORTS_PER_TYPE, base_port, check_ports, port_variables
from procsup.config.procfile import Procfile, parse_procfile
from procsup.config.settings import FILE, STARTED_WITH, Settings
from procsup.config.type_environment import Files, TypeEnvironments
from procsup.errors import ConfigError, NoProcfile, Problem, unknown_name
from procsup.value import Value

_BY_DEFAULT = 1
_RELEASE = "release"  # a one-off by the platforms' convention, so none of it runs unless asked for


class ProjectOptions(Value):
    """The options common to all commands that read the project, and --port."""

    procfile: str | None = None
    root: str | None = None
    env_name: str | None = None
    env_files: tuple[str, ...] = ()
    env_override: bool = False
    port: int | None = None


class ProcessType(Value):
    """One line of the Procfile; `position` counts from 0 and decides its ports."""

    name: str
    command: str
    position: int
    line: int


class Project(Value):
    """`warnings` are for every start, `check_warnings` for `check` alone; `procfile` is as a person would name it."""

    root: str
    app: str
    procfile: str
    env_name: str | None
    types: tuple[ProcessType, ...]
    environment: Environment
    base_port: int
    settings: Settings = Settings()
    type_files: Mapping[str, Files] = {}
    warnings: tuple[str, ...] = ()
    check_warnings: tuple[Problem, ...] = ()

    def type(self, name: str) -> ProcessType:
        for process_type in self.types:
            if process_type.name == name:
                return process_type
        raise unknown_name(name, [process_type.name for process_type in self.types], self.procfile)

    def default_counts(self) -> dict[str, int]:
        """How many there are where nobody has said: by procsup.toml, else one, and none of what is a release."""
        counts = {each.name: self.settings.of(each.name).count for each in self.types}
        releases = self.releases
        usual = {each.name: 0 if each.name in releases else _BY_DEFAULT for each in self.types}
        return {name: usual[name] if count is None else count for name, count in counts.items()}

    @property
    def releases(self) -> tuple[str, ...]:
        """The types that are run once, before the others, where somebody asks for it: by procsup.toml, else by name."""
        said = {each.name: self.settings.of(each.name).release for each in self.types}
        return tuple(name for name, release in said.items() if (name == _RELEASE if release is None else release))

    @property
    def environments(self) -> TypeEnvironments:
        return TypeEnvironments(self.environment, self.settings, self.type_files)

    def folder_of(self, name: str) -> str:
        """Where its instances start."""
        return os.path.normpath(os.path.join(self.root, self.settings.of(name).cwd or ""))

    def port_of(self, name: str) -> int:
        """The port of the type's instance 1."""
        return self.base_port + PORTS_PER_TYPE * self.type(name).position

    def set_by_procsup(
        self, name: str, number: int, port: int, unique_int: int, type_ports: Mapping[str, int]
    ) -> dict[str, str]:
        """What no file can overwrite, but PYTHONUNBUFFERED, which is only for where nobody set it."""
        return {
            "PYTHONUNBUFFERED": "1",
            **port_variables(type_ports),
            "PORT": str(port),
            "PS": f"{name}.{number}",
            "PROCSUP_TYPE": name,
            "PROCSUP_INSTANCE": str(number),
            "PROCSUP_UNIQUE_INT": str(unique_int),
            # A shell would correct an inherited PWD that is not the folder it starts in; without one, we do.
            "PWD": self.folder_of(name),
        }

    def instance_environment(
        self,
        name: str,
        number: int,
        port: int,
        unique_int: int,
        type_ports: Mapping[str, int],
    ) -> dict[str, str]:
        values = self.environments.of(name)
        own = self.set_by_procsup(name, number, port, unique_int, type_ports)
        if "PYTHONUNBUFFERED" in values:
            del own["PYTHONUNBUFFERED"]
        return {**values, **own}

    def started_with(self, name: str, key: str) -> object:
        """What a copy that is started now has of a key of STARTED_WITH; two spellings of a folder are the same."""
        return self.folder_of(name) if key == "cwd" else getattr(self.settings.of(name), key)

    def fingerprint(self, name: str) -> str:
        """Changes when an instance would be started from something else; not when the type only moved in the file.

        Holds values that may be secret: to be compared, never shown or stored.
        """
        values = {key: value for key, value in self.environments.of(name).items() if key != "PORT"}
        parts = [self.type(name).command, *(f"{key}={self.started_with(name, key)}" for key in STARTED_WITH)]
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
    settings, type_files, complaints = _read_settings(found, types)
    base = base_port(options.port, found.environment)
    check_ports(base, [each.name for each in types])
    return Project(
        root=found.root,
        app=settings.app or os.path.basename(found.root) or "root",
        procfile=found.shown,
        env_name=env_name,
        types=types,
        environment=found.environment,
        base_port=base,
        settings=settings,
        type_files=type_files,
        warnings=(*found.environment.conflicts, *found.environment.warnings, *warnings, *complaints),
        check_warnings=procfile.warnings,
    )


def _read_settings(
    found: Found, types: tuple[ProcessType, ...]
) -> tuple[Settings, Mapping[str, Files], tuple[str, ...]]:
    """What procsup.toml beside the Procfile says, what the .env files say that it names, and warnings."""
    content = read_file(os.path.join(found.root, FILE), FILE)
    if content is None:
        return Settings(), {}, ()
    from procsup.config.settings_file import parse_settings  # not on the way to the first child where there is none

    settings = parse_settings(content.data, [each.name for each in types], found.shown)
    warnings = owner_warning(content, FILE)
    files: dict[str, Files] = {}
    problems: list[Problem] = []
    for name in (each.name for each in types):
        chosen = [EnvFile(os.path.join(found.root, file), file, required=True) for file in settings.of(name).env_file]
        weaker = settings.visible(name, {**found.environment.values, **settings.defaults.env})
        try:
            read = load_environment(chosen, weaker, override=True)
        except ConfigError as error:
            named_at = settings.place(name, "env_file")
            problems += [each._replace(message=f"{each.message} (env_file, {named_at})") for each in error.problems]
            continue
        if read.layers:
            files[name] = tuple((shown, tuple(reversed(bindings))) for shown, bindings in reversed(read.layers))
        warnings += read.warnings
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return settings, files, tuple(dict.fromkeys(warnings))


def _read_procfile(path: str, shown: str, stdin: Callable[[], bytes]) -> tuple[Procfile, tuple[str, ...]]:
    if path == STDIN:
        return parse_procfile(stdin(), STDIN_SHOWN), ()
    content = read_file(path, shown, "name another with -f")
    if content is None:
        advice = "create it with lines such as web: COMMAND, or name another with -f"
        raise NoProcfile([Problem(shown, 1, 1, f"there is no such file; {advice}")])
    return parse_procfile(content.data, shown), owner_warning(content, shown)
