"""Who is at the other end of a Unix socket: asked of the kernel, which cannot be lied to."""

from __future__ import annotations

import socket
import struct
import sys

from procsup.value import Value

# macOS (sys/un.h): the level, and the names of the two questions.
_SOL_LOCAL = 0
_LOCAL_PEERCRED = 1
_LOCAL_PEERPID = 2


class Peer(Value):
    pid: int  # 0 where it cannot be known, as of a process outside our container
    uid: int


def peer_of(connection: socket.socket) -> Peer:
    """Raises OSError where the kernel does not tell."""
    if sys.platform == "linux":
        pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return Peer(pid, uid & 0xFFFFFFFF)
    # struct xucred: version, uid, number of groups, sixteen groups.
    _version, uid = struct.unpack_from("2I", connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76))
    (pid,) = struct.unpack("i", connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, 4))
    return Peer(pid, uid)
