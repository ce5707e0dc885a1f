"""Finds the files of a project: which Procfile, which .env files, in which root, by which a supervisor is known.

$PROCFILE may stand in `.env`, which is looked for in the root, which is the Procfile's folder: so `.env` is first
looked for where the Procfile would be without it, and if that one names a Procfile elsewhere it stays the project's.
Light, since the client asks for the root, too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from procsup.config.files import MAX_SIZE
from procsup.errors import UsageError
from procsup.value import Value

if TYPE_CHECKING:
    from procsup.config.environment import EnvFile, Environment

STDIN = "-"
STDIN_SHOWN = "<stdin>"
DEFAULT_PROCFILE = "Procfile"


class Location(Value):
    """`chosen` says that something named it; else it is only the folder where one happens to be."""

    root: str
    chosen: bool


class Found(Value):
    """The Procfile by its path and by the name a person knows it by; nothing of it is read yet."""

    root: str
    procfile: str
    shown: str
    environment: Environment


def find_root(procfile: str | None, root: str | None, cwd: str) -> str:
    """`-d DIR`, else the folder of `-f FILE`, else `cwd`; absolute and without symbolic links.

    The Procfile itself may be a link to elsewhere: its folder is the one it was named in.
    """
    if root is not None:
        folder = root
    elif procfile is not None and procfile != STDIN:
        folder = os.path.dirname(procfile)
    else:
        folder = ""
    return os.path.realpath(os.path.join(cwd, folder))


def environment_name(option: str | None, environ: Mapping[str, str]) -> str | None:
    name = option or environ.get("PROCSUP_ENV") or None
    if name and (not name.isprintable() or "/" in name):
        raise UsageError(f"{name!r} cannot be the name of an environment; write a word, as in -E production")
    return name


def named_procfile(
    procfile: str | None,
    root: str | None,
    env_name: str | None,
    override: bool,
    environ: Mapping[str, str],
    cwd: str,
) -> str | None:
    """The Procfile by the contract's "which file", relative to `cwd`; None where it is up to .env, or the default."""
    if procfile is not None:
        return procfile
    base = root or ""  # what names are relative to
    if env_name:
        for name in (f"{DEFAULT_PROCFILE}_{env_name}", f"{DEFAULT_PROCFILE}.{env_name}", DEFAULT_PROCFILE):
            if os.path.lexists(os.path.join(cwd, base, name)):
                return os.path.join(base, name)
    if environ.get("PROCFILE") and not override:
        return os.path.join(base, environ["PROCFILE"])
    return None


def locate(
    procfile: str | None,
    root: str | None,
    env_name: str | None,
    env_files: Sequence[str],
    override: bool,
    environ: Mapping[str, str],
    cwd: str,
) -> Location:
    """The root that `find_project` would find; .env is only read where it may have a say in that.

    Raises ConfigError where that one is broken.
    """
    env_name = environment_name(env_name, environ)
    named = named_procfile(procfile, root, env_name, override, environ, cwd)
    if root is not None or named is not None:
        return Location(find_root(named, root, cwd), True)
    names = env_files or ((".env", f".env.{env_name}") if env_name else (".env",))
    if not any(_speaks_of_procfile(os.path.join(cwd, name)) for name in names) and not environ.get("PROCFILE"):
        return Location(find_root(None, None, cwd), False)
    found = find_project(None, None, env_name, env_files, override, environ, cwd)
    return Location(found.root, bool(found.environment.values.get("PROCFILE")))


def _speaks_of_procfile(path: str) -> bool:
    if not os.path.isfile(path):
        return False  # what comes through a pipe can be read once only
    try:
        with open(path, "rb") as file:
            return b"PROCFILE" in file.read(MAX_SIZE)
    except OSError:
        return False  # who reads it in earnest will say what is wrong with it


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
    from procsup.config.environment import load_environment  # the client can mostly do without

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
    from procsup.config.environment import EnvFile

    if given:
        names = [name.strip() for text in given for name in text.split(",")]
        if not all(names):
            raise UsageError("an empty file name in --env; write -e FILE or -e FILE,FILE")
        return [EnvFile(os.path.join(cwd, name), name, required=True) for name in names]
    if not base and procfile is not None and procfile != STDIN:
        base = os.path.dirname(procfile)
    names = [".env", f".env.{env_name}"] if env_name else [".env"]
    return [EnvFile(os.path.join(root, name), os.path.join(base, name)) for name in names]
