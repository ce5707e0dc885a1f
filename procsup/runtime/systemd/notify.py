"""Tells systemd how we are, as sd_notify(3) has it. (What our processes tell us comes through notify_socket.py.)

Only loaded where NOTIFY_SOCKET is set.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

_SECOND = 1_000_000  # all that systemd is told, it is told in microseconds


class Notifier:
    """`watchdog`: so often, in seconds, systemd wants to hear that we are alive; None where it does not."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = _watchdog(environ)
        self._socket: socket.socket | None = None

    def tell(self, *words: str) -> None:
        """All in one message: `READY=1`, `STATUS=all is well`. Raises OSError; BlockingIOError where it has to wait."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        # Not connected: after `systemctl daemon-reexec` there is another socket by the same name.
        self._socket.sendto("\n".join(words).encode(errors="replace"), self._address)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def find_notifier(environ: Mapping[str, str]) -> Notifier | None:
    """None where systemd is not there, or only around the machine that we are in (vsock)."""
    known = environ.get("NOTIFY_SOCKET", "")[:1] in ("/", "@") and hasattr(socket, "SOCK_CLOEXEC")
    return Notifier(environ) if known else None


def more_time(seconds: float) -> str:
    """From now on, for what systemd waits for just now: a start, a reload, a stop."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * _SECOND)}"


def moment(monotonic: float) -> str:
    return f"MONOTONIC_USEC={int(monotonic * _SECOND)}"


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """WATCHDOG_PID says whom it is about: variables are inherited further than they are meant to be."""
    wanted, whom = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(os.getpid()))
    if not (wanted.isascii() and wanted.isdigit() and int(wanted)) or whom != str(os.getpid()):
        return None
    return int(wanted) / _SECOND
