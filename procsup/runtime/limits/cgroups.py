"""Control groups, where a part of cgroup v2 is ours: one for each instance, which nothing that it starts can leave.

With `cgroup.kill` the kernel ends all of a group at once, however fast they fork and whatever session they are in. A
part is ours where systemd says that it has delegated it; a user who is not root may also use what belongs to him. All
else belongs to somebody who manages it, and is not touched.

`OURS/procsup-PROJECT/web.1`: the instances are leaves. Where they have limits, the supervisor is in a leaf beside them
(see `controllers`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from procsup.value import Value

LEAF = "supervisor"
_MARKS = ("trusted.delegate", "user.delegate")


class Cgroup(Value):
    """A group of processes. One that could not be made is as good as empty; the processes are found without it."""

    folder: str

    def enter(self, pid: int) -> None:
        """The pid has to be that of a child which nobody has reaped: it could mean somebody else otherwise."""
        with suppress(OSError):  # it has ended, or there may be no more groups
            self.make()
            write(f"{self.folder}/cgroup.procs", pid)

    def make(self) -> None:
        with suppress(FileExistsError):
            os.mkdir(self.folder)

    def kill(self) -> None:
        with suppress(OSError):
            write(f"{self.folder}/cgroup.kill", 1)

    def populated(self) -> bool:
        """Whether anything lives in it, or in a group that its processes have made below it."""
        try:
            return b"populated 1" in _read(f"{self.folder}/cgroup.events")
        except OSError:
            return False

    def pids(self) -> list[int]:
        found: list[int] = []
        for folder in self._folders():
            with suppress(OSError):  # gone meanwhile
                found += map(int, _read(f"{folder}/cgroup.procs").split())
        return found

    def remove(self) -> None:
        """With all below it, unless somebody is left in it."""
        for folder in self._folders():
            with suppress(OSError):
                os.rmdir(folder)

    def _folders(self) -> Iterator[str]:
        return (folder for folder, _, _ in os.walk(self.folder, topdown=False))


class Cgroups:
    """The groups of a project's instances, below `folder`; without one there are none, and nothing happens.

    `prepare` may do something about a group, by its instance and its folder, before a copy enters it.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder
        self.prepare: Callable[[object, str], None] | None = None

    def of(self, name: object) -> Cgroup | None:
        return Cgroup(f"{self.folder}/{name}") if self.folder is not None else None

    def hold(self, pid: int) -> None:
        """A child just started waits until it is in its group: what it forked before would never get there."""
        if self.folder is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGSTOP)

    def enter(self, started: Sequence[tuple[object, int]]) -> None:
        """Take in children that are held, all in one go: the kernel lets who moves the first of them wait a while."""
        if self.folder is None or not started:
            return
        with suppress(OSError):
            os.mkdir(self.folder)
        for name, pid in started:
            group = Cgroup(f"{self.folder}/{name}")
            if self.prepare is not None:
                with suppress(OSError):  # it will not be limited then, but it is ours
                    group.make()
                    self.prepare(name, group.folder)
            group.enter(pid)
        for _, pid in started:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)

    def kill(self, name: object) -> None:
        if self.folder is not None:
            Cgroup(f"{self.folder}/{name}").kill()

    def populated(self, name: object) -> bool:
        return self.folder is not None and Cgroup(f"{self.folder}/{name}").populated()

    def remove(self, name: object) -> None:
        if self.folder is not None:
            Cgroup(f"{self.folder}/{name}").remove()

    def every(self) -> list[Cgroup]:
        """Those of all instances, of a predecessor's too."""
        if self.folder is None:
            return []
        try:
            # An instance's name has a dot in it.
            return [Cgroup(f"{self.folder}/{name}") for name in os.listdir(self.folder) if _is_instance(name)]
        except OSError:
            return []

    def tidy(self) -> None:
        """Remove what is empty; the folder itself, too, if nothing is left in it."""
        for cgroup in self.every():
            cgroup.remove()
        if self.folder is not None:
            if os.path.isdir(f"{self.folder}/{LEAF}"):  # something was switched on
                from procsup.runtime.limits.controllers import switch_off

                switch_off(self.folder)
            with suppress(OSError):
                os.rmdir(self.folder)


def find_cgroups(project: str) -> Cgroups:
    """Those of this project; without a folder where no part of cgroup v2 is ours to use."""
    try:
        folder, own = _own_folder(), f"procsup-{project}"
        if folder is not None:
            folder = folder.removesuffix(f"/{own}/{LEAF}")  # in which an earlier self of ours has put us
        if folder is not None and _delegated(folder):
            return Cgroups(f"{folder}/{own}")
    except (OSError, ValueError, IndexError):
        pass  # not as we know it: nothing that we could use
    return Cgroups()


def _own_folder() -> str | None:
    """Of the group that we are in, wherever cgroup v2 is mounted: beside an older version's groups, too."""
    path = next(line[3:] for line in (*_read("/proc/self/cgroup").splitlines(), b"0::") if line.startswith(b"0::"))
    for line in _read("/proc/self/mountinfo").splitlines() if path else ():
        place, _, what = line.partition(b" - ")
        if what.startswith(b"cgroup2 "):
            root, point = place.split()[3:5]
            root = root.rstrip(b"/")
            if path == root or path.startswith(root + b"/"):
                return os.fsdecode(point + path[len(root) :]).rstrip("/")
    return None


def _delegated(folder: str) -> bool:
    if not os.path.exists(f"{folder}/cgroup.kill"):  # Linux before 5.14, or the root of all groups
        return False
    user = os.geteuid()
    if os.stat(folder).st_uid != user or not all(map(_writable, (folder, f"{folder}/cgroup.procs"))):
        return False
    # To root belongs everything, so that says nothing.
    return user != 0 or any(_mark(folder, name) == b"1" for name in _MARKS)


def _writable(path: str) -> bool:
    return os.access(path, os.W_OK)


def _mark(folder: str, name: str) -> bytes:
    try:
        return os.getxattr(folder, name)
    except OSError:
        return b""


def _is_instance(name: str) -> bool:
    return name.rpartition(".")[2].isdigit() and "." in name


def write(path: str, what: int | str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(what).encode())
    finally:
        os.close(descriptor)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()
