"""Finds the files of a project: which Procfile, which .env files, in which root.

$PROCFILE may stand in `.env`, which is looked for in the root, which is the Procfile's folder: so `.env` is first
looked for where the Procfile would be without it, and if that one names a Procfile elsewhere it stays the project's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from procsup.config.environment import EnvFile, Environment, load_environment
from procsup.config.location import DEFAULT_PROCFILE, STDIN, find_root, named_procfile
from procsup.errors import UsageError
from procsup.value import Value

STDIN_SHOWN = "<stdin>"


class Found(Value):
    """The Procfile by its path and by the name a person knows it by; nothing of it is read yet."""

    root: str
    procfile: str
    shown: str
    environment: Environment


def find_project(
    procfile: str | None,
    root: str | None,
    env_name: str | None,
    env_files: Sequence[str],
    override: bool,
    environ: Mapping[str, str],
    cwd: str,
) -> Found:
    """The rule of the contract's "which file", whose order decides. Raises ConfigError for a broken .env."""
    where = find_root(procfile, root, cwd)
    if root is not None and not os.path.isdir(where):
        raise UsageError(f'there is no folder "{root}"; give the folder of the app with -d')
    base = root or ""  # what names are relative to
    procfile = named_procfile(procfile, root, env_name, override, environ, cwd)
    where = find_root(procfile, root, cwd)
    environment = load_environment(_env_files(procfile, base, where, env_name, env_files, cwd), environ, override)
    if procfile == STDIN:
        return Found(where, STDIN, STDIN_SHOWN, environment)
    if procfile is None:
        procfile = os.path.join(base, environment.values.get("PROCFILE") or DEFAULT_PROCFILE)
        where = find_root(procfile, root, cwd)
    return Found(where, os.path.join(cwd, procfile), procfile, environment)


def _env_files(
    procfile: str | None, base: str, root: str, env_name: str | None, given: Sequence[str], cwd: str
) -> list[EnvFile]:
    """Those given, which must be there; else .env and .env.NAME of the root, which need not."""
    if given:
        names = [name.strip() for text in given for name in text.split(",")]
        if not all(names):
            raise UsageError("an empty file name in --env; write -e FILE or -e FILE,FILE")
        return [EnvFile(os.path.join(cwd, name), name, required=True) for name in names]
    if not base and procfile is not None and procfile != STDIN:
        base = os.path.dirname(procfile)
    names = [".env", f".env.{env_name}"] if env_name else [".env"]
    return [EnvFile(os.path.join(root, name), os.path.join(base, name)) for name in names]
