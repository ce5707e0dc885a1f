"""Reads a whole configuration file and says who else may read or write it.

Both come from one open descriptor, so the answer is about the bytes that were read and not about what the path
names a moment later.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from procsup.errors import ConfigError, Problem
from procsup.value import Value

MAX_SIZE = 8 * 1024 * 1024  # no Procfile or .env comes near; /dev/zero and a log file given by mistake do


_at_once = ContextVar("at_once", default=False)


class Content(Value):
    """A file's bytes, with the ownership of what they were read from."""

    data: bytes
    owner: int
    group: int
    mode: int

    @property
    def regular(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def readable_by_others(self) -> bool:
        """Only of regular files: /dev/null and `<(decrypt .env)` have permissions that mean nothing here."""
        return self.regular and bool(self.mode & stat.S_IROTH)

    @property
    def writable_by_others(self) -> bool:
        """Whether anybody but root can change it; matters where root acts on what it says."""
        if not self.regular:
            return False
        by_group = bool(self.mode & stat.S_IWGRP) and self.group != 0
        return self.owner != 0 or by_group or bool(self.mode & stat.S_IWOTH)


def owner_warning(content: Content, shown: str) -> tuple[str, ...]:
    """What to say where root acts on a file that somebody else can change; nothing otherwise."""
    if os.geteuid() == 0 and content.writable_by_others:
        return (f"{shown} can be changed by another user and procsup runs as root; chown it to root",)
    return ()


def unreadable(shown: str, reason: str, advice: str) -> ConfigError:
    """A file that cannot be read at all: the position is its beginning."""
    return ConfigError([Problem(shown, 1, 1, f"{reason}; {advice}")])


@contextmanager
def read_at_once() -> Iterator[None]:
    """For who cannot wait until somebody writes to a pipe, or types: these are errors then."""
    token = _at_once.set(True)
    try:
        yield
    finally:
        _at_once.reset(token)


def read_file(
    path: str, shown: str, advice: str = "put a file there that can be read, or name another"
) -> Content | None:
    """None where there is no such file; ConfigError where there is one that cannot be read.

    `shown` is the name a person knows it by, `advice` what to do where it cannot be read.
    """
    if "\0" in path:
        raise unreadable(shown.replace("\0", "?"), "its name has a NUL byte in it", advice)
    try:
        with open(path, "rb", opener=_open_for_reading) as stream:
            status = os.fstat(stream.fileno())
            if _at_once.get() and (stat.S_ISFIFO(status.st_mode) or stream.isatty()):
                raise unreadable(
                    shown, "is no file, and a running supervisor waits for nobody who writes to it", advice
                )
            data = stream.read(MAX_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise unreadable(shown, "is a folder", advice) from None
    except OSError as error:
        raise unreadable(shown, f"cannot be read ({error.strerror})", advice) from None
    return Content(_bounded(data, shown, advice), status.st_uid, status.st_gid, status.st_mode)


def read_standard_input(shown: str) -> bytes:
    """All there is up to its end. Raises ConfigError where it is closed, or has no end."""
    advice = "give it a Procfile, as in: procsup check -f - <Procfile"
    try:
        with open(0, "rb", closefd=False) as stream:
            data = stream.read(MAX_SIZE + 1)
    except OSError as error:
        raise unreadable(shown, f"cannot be read ({error.strerror})", advice) from None
    return _bounded(data, shown, advice)


def _bounded(data: bytes, shown: str, advice: str) -> bytes:
    if len(data) > MAX_SIZE:
        raise unreadable(shown, f"is larger than {MAX_SIZE // 1024 // 1024} MiB", advice)
    return data


def _open_for_reading(path: str, flags: int) -> int:
    # A terminal given by mistake must not become ours; and to open a pipe may take as long as to read it.
    return os.open(path, flags | os.O_NOCTTY | (os.O_NONBLOCK if _at_once.get() else 0))
