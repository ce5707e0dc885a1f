"""A small Debian with systemd and all that procsup needs, made once per machine and copied for each test.

`python3 -m tests.boot.rootfs` makes it (190 MB, a minute or more), or says why it cannot.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.boot.machine import remove_tree, run_in_folder

ROOT = Path(__file__).resolve().parent.parent.parent
PROCSUP = "/opt/procsup/bin/procsup"  # inside
_CACHE = Path.home() / ".cache" / "procsup-tests"
_SUITE = "bookworm"
_MIRROR = "http://deb.debian.org/debian"
_PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv"
_NEEDS = {"systemd-nspawn": "systemd-container", "debootstrap": "debootstrap", "nsenter": "util-linux"}
# What only takes space, and time to copy.
_WITHOUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man", "var/lib/dpkg")
_RECIPE = f"3 {_SUITE} {_PACKAGES}"


class NotPossible(Exception):
    """No such system can be had here; the message says why."""


def why_not() -> str | None:
    """Why no system can be booted on this machine, if so."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "booting a container needs Linux, and root"
    missing = [package for program, package in _NEEDS.items() if shutil.which(program) is None]
    if missing:
        return f"booting a container needs: apt-get install {' '.join(missing)}"
    return None


def prepare() -> Path:
    """The folder of the root file system, made first if need be. Raises NotPossible."""
    reason = why_not()
    if reason is not None:
        raise NotPossible(reason)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    name = hashlib.sha256("\n".join([_RECIPE, *wanted]).encode()).hexdigest()[:12]
    folder = _CACHE / f"rootfs-{name}"
    lock = _lock("making")
    try:
        if not folder.exists():
            for old in _CACHE.glob("rootfs-*"):
                remove_tree(old)
            _make(partial := _CACHE / f"rootfs-{name}.partial", wanted)
            partial.rename(folder)
    finally:
        os.close(lock)
    return folder


def one_at_a_time() -> int:
    """A lock, to be closed: all containers have control groups of the same name, so there can be one at a time."""
    return _lock("booted")


def _lock(name: str) -> int:
    _CACHE.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_CACHE / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def copy(source: Path, target: Path) -> None:
    """All but /usr, which is nine tenths of it and only read: the copies share one."""
    target.mkdir()
    entries = [entry for entry in source.iterdir() if entry.name != "usr"]
    subprocess.run(["cp", "--archive", "--reflink=auto", *entries, target], check=True)
    (target / "usr/lib").mkdir(parents=True)
    shutil.copy(source / "usr/lib/os-release", target / "usr/lib")  # without it, it is no system to systemd-nspawn


def install_procsup(folder: Path, usr: Path, wheels: Path) -> None:
    """The procsup of this tree, as a wheel, into a copy of the root file system."""
    _call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
    [wheel] = wheels.glob("procsup-*.whl")
    shutil.copy(wheel, folder / "opt")
    install = ("/opt/procsup/bin/pip", "install", "--quiet", "--no-index", "--no-deps")
    run_in_folder(folder, *install, f"/opt/{wheel.name}", usr=usr)


def _make(folder: Path, dependencies: list[str]) -> None:
    # debootstrap mounts the host's /proc and /sys in it: these shall go with it, however it ends.
    _call(
        "unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(folder), _MIRROR
    )
    for name in _WITHOUT:
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "var/log/journal").mkdir(exist_ok=True)  # where it is, the journal outlives a reboot
    wheels = folder / "opt/wheels"
    _call(sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(wheels), *dependencies)
    run_in_folder(folder, "python3", "-m", "venv", "/opt/procsup")
    run_in_folder(
        folder, "/opt/procsup/bin/pip", "install", "--quiet", "--no-index", "--find-links", "/opt/wheels", *dependencies
    )
    shutil.rmtree(wheels)


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        words = (done.stdout + done.stderr).strip().splitlines()[-5:]
        raise NotPossible(f"{os.path.basename(command[0])} failed: {' / '.join(words)}")


if __name__ == "__main__":
    try:
        print(prepare())
    except NotPossible as error:
        sys.exit(str(error))
