"""Who listens on a port that an instance is about to be given: said before the start, not found out at two at night."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress

_LISTEN = "0A"  # TCP_LISTEN in the kernel's tables


def taken_ports(ports: Iterable[int]) -> dict[int, str]:
    """By port, who has it: `pid 431, redis-server`, or what little can be known."""
    wanted = set(ports)
    sockets = _listening_sockets()
    if sockets is None:
        return {port: "somebody" for port in wanted if _answers(port)}
    taken = {port: inode for port, inode in sockets.items() if port in wanted}
    if not taken:
        return {}
    holders = _holders(set(taken.values()))
    return {port: holders.get(inode, "a process of another user") for port, inode in taken.items()}


def _listening_sockets() -> dict[int, str] | None:
    """Port → inode of its listening socket; None where the system has no such tables."""
    found: dict[int, str] = {}
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                lines = file.readlines()[1:]
        except OSError:
            if table.endswith("tcp"):
                return None
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN:
                found[int(fields[1].rpartition(":")[2], 16)] = fields[9]
    return found


def _holders(inodes: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        with suppress(OSError):  # not ours to look at, or gone meanwhile
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    inode = wanted.get(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
                    if inode is not None and inode not in found:
                        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                            found[inode] = f"pid {pid}, {file.read().strip()}"
    return found


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.05)
        return probe.connect_ex(("127.0.0.1", port)) == 0
