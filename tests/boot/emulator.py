"""A whole machine, emulated, for what a container cannot have where the host's controllers are of the older kind.

Its root file system is that of the containers, all in memory. It boots once, runs one program, and is switched off.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.boot.rootfs import NotPossible

_CACHE = Path.home() / ".cache" / "procsup-tests"
_META = "linux-image-cloud-amd64"  # of the same Debian as the root file system, or of another: any will do
_NEEDS = {"qemu-system-x86_64": "qemu-system-x86", "cpio": "cpio", "apt-get": "apt", "dpkg-deb": "dpkg"}
_RESULT = "RESULT "
_PATIENCE = 800  # seconds; without the processor's help everything takes thirty times as long
_UNIT = """\
[Unit]
After=multi-user.target
[Service]
ExecStart=/opt/procsup/bin/python3 -I /srv/program.py
ExecStopPost=systemctl poweroff --force --force
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
"""
_QEMU = (
    *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1400"),
    *("-nographic", "-no-reboot", "-net", "none"),
)


def why_not() -> str | None:
    """Why no machine can be emulated here, if so."""
    if platform.machine() != "x86_64":
        return "the machine that is emulated is an x86_64"
    missing = [package for program, package in _NEEDS.items() if shutil.which(program) is None]
    return f"emulating a machine needs: apt-get install {' '.join(missing)}" if missing else None


def run_in_emulator(root: Path, usr: Path, folder: Path, program: str) -> Any:
    """What the program prints as JSON after `RESULT `. `folder` is for what is needed meanwhile."""
    kernel = _kernel()
    (root / "srv/program.py").write_text(program)
    units = root / "etc/systemd/system"
    (units / "program.service").write_text(_UNIT)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/program.service").symlink_to("/etc/systemd/system/program.service")
    (units / "serial-getty@ttyS0.service").symlink_to("/dev/null")
    archive = folder / "root.cpio"
    with archive.open("wb") as file:
        _pack(usr.parent, ["usr"], file.fileno())
        _pack(root, [entry.name for entry in root.iterdir() if entry.name != "usr"], file.fileno())
    words = "console=ttyS0 rdinit=/sbin/init quiet systemd.show_status=0 mitigations=off"
    try:
        done = subprocess.run(
            [*_QEMU, "-kernel", kernel, "-initrd", archive, "-append", words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    finally:
        archive.unlink()
    console = (done.stdout + done.stderr).decode(errors="replace")
    results = [line for line in console.splitlines() if line.startswith(_RESULT)]
    assert results, f"it told no result:\n{console}"
    return json.loads(results[-1].removeprefix(_RESULT))


def _pack(folder: Path, names: list[str], into: int) -> None:
    """Archives of this kind may follow one another."""
    found = subprocess.run(["find", *sorted(names), "-print0"], cwd=folder, stdout=subprocess.PIPE, check=True)
    packing = ["cpio", "--null", "--create", "--format=newc", "--quiet"]
    subprocess.run(packing, cwd=folder, input=found.stdout, stdout=into, check=True)


def _kernel() -> Path:
    """Taken out of its package, which is not installed. Raises NotPossible."""
    known = sorted(_CACHE.glob("kernel/boot/vmlinuz-*"))
    if known:
        return known[-1]
    depends = _call("apt-cache", "depends", _META).split()
    name = next((each for each in depends if each.startswith("linux-image-") and each != _META), None)
    if name is None:
        raise NotPossible(f"apt knows no {_META}; apt-get update")
    folder = _CACHE / "kernel.partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _call("apt-get", "download", name, cwd=folder)
    [package] = folder.glob("*.deb")
    _call("dpkg-deb", "--extract", str(package), str(folder))
    for each in (package, *folder.iterdir()):
        if each.name != "boot":
            shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)
    folder.rename(_CACHE / "kernel")
    return sorted(_CACHE.glob("kernel/boot/vmlinuz-*"))[-1]


def _call(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**os.environ, "LC_ALL": "C"}, check=False
    )
    if done.returncode:
        raise NotPossible(f"{command[0]} failed: {' / '.join(done.stderr.strip().splitlines()[-3:])}")
    return done.stdout
