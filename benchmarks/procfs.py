"""What the kernel says of processes that are being measured: who they are, and what they have used so far (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
TICK = 1 / os.sysconf("SC_CLK_TCK")


def marked(mark: bytes) -> list[int]:
    """The processes with `mark` somewhere in their environment, wherever in the tree they have gone."""
    return [int(name) for name in os.listdir(PROC) if name.isdigit() and carries(int(name), mark)]


def carries(pid: int, mark: bytes) -> bool:
    """Whether it has that mark, and lives."""
    return mark in _read(pid, "environ") and state(pid) not in ("Z", "")


def fields(pid: int) -> list[str]:
    """What /proc/PID/stat says behind the name: state, parent, group, session …; empty when it is gone."""
    return _read(pid, "stat").rpartition(b")")[2].decode().split()


def environment(pid: int) -> dict[str, str]:
    """The environment it was started with."""
    entries = (os.fsdecode(entry).partition("=") for entry in _read(pid, "environ").split(b"\0"))
    return {name: value for name, _, value in entries if name}


def descriptors(pid: int) -> int:
    """How many it has open; 0 when it is gone."""
    try:
        return len(os.listdir(PROC / str(pid) / "fd"))
    except OSError:
        return 0


def highest_descriptor(pid: int) -> int:
    """The largest number among them; -1 when it is gone."""
    try:
        return max((int(number) for number in os.listdir(PROC / str(pid) / "fd")), default=-1)
    except OSError:
        return -1


def state(pid: int) -> str:
    """The letter of its state (Z for a zombie), empty when it is gone."""
    return _read(pid, "stat").rpartition(b")")[2].strip()[:1].decode()


def command_line(pid: int) -> bytes:
    return _read(pid, "cmdline")


def command_name(pid: int) -> str:
    return _read(pid, "comm").strip().decode()


def arguments(pid: int) -> list[str]:
    return [os.fsdecode(part) for part in _read(pid, "cmdline").split(b"\0")[:-1]]


def children(pid: int) -> list[int]:
    """Direct children of all its threads: one small file each, so that looking does not disturb what is looked at."""
    return [int(child) for task in _tasks(pid) for child in _read(pid, f"task/{task}/children").split()]


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time so far: in nanoseconds where the scheduler counts them, else in ticks of 10 ms."""
    return sum(_cpu_seconds(pid) for pid in pids)


def cpu_ticks(pids: Iterable[int]) -> float:
    """The same as ps and top have it (utime + stime, in whole ticks), in seconds."""
    return sum(_ticks(pid) for pid in pids)


def queued_seconds(pid: int) -> float:
    """How long its threads were ready to run and had no processor: the machine's doing. 0 where nobody counts it."""
    spent = [_read(pid, f"task/{task}/schedstat").split() for task in _tasks(pid)]
    return sum(int(fields[1]) for fields in spent if fields) / 1e9


def switches(pids: Iterable[int]) -> int:
    """Context switches of all their threads; a process that sleeps has none, so each one more is a wake-up."""
    total = 0
    for pid in pids:
        for task in _tasks(pid):
            for line in _read(pid, f"task/{task}/status").splitlines():
                key, _, value = line.partition(b":")
                if key.endswith(b"voluntary_ctxt_switches"):
                    total += int(value)
    return total


def status_bytes(pid: int, key: str) -> int:
    """A figure of /proc/PID/status that is in kB: VmRSS, or VmHWM, the highest that ever was."""
    for line in _read(pid, "status").splitlines():
        name, _, value = line.partition(b":")
        if name.decode() == key:
            return int(value.split()[0]) * 1024
    return 0


def private_memory(pid: int) -> int:
    """Bytes that would come free if it ended: private pages, clean and dirty."""
    return sum(_rollup(pid).get(key, 0) for key in (b"Private_Clean", b"Private_Dirty"))


def proportional_memory(pid: int) -> int:
    """Its private pages plus its share of those it has in common with others (Pss), in bytes."""
    return _rollup(pid).get(b"Pss", 0)


def _rollup(pid: int) -> dict[bytes, int]:
    lines = (line.split() for line in _read(pid, "smaps_rollup").splitlines()[1:])
    return {line[0].rstrip(b":"): int(line[1]) * 1024 for line in lines if len(line) > 1}


def _cpu_seconds(pid: int) -> float:
    spent = [_read(pid, f"task/{task}/schedstat").split() for task in _tasks(pid)]
    return sum(int(fields[0]) for fields in spent) / 1e9 if spent and all(spent) else _ticks(pid)


def _ticks(pid: int) -> float:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK if fields else 0.0


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(PROC / str(pid) / "task")
    except OSError:
        return []


def _read(pid: int, file: str) -> bytes:
    """A file of /proc/PID; empty when the process has gone meanwhile."""
    try:
        with open(f"/proc/{pid}/{file}", "rb", buffering=0) as stream:
            return stream.read()
    except OSError:
        return b""
