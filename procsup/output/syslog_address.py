"""Where syslog messages go: reads `--syslog ADDRESS` and opens sockets to it, which never block."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Literal

from procsup.errors import UsageError
from procsup.value import Value

_WRITE = "write unix:PATH, udp://HOST:514 or tcp://HOST:PORT"
_UDP_PORT = 514  # RFC 5426; there is no such number for plain TCP


class SyslogAddress(Value):
    """`path` for a Unix socket; host and port for the others."""

    kind: Literal["unix", "udp", "tcp"]
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}"

    def resolve(self) -> list[Place]:
        """Ask for the host's addresses, which may take long. Raises UsageError where it has none."""
        if self.kind == "unix":
            return [Place(socket.AF_UNIX, self.path)]
        try:
            found = socket.getaddrinfo(self.host, self.port, type=self.type)
        except OSError as error:
            raise UsageError(f"--syslog {self}: {self.host} is not known: {error.strerror}") from error
        except UnicodeError:
            raise UsageError(f"--syslog: {self.host!r} cannot be the name of a host") from None
        return [Place(family, address) for family, _, _, _, address in found]

    @property
    def type(self) -> socket.SocketKind:
        return socket.SOCK_STREAM if self.kind == "tcp" else socket.SOCK_DGRAM


class Place(Value):
    """What `connect` takes."""

    family: int
    address: str | tuple[object, ...]


class Receiver(Value):
    """A syslog receiver, and what its name came to at the start."""

    address: SyslogAddress
    places: Sequence[Place]


def read_address(text: str, folder: str) -> SyslogAddress:
    """A relative path begins at `folder`. Raises UsageError."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("udp", "tcp"):
        return _read_host(text, scheme, rest)
    path = text.removeprefix("unix://") if separator else text.removeprefix("unix:")
    if not path or "://" in path or not (text.startswith("unix:") or "/" in path):
        raise UsageError(f"--syslog: {text!r} is no address; {_WRITE}")
    path = os.path.normpath(os.path.join(folder, path))
    if len(os.fsencode(path)) > 107:
        raise UsageError(f"--syslog: {path} is longer than the 107 bytes that a socket's path may have")
    return SyslogAddress("unix", path)


def _read_host(text: str, scheme: str, rest: str) -> SyslogAddress:
    rest = rest.removesuffix("/")
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        bad = not bracket or (port != "" and not port.startswith(":"))
        port = port[1:]
    else:
        host, _, port = rest.partition(":")
        bad = False
    if not port and scheme == "udp":
        port = str(_UDP_PORT)
    if bad or not host or set(host) & set("/@ ") or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UsageError(f"--syslog: {text!r} is no address; {_WRITE}")
    return SyslogAddress("tcp" if scheme == "tcp" else "udp", host=host, port=int(port))


def open_socket(place: Place, kind: socket.SocketKind) -> socket.socket:
    """Raises OSError where there is no descriptor for it."""
    opened = socket.socket(place.family, kind)
    opened.setblocking(False)
    if kind is socket.SOCK_STREAM and place.family != socket.AF_UNIX:
        # A receiver whose machine has gone says nothing; without these we would never know.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    return opened
