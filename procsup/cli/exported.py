"""Writes the files of an export into a folder: nothing that is not ours is touched, and no symbolic link followed.

What is ours stands in a list beside the files, with a hash of each: an envdir's files have no room for a mark, and a
mark would not tell whether somebody has changed the rest of a file since.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from procsup.errors import ProcsupError
from procsup.export.model import File
from procsup.runtime.whole_file import write_whole

_LIST = ".procsup-export"
_FRESH = ".procsup-new"
_VERSION = 1
_MOST_BYTES = 64 * 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Exported(NamedTuple):
    """Whose export it is: several applications, and formats, may share a folder."""

    format: str
    app: str
    root: str

    @property
    def list_name(self) -> str:
        """Of this application's name and this format only."""
        name = hashlib.sha256(f"{self.format}\0{self.app}".encode(errors="surrogateescape")).hexdigest()[:8]
        return f"{_LIST}-{self.format}-{name}"


class Done(NamedTuple):
    """`left`: folders that could not be removed, since others have files in them. `alone`: nobody has in this one."""

    written: int
    same: int
    removed: int
    left: tuple[str, ...]
    alone: bool

    def words(self) -> str:
        total = self.written + self.same
        parts = [f"{total or 'no'} file{'' if total == 1 else 's'}"]
        parts += [f"{self.same} of them as before"] if self.same else []
        parts += [f"{self.removed} old removed"] if self.removed else []
        return ", ".join(parts)


def write_all(folder: str, whose: Exported, files: Mapping[str, File], replace: bool) -> Done:
    """Every file is the old or the new at any moment. Raises ProcsupError, for obstacles before any change."""
    with _saying(folder):
        os.makedirs(folder, exist_ok=True)
        top = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)  # that the folder itself is a link is its owner's choice
    try:
        before = _read_list(top, folder, whose, replace)
        obstacles = [] if replace else [*_obstacles(top, before, files)]
        if obstacles:
            shown = "\n".join(f"  {each}" for each in obstacles[:20]) + ("\n  …" if len(obstacles) > 20 else "")
            raise ProcsupError(
                f"nothing is written to {folder}, for these would be lost:\n{shown}\n"
                "choose another folder, move them away, or add --replace"
            )
        return _write(top, folder, whose, before, files)
    finally:
        os.close(top)


def _write(top: int, folder: str, whose: Exported, before: Mapping[str, list[str]], files: Mapping[str, File]) -> Done:
    # Cut off half-way, the next export finds both what was and what was to be among its own.
    new = {path: [_hash(each.content)] for path, each in files.items()}
    both = {path: sorted({*before.get(path, ()), *new.get(path, ())}) for path in {*before, *new}}
    with _saying(folder):
        _save_list(top, whose, both)
    written = 0
    for path in sorted(files):
        with _saying(f"{folder}/{path}"), _parent(top, path, make=True) as (parent, name):
            if not _is_same(parent, name, files[path]):
                _replace(parent, name, files[path])
                written += 1
    removed = 0
    for path in sorted(set(before) - set(files), reverse=True):
        with suppress(OSError), _parent(top, path) as (parent, name):
            os.unlink(name, dir_fd=parent)
            removed += 1
    left = [f"{folder}/{each}" for each in _remove_folders(top, set(before) - set(files), set(files))]
    with _saying(folder):
        _save_list(top, whose, new)
        alone = {*os.listdir(top)} <= {whose.list_name, *(path.partition("/")[0] for path in files)}
    return Done(written, len(files) - written, removed, tuple(left), alone)


def _folders(paths: set[str]) -> set[str]:
    """All that these files are in, but for the one that all are in."""
    return {"/".join(each.split("/")[:depth]) for each in paths for depth in range(1, each.count("/") + 1)}


def _remove_folders(top: int, gone: set[str], files: set[str]) -> Iterator[str]:
    """Those that only files were in which have gone; yields those that are not empty, for somebody else's sake."""
    for path in sorted(_folders(gone) - _folders(files), reverse=True):  # what is inside comes first
        try:
            with _parent(top, path) as (parent, name):
                os.rmdir(name, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and "/" not in path:
                yield path


def _obstacles(top: int, before: Mapping[str, list[str]], files: Mapping[str, File]) -> Iterator[str]:
    for path in sorted({*before, *files}):
        try:
            with _parent(top, path) as (parent, name):
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    yield f"{path} (no regular file)"
                    continue
                found = _hash(_read(parent, name))
        except FileNotFoundError:
            continue
        except OSError as error:
            yield f"{path} ({error.strerror})"
            continue
        if path not in before and (path not in files or found != _hash(files[path].content)):
            yield f"{path} (not of this export)"
        elif path in before and found not in before[path]:
            yield f"{path} (changed since it was exported)"


@contextmanager
def _parent(top: int, path: str, make: bool = False) -> Iterator[tuple[int, str]]:
    """The folder that a file is in, opened step by step so that no link leads elsewhere, and the file's name there."""
    *folders, name = path.split("/")
    opened = os.dup(top)
    try:
        for each in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(each, 0o755, dir_fd=opened)
            below = os.open(each, _FOLDER, dir_fd=opened)
            os.close(opened)
            opened = below
        yield opened, name
    finally:
        os.close(opened)


def _is_same(parent: int, name: str, file: File) -> bool:
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        fits = stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == file.mode
        return fits and status.st_uid == _uid(file) and _read(parent, name) == file.content
    except OSError:
        return False


def _read(parent: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=parent)
    with open(descriptor, "rb") as stream:
        return stream.read(_MOST_BYTES)


def _replace(parent: int, name: str, file: File) -> None:
    write_whole(name, f".{name[:200]}{_FRESH}", file.content, file.mode, _uid(file), parent)


def _uid(file: File) -> int:
    """Only root can give a file away; and a user that is not there yet gets it with the next export."""
    from procsup.runtime.users import find_user

    if file.owner is None or os.geteuid() != 0:
        return os.geteuid()
    with suppress(OSError):
        user = find_user(file.owner)
        return user.uid if user is not None else 0
    return 0


def _read_list(top: int, folder: str, whose: Exported, replace: bool) -> Mapping[str, list[str]]:
    """By path, the hashes that it may have and still be ours."""
    try:
        found = json.loads(_read(top, whose.list_name))
        files, root = found["files"], found["root"]
        if found["version"] != _VERSION or not _is_list(files):
            raise ValueError
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ProcsupError(f"{folder}/{whose.list_name}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        if replace:
            return {}
        raise ProcsupError(
            f"{folder}/{whose.list_name} is damaged, so nobody knows which files are ours; choose another folder, or "
            "add --replace, which keeps the old ones"
        ) from None
    if root != _text(whose.root) and not replace:
        raise ProcsupError(
            f'{folder} has an export of "{whose.app}" in {root}; choose another folder, give this application another '
            "name with --app, or add --replace if it has moved"
        )
    return {str(path): hashes for path, hashes in files.items()}


def _is_list(files: object) -> bool:
    """No path in it may lead out of the folder, whoever has written it."""
    return isinstance(files, dict) and all(
        isinstance(hashes, list) and not {"", ".", ".."} & set(str(path).split("/")) for path, hashes in files.items()
    )


def _save_list(top: int, whose: Exported, files: Mapping[str, list[str]]) -> None:
    described = {
        "about": f"written by: procsup export {whose.format}; it knows its own files by this list",
        "version": _VERSION,
        "app": _text(whose.app),
        "root": _text(whose.root),
        "files": dict(sorted(files.items())),
    }
    file = File((json.dumps(described, indent=1) + "\n").encode(), 0o600)
    if not _is_same(top, whose.list_name, file):
        _replace(top, whose.list_name, file)


def _text(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _saying(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise ProcsupError(f"{what}: a symbolic link or a file is in the way; move it away") from error
        raise ProcsupError(f"{what}: {error.strerror or error}; mend that, or choose another folder") from error
