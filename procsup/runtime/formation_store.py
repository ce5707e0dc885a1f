"""What `scale` has set, kept over restarts and power cuts: the old or the new formation, never half of one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from procsup.control.address import make_private
from procsup.errors import ConfigError, Problem, ProcsupError
from procsup.runtime.whole_file import write_whole

_FILE = "formation.json"
_FRESH = "formation.json.new"
_VERSION = 1
_MOST_BYTES = 4 * 1024 * 1024
_MOST = 1_000_000  # of one type: against nonsense; what is too many instances is for the supervisor to say
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}\Z")


def load(folder: str) -> dict[str, int]:
    """The counts that were kept, none where there is no file; ConfigError for a file that is not ours to understand."""
    path = os.path.join(folder, _FILE)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from error
    try:
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)  # ours to close, because open() does not when it refuses a folder
    return _parse(path, data)


def save(folder: str, formation: Mapping[str, int]) -> None:
    """On disk when it returns; cut off at any moment, the file is the old or the new. For the lock's holder only."""
    import json

    make_private(folder)
    path, fresh = os.path.join(folder, _FILE), os.path.join(folder, _FRESH)
    text = json.dumps({"version": _VERSION, "formation": dict(formation)}, indent=1) + "\n"
    try:
        write_whole(path, fresh, text.encode(), 0o600)
        _flush_folder(folder)  # the rename itself is not on disk before this
    except OSError as error:
        raise ProcsupError(f"cannot write {path}: {error.strerror or error}") from error


def _flush_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parse(path: str, data: bytes) -> dict[str, int]:
    import json  # not on the way to the first child where nothing was scaled

    if len(data) > _MOST_BYTES:
        raise _unusable(path, "is far too large")
    try:
        kept = json.loads(data.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise _unusable(path, f"is damaged ({error.msg})", error.lineno, error.colno) from None
    except (ValueError, RecursionError):
        raise _unusable(path, "is damaged") from None
    if not isinstance(kept, dict) or not isinstance(kept.get("formation"), dict):
        raise _unusable(path, "holds no formation")
    version = kept.get("version")
    if type(version) is not int or version != _VERSION:  # True is an int, too
        raise _unusable(path, f"is of version {str(version)[:40]!r:.40} and this procsup knows {_VERSION}")
    formation: dict[str, int] = {}
    for name, count in kept["formation"].items():
        if not _NAME.match(name):
            raise _unusable(path, f"has a count for {name[:80]!r:.80}, which is no name of a process type")
        if type(count) is not int or not 0 <= count <= _MOST:
            raise _unusable(path, f"has no count for {name!r}")
        formation[name] = count
    return formation


def _unusable(path: str, what: str, line: int = 1, column: int = 1) -> ConfigError:
    advice = "remove the file to go back to the default counts"
    return ConfigError([Problem(path, line, column, f"the kept formation {what}; {advice}")])
