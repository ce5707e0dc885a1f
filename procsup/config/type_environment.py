"""What one process type starts from: the app's environment, without what it may not see, and its own on top."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from procsup.config.environment import Binding, Environment, Origin
from procsup.config.settings import Settings
from procsup.value import Value

# Of one type: its extra .env files, each the name it is known by and its bindings, in the order in which they are read.
Files = tuple[tuple[str, tuple[Binding, ...]], ...]


class TypeEnvironments(Value):
    """All of a project's types; `files` are the `env_file` of each."""

    environment: Environment
    settings: Settings
    files: Mapping[str, Files]

    def of(self, name: str | None) -> dict[str, str]:
        """Weakest first: the app's (.env files, inherited), `env` of the app, then the type's `env_file` and `env`.

        Without a name, what is not of one type.
        """
        app = {**self.environment.values, **self.settings.defaults.env}
        if name is None:
            return app
        values = self.settings.visible(name, app)
        for _, bindings in self.files.get(name, ()):
            values.update((each.name, each.value) for each in bindings)
        values.update(self.settings.own_env(name))
        return values

    def origin(self, name: str | None, key: str) -> list[Origin]:
        """Everywhere the variable has a value for the type, strongest first; the first is the one that counts."""
        found: list[tuple[str, str]] = []
        if name is not None:
            own = self.settings.own_env(name)
            if key in own:
                found.append((self.settings.places[name, f"env.{key}"], own[key]))
            for shown, bindings in reversed(self.files.get(name, ())):
                found += [(f"{shown}:{each.line}", each.value) for each in reversed(bindings) if each.name == key]
        if name is None or self.settings.visible(name, {key: ""}):
            if key in self.settings.defaults.env:
                found.append((self.settings.places["", f"env.{key}"], self.settings.defaults.env[key]))
            found += [(each.where, each.value) for each in self.environment.origin(key)]
        return [Origin(where, value) for where, value in found]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that may not be shown, of whichever type."""
        from procsup.config.secrets import secret_values  # its patterns are not for the way to the first child

        tables = [self.settings.defaults, *self.settings.types.values()]
        of_settings = chain.from_iterable(table.env.items() for table in tables)
        of_files = (
            (each.name, each.value) for files in self.files.values() for _, bindings in files for each in bindings
        )
        return (*self.environment.secrets, *secret_values(chain(of_settings, of_files)))
