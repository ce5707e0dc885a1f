"""A machine to boot, reboot and switch off: systemd as PID 1 in a container of its own, which nothing gets out of.

Only systemd-nspawn builds it. Put together by hand, from namespaces and mounts, one mistake gives the host's folders to
the container's systemd-tmpfiles.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests import leaks

PATIENCE = 40.0  # the bound of every wait; a busy machine is slow
_REBOOT_ASKED = 133  # the exit code of systemd-nspawn
_NSPAWN = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network")
# Of our own environment a command inside gets nothing, but for the mark by which a process that was left is found.
_INSIDE = {"PATH": "/opt/procsup/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


class Machine:
    """`root` is its root file system, a folder; what is written there is there inside. `usr` becomes its /usr."""

    def __init__(self, root: Path, usr: Path) -> None:
        self.root = root
        self._usr = usr
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0

    def boot(self) -> None:
        """Returns when all that starts at boot has been started."""
        with open(self.root.with_suffix(".console"), "ab") as console:
            self._nspawn = subprocess.Popen(
                [*_NSPAWN, *_folders(self.root, self._usr), "--boot", "--console=read-only"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=_environment(),
            )
        until = time.monotonic() + PATIENCE
        while not self._is_up():
            assert self._nspawn.poll() is None, f"it does not boot: {self.console()}"
            assert time.monotonic() < until, f"not up within {PATIENCE} s: {self.console()}"
            time.sleep(0.02)  # the pace of asking

    def run(self, *command: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        """A command inside, as root."""
        done = subprocess.run(
            ["nsenter", "--target", str(self._init), "--all", "--", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**_INSIDE, leaks.COOKIE: os.environ.get(leaks.COOKIE, "")},
            cwd="/",
            check=False,
            **more,
        )
        assert done.returncode == 0 or not check, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def ok(self, *command: str) -> str:
        return self.run(*command).stdout

    def write(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def journal(self, unit: str) -> str:
        return self.ok("journalctl", "--no-pager", "--output=cat", "--unit", unit)

    def reboot(self) -> None:
        self.run("systemctl", "reboot", check=False)  # it may be cut off in the middle
        assert self._end() == _REBOOT_ASKED, self.console()
        self.boot()

    def power_off(self) -> None:
        self.run("systemctl", "poweroff", check=False)
        assert self._end() == 0, self.console()

    def pull_the_plug(self) -> None:
        """However it goes on: afterwards it is gone."""
        if self._nspawn is None:
            return
        if self._nspawn.poll() is None and (init := _init_of(self._nspawn.pid)):
            os.kill(init, signal.SIGKILL)  # all that is inside goes with it; with systemd-nspawn alone it would not
        else:
            self._nspawn.kill()
        self._end()

    def processes(self, *words: str) -> int:
        """How many run with exactly this command line, here or on the host, which sees all of them."""
        wanted = b"".join(word.encode() + b"\0" for word in words)
        found = 0
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                found += Path(f"/proc/{name}/cmdline").read_bytes() == wanted
        return found

    def console(self) -> str:
        return self.root.with_suffix(".console").read_text(errors="replace")

    def _is_up(self) -> bool:
        assert self._nspawn is not None
        self._init = _init_of(self._nspawn.pid)
        if not self._init:
            return False
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in {"running", "degraded"}

    def _end(self) -> int:
        assert self._nspawn is not None
        code = self._nspawn.wait(PATIENCE)
        self._nspawn = None
        remove_groups()
        return code


def run_in_folder(folder: Path, *command: str, usr: Path | None = None) -> None:
    """A single command in a root file system, without a boot."""
    done = subprocess.run(
        [*_NSPAWN, *_folders(folder, usr), "--pipe", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=_environment(),
        check=False,
    )
    remove_groups()
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"


def remove_tree(folder: Path) -> None:
    """A root file system, but never what somebody has mounted in it."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in mounts if point.startswith(f"{folder.resolve()}/")]
    assert not inside, f"still mounted, and so not removed: {inside}"
    shutil.rmtree(folder)


def groups_left() -> list[str]:
    """The control groups that systemd-nspawn makes below ours, and leaves there; deepest first."""
    found: list[str] = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in {"", "name=systemd"}:
            for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if not controllers else ("/sys/fs/cgroup/systemd",):
                for name in ("payload", "supervisor"):
                    own = f"{top}{path.rstrip('/')}/{name}"
                    found += [folder for folder, _, _ in os.walk(own, topdown=False)]
    return found


def remove_groups() -> None:
    """Those of processes that are just ending may need another try."""
    until = time.monotonic() + PATIENCE
    while (left := groups_left()) and time.monotonic() < until:
        for folder in left:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        time.sleep(0.01)  # the pace of trying


def _folders(root: Path, usr: Path | None) -> list[str]:
    return [f"--directory={root}", *([f"--bind-ro={usr}:/usr"] if usr is not None else [])]


def _environment() -> dict[str, str]:
    # Where the host's control groups are of the old kind, the container gets those of the new kind all the same.
    return {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}


def _init_of(nspawn: int) -> int:
    """The container's PID 1, as the host sees it; 0 where it is not there yet."""
    with contextlib.suppress(OSError):
        for pid in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
            if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                return int(pid)
    return 0
