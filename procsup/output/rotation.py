"""What log files have in common: how they are opened, noticed to be gone, and given a successor.

Whoever writes to one asks before each write: that takes a microsecond, and others may do to it what they like.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import NamedTuple

from procsup.errors import UsageError
from procsup.value import Value

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
# A link could lead root's writes to any file; a pipe of that name would make us wait for its reader.
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK


class LogFolder(Value):
    """`size` is in bytes; as many older files as `older` says stay beside each."""

    path: str
    size: int = 10 * 1024 * 1024
    older: int = 5

    def prepare(self) -> None:
        """Make it. Raises UsageError where no file could be made in it."""
        try:
            make_folders(self.path)
            if not os.path.isdir(self.path):
                raise NotADirectoryError(0, "it is no folder")
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(0, "no permission to write there")
        except OSError as error:
            raise UsageError(f"--log-dir: no logs can be kept in {self.path}: {error.strerror}") from error


class Identity(NamedTuple):
    """Which file it is, whatever its name."""

    device: int
    inode: int


def open_log(path: str) -> tuple[int, os.stat_result]:
    """Open the file to append to it, with all folders on the way, only its owner's. Raises OSError."""
    try:
        fd = _open(path)
    except FileNotFoundError:
        make_folders(os.path.dirname(os.path.abspath(path)))
        fd = _open(path)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file")
    return fd, found


def _open(path: str) -> int:
    try:
        return os.open(path, _FLAGS | _SAFELY, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link") from error
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "it is no regular file") from error
        raise


def identify(found: os.stat_result) -> Identity:
    return Identity(found.st_dev, found.st_ino)


def in_place(path: str, written: Identity | None) -> os.stat_result | None:
    """The file of that name, if it is the one that is being written to."""
    try:
        found = os.stat(path, follow_symlinks=False)  # it knows the size after somebody has emptied the file, too
    except FileNotFoundError:
        return None
    return found if identify(found) == written else None


def set_aside(path: str, keep: int) -> None:
    """The file becomes `NAME.1`, that one `NAME.2` and so on; the one past `keep` is no more. Raises OSError."""
    for number in range(keep, 1, -1):
        with suppress(FileNotFoundError):
            os.replace(f"{path}.{number - 1}", f"{path}.{number}")
    with suppress(FileNotFoundError):
        os.replace(path, f"{path}.1")


def make_folders(folder: str) -> None:
    """Not os.makedirs, which leaves those in between to the umask. Raises OSError."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        above = os.path.dirname(folder)
        if os.path.isdir(above):  # a file system that lets nobody make folders may say so
            raise
        make_folders(above)
        make_folders(folder)
