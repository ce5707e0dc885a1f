"""Looks as its owner at what root may not see of another user's process.

In most containers root has no CAP_SYS_PTRACE, and then the environment and the descriptors of a process that runs as
somebody else are closed to it; but it may take on that one's identity for files. The kernel keeps that by thread, so no
other thread, and no child, is ever somebody else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def read_as_owner(path: str) -> bytes:
    """A file of /proc/PID; empty where that does not help. Raises OSError where no descriptor is free."""

    def read() -> bytes:
        with open(path, "rb") as file:
            return file.read()

    try:
        return _as_owner(os.path.dirname(path), read)
    except (PermissionError, FileNotFoundError, ProcessLookupError):
        return b""


def read_link(pid: int, name: str) -> str:
    """Where a link of /proc/PID leads to. Raises OSError."""
    path = f"/proc/{pid}/{name}"
    try:
        return os.readlink(path)
    except PermissionError:
        return _as_owner(f"/proc/{pid}", lambda: os.readlink(path))


def _as_owner(process: str, look: Callable[[], T]) -> T:
    """Raises what `look` raises, and PermissionError where we cannot be somebody else."""
    if os.geteuid() != 0:
        raise PermissionError
    import ctypes  # only where it is needed

    owner, group = os.stat(process), os.getegid()
    libc = ctypes.CDLL(None)
    libc.setfsgid(owner.st_gid)
    libc.setfsuid(owner.st_uid)
    try:
        return look()
    finally:
        libc.setfsuid(0)
        libc.setfsgid(group)
