"""Who listens on a port that an instance is about to be given: said before the start, not found out at two at night."""

from __future__ import annotations

import _socket  # `socket` costs a millisecond and a half, before the first child is started
import os
from collections.abc import Iterable
from contextlib import closing, suppress

_LISTEN = "0A"  # TCP_LISTEN in the kernel's tables
_FEW = 64  # so many ports are tried one by one: the tables list every connection of the machine, and take milliseconds


def taken_ports(ports: Iterable[int]) -> dict[int, str]:
    """By port, who has it: `pid 431, redis-server`, or what little can be known."""
    wanted = set(ports)
    if len(wanted) <= _FEW:
        wanted = {port for port in wanted if not _free(port)}
    if not wanted:
        return {}
    sockets = listening_sockets()
    if sockets is None:
        return {port: "somebody" for port in wanted if _answers(port)}
    taken = {port: inodes[-1] for port, inodes in sockets.items() if port in wanted}
    if not taken:
        return {}
    holders = _holders(set(taken.values()))
    return {port: holders.get(inode, "a process of another user") for port, inode in taken.items()}


def listening_sockets() -> dict[int, list[str]] | None:
    """Port → inodes of the sockets that listen there; None where the system has no such tables."""
    found: dict[int, list[str]] = {}
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
                found.setdefault(int(fields[1].rpartition(":")[2], 16), []).append(fields[9])
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


def _free(port: int) -> bool:
    """Whether one could listen there just now, at whichever address; connections that are closing do not count."""
    with suppress(OSError), closing(_socket.socket(_socket.AF_INET6, _socket.SOCK_STREAM)) as probe:
        probe.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 0)  # both kinds of addresses
        probe.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        probe.bind(("::", port))
        return True
    return False


def _answers(port: int) -> bool:
    with closing(_socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)) as probe:
        probe.settimeout(0.05)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def holder_of(port: int) -> str | None:
    """Who listens on this port, as far as it can be known."""
    return taken_ports([port]).get(port)
