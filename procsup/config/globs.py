"""The globs of `watch`: which files below the app's root they mean, and which folders have to be looked at for that.

A glob without "/" means files of that name in any folder; one with it counts from the root: `*` stays within a folder,
`**` goes through all below.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from procsup.config.settings_values import Schema, Unfit, texts

_GLOB: Schema = {"type": "string", "pattern": r"^(?![/!])(?!(.*/)?\.\.(/|$))[^{\u0000-\u001f\u007f]+$"}
GLOBS: Schema = {"anyOf": [_GLOB, {"type": "array", "items": _GLOB}]}
_ANY_DEPTH = "**"
_MAGIC = frozenset("*?[")
# What is written by tools, not by people; a restart for its sake would often cause the next.
_IGNORED_FOLDERS = frozenset((
    ".git", ".hg", ".svn", ".jj", "__pycache__", "node_modules", ".venv", ".tox", ".nox", ".idea", ".vscode",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis",
))  # fmt: skip
# What editors put beside a file: vim .x.swp, x~ and 4913, Emacs .#x and #x#, JetBrains x___jb_tmp___.
_IGNORED_FILES = ("*.py[cod]", ".*.sw[a-z]", ".*.swpx", "*~", "4913", ".#*", "#*#", "*___jb_*___", ".DS_Store")
_FILES_AT_MOST = 1000


def globs(value: object) -> tuple[str, ...]:
    """What `watch` may be. Raises Unfit."""
    wanted = 'globs from the app\'s root, as in ["*.py", "templates/**"]'
    try:
        found = texts(value)
    except Unfit:
        raise Unfit(wanted) from None
    for each in found:
        if each.startswith("/") or ".." in each.split("/"):
            raise Unfit(f"{wanted}; what is not below the root cannot be watched")
        if each.startswith("!") or "{" in each:
            raise Unfit(f'{wanted}; "!" and braces mean nothing in them: list what is to be watched')
    return found


def matches(path: str, globs: Iterable[str]) -> bool:
    """`path` is a file's, from the root."""
    parts = path.split("/")
    return any(_fits(parts, _parts(glob)) for glob in globs)


def ignored(path: str) -> bool:
    *folders, name = path.split("/")
    return (
        not _IGNORED_FOLDERS.isdisjoint(folders)
        or name in _IGNORED_FOLDERS
        or any(fnmatchcase(name, pattern) for pattern in _IGNORED_FILES)
    )


def folders_of(root: str, globs: Iterable[str]) -> tuple[str, ...]:
    """Where files that are meant may be, or come to be: existing folders, none of them inside another."""
    found: list[str] = []
    for folder in sorted({_folder_of(root, glob) for glob in globs}, key=len):
        if not any(folder == each or folder.startswith(each.rstrip("/") + "/") for each in found):
            found.append(folder)
    return tuple(found)


def files_in(folder: str) -> Iterator[str]:
    """Those of a folder that has just appeared; of a very large one, not all."""
    count = 0
    for here, folders, files in os.walk(folder):
        folders[:] = (each for each in folders if each not in _IGNORED_FOLDERS)
        for name in files:
            yield os.path.join(here, name)
            count += 1
            if count >= _FILES_AT_MOST:
                return


def _parts(glob: str) -> list[str]:
    if "/" not in glob:
        return [_ANY_DEPTH, glob]
    parts = [part for part in glob.split("/") if part not in ("", ".")]
    return [*parts, _ANY_DEPTH] if glob.endswith("/") else parts


def _fits(path: list[str], glob: list[str]) -> bool:
    if not glob:
        return not path
    first, *rest = glob
    if first == _ANY_DEPTH:
        if not rest:
            return bool(path)
        return any(_fits(path[start:], rest) for start in range(len(path)))
    return bool(path) and fnmatchcase(path[0], first) and _fits(path[1:], rest)


def _folder_of(root: str, glob: str) -> str:
    """The deepest folder that a glob names, as far as it exists."""
    folder = root
    for part in _parts(glob)[:-1]:
        deeper = os.path.join(folder, part)
        if not _MAGIC.isdisjoint(part) or not os.path.isdir(deeper):
            break
        folder = deeper
    return folder
