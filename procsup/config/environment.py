"""The environment that instances start from: the .env files and what procsup inherited, and who won where.

python-dotenv reads the files, and is imported only where there is one: most of its cost is the import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType

from procsup.config.files import owner_warning, read_file
from procsup.errors import ConfigError, Problem
from procsup.value import Value

INHERITED = "inherited environment"


class EnvFile(Value):
    """A .env file to read; one that is not required may be missing."""

    path: str
    shown: str
    required: bool = False


class Binding(Value):
    """One NAME=value of a .env file, with ${…} resolved."""

    name: str
    value: str
    line: int


class Origin(Value):
    """One place that has a value for a name."""

    where: str
    value: str


class Environment(Value):
    """`layers` are (what it is, its bindings) strongest first; a file's bindings run from last to first."""

    values: Mapping[str, str]
    layers: tuple[tuple[str, tuple[Binding, ...]], ...]
    inherited: Mapping[str, str]
    override: bool
    warnings: tuple[str, ...] = ()

    def origin(self, name: str) -> list[Origin]:
        """Everywhere `name` has a value, strongest first: that one counts. Empty where nobody sets it."""
        found = [
            (f"{shown}:{binding.line}", binding.value)
            for shown, bindings in self.layers
            for binding in bindings
            if binding.name == name
        ]
        if name in self.inherited:
            found.insert(len(found) if self.override else 0, (INHERITED, self.inherited[name]))
        return [Origin(where, value) for where, value in found]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that may not be shown. Those that lost are among them: they may stand inside of others."""
        from procsup.config.secrets import secret_values  # its patterns are not for the way to the first child

        bindings = ((each.name, each.value) for _, bindings in self.layers for each in bindings)
        return secret_values(chain(self.values.items(), self.inherited.items(), bindings))

    @property
    def conflicts(self) -> tuple[str, ...]:
        """One line for each name on which the .env files and the inherited environment differ; never the values."""
        strongest: dict[str, tuple[str, str]] = {}
        for shown, bindings in self.layers:
            for binding in bindings:
                strongest.setdefault(binding.name, (binding.value, f"{shown}:{binding.line}"))
        return tuple(
            f"{name} differs between {where} and the {INHERITED}: "
            + (f"{where} wins (--env-override)" if self.override else f"the {INHERITED} wins (--env-override turns it)")
            for name, (value, where) in strongest.items()
            if self.inherited.get(name, value) != value
        )


def load_environment(files: Sequence[EnvFile], inherited: Mapping[str, str], override: bool) -> Environment:
    """`files` from weakest to strongest. Raises ConfigError with the problems of all of them."""
    from_files: dict[str, str] = {}
    layers: list[tuple[str, tuple[Binding, ...]]] = []
    problems: list[Problem] = []
    warnings: list[str] = []
    for file in files:
        try:
            content = read_file(file.path, file.shown)
            if content is None:
                if file.required:
                    problems.append(Problem(file.shown, 1, 1, "there is no such file; create it, or name another"))
                continue
            if content.readable_by_others:
                warnings.append(f"{file.shown} can be read by other users; run: chmod o-r {file.shown}")
            warnings += owner_warning(content, file.shown)
            weaker = {**inherited, **from_files} if override else from_files
            bindings = _read(content.data, file.shown, weaker, {} if override else inherited)
        except ConfigError as error:
            problems.extend(error.problems)
            continue
        from_files.update((binding.name, binding.value) for binding in bindings)
        layers.insert(0, (file.shown, tuple(reversed(bindings))))
    if problems:
        raise ConfigError(problems)
    values = {**inherited, **from_files} if override else {**from_files, **inherited}
    return Environment(MappingProxyType(values), tuple(layers), inherited, override, tuple(warnings))


def _read(data: bytes, shown: str, weaker: Mapping[str, str], stronger: Mapping[str, str]) -> list[Binding]:
    from procsup.config.dotenv_file import parse_env_file

    return [Binding(*each) for each in parse_env_file(data, shown, weaker, stronger)]
