"""Private folders of the process types, kept over restarts: where they are, and that they are there.

They lie beside the projects' own folders of state and not in them, for those stay closed to everybody else, and a
process that runs as another user has to get through to its mount.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from procsup.runtime.users import User, refuse_way, user_name

_FOLDER = "mounts"
_BLOCK = 512  # what st_blocks counts in, whatever the file system's own blocks are


class Mount(NamedTuple):
    """`size` is what it takes on the disk, in bytes; `hidden`, how many folders in it we may not look into."""

    type: str
    name: str
    path: str
    size: int
    hidden: int


def mount_path(state: str, type_: str, name: str) -> str:
    """`state` is the project's folder of state."""
    return os.path.join(os.path.dirname(state), _FOLDER, os.path.basename(state), type_, name)


def make_mounts(state: str, type_: str, names: Sequence[str], user: User | None) -> None:
    """Those that are not there yet, for nobody but the user of the processes.

    Raises OSError; what it says may be shown.
    """
    if not names:
        return
    try:
        above = _make_above(state, type_)
        if user is not None:
            _let_through(above)
        for name in names:
            _make_mount(type_, name, mount_path(state, type_, name), user)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise OSError(error.errno, f"{where}{error.strerror or error}") from error


def _make_above(state: str, type_: str) -> list[str]:
    """The folders that lead to the mounts of a type; nobody else may be able to exchange what is in them."""
    top = os.path.dirname(state)
    with suppress(FileExistsError):
        os.mkdir(top, 0o700)
    root = os.path.join(top, _FOLDER)
    ours = [root, os.path.join(root, os.path.basename(state)), os.path.join(root, os.path.basename(state), type_)]
    for folder in ours:
        found = _make(folder)
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OSError(
                errno.EPERM,
                f"{folder} belongs to {user_name(found.st_uid)} with mode {stat.S_IMODE(found.st_mode):04o}, so others "
                "can change what is in it; see what it has there, and move it away",
            )
    return [top, *ours]


def _make(folder: str) -> os.stat_result:
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "no folder"
        raise OSError(errno.ENOTDIR, f"{folder} is {kind}; procsup wants a folder of its own there: move it away")
    return found


def _let_through(folders: Sequence[str]) -> None:
    """Others may pass, and not look around."""
    for folder in folders:
        mode = stat.S_IMODE(os.stat(folder).st_mode)
        if mode & 0o011 != 0o011:
            os.chmod(folder, mode | 0o011)  # noqa: S103


def _make_mount(type_: str, name: str, path: str, user: User | None) -> None:
    found = _make(path)
    owner = user.uid if user is not None else os.geteuid()
    if found.st_uid != owner:
        if os.geteuid() != 0 or os.listdir(path):
            wanted = user_name(owner)
            raise OSError(
                errno.EPERM,
                f"{path} belongs to {user_name(found.st_uid)}, and is to be {wanted}'s; hand it over with: "
                f"chown -R {wanted}: {path}; or empty it with: procsup mounts --clear {type_}/{name}",
            )
        os.chown(path, owner, user.gid if user is not None else os.getegid())
    if stat.S_IMODE(found.st_mode) != 0o700:
        os.chmod(path, 0o700)
    if user is not None:
        refuse_way(path, user, "set PROCSUP_STATE_DIR to a folder that it can reach")


def all_mounts(state: str) -> list[Mount]:
    """Those of all types that ever had one, whether procsup.toml still names them or not."""
    root = os.path.join(os.path.dirname(state), _FOLDER, os.path.basename(state))
    return [
        Mount(type_, name, path, *_size(path))
        for type_ in _names(root)
        for name in _names(os.path.join(root, type_))
        for path in [mount_path(state, type_, name)]
    ]


def clear(mount: Mount) -> None:
    """Remove what is in it; the folder itself stays, for somebody may be in it. Raises OSError."""
    import shutil

    if os.geteuid() != 0:
        _open_up(mount.path)
    try:
        for entry in list(os.scandir(mount.path)):
            with suppress(FileNotFoundError):  # somebody else removes things, too
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
    except RecursionError:
        raise OSError(errno.ELOOP, "its folders are nested too deeply; remove them with rm -r", mount.path) from None


def remove(mount: Mount) -> None:
    """The empty folder itself, and that of its type where it was the last. Raises OSError."""
    os.rmdir(mount.path)
    with suppress(OSError):
        os.rmdir(os.path.dirname(mount.path))


def _open_up(folder: str) -> None:
    """What we own we may remove, folders that a program has made read-only (those of package caches are) as well."""
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        with suppress(OSError):
            os.chmod(path, 0o700)
            waiting += [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]


def _names(folder: str) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _size(folder: str) -> tuple[int, int]:
    """As `du` counts: blocks, and a file with several names once. And how many folders we may not look into."""
    total = hidden = 0
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError:
            continue  # it has just gone
        except OSError:
            hidden += 1
            continue
        for entry in entries:
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif found.st_nlink > 1 and (found.st_dev, found.st_ino) in seen:
                    continue
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * _BLOCK
    return total, hidden
