"""Other versions of procsup, each run by an interpreter of its own, and one that stops in the middle of an upgrade."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import procsup

SITE_PACKAGES = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
_SITE = sysconfig.get_path("purelib")


def other_version(folder: Path, edits: Mapping[str, tuple[str, str]]) -> str:
    """A Python with a procsup of its own, version 9.9: ours, in whose files a text is replaced. Its path."""
    site = folder / SITE_PACKAGES
    shutil.copytree(Path(procsup.__file__).parent, site / "procsup", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "others.pth").write_text(f"{_SITE}\n")
    for name, (old, new) in {"__init__.py": (procsup.__version__, "9.9"), **edits}.items():
        path = site / "procsup" / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    python.symlink_to(os.path.realpath(sys.executable))
    (folder / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
    return str(python)


class Gap:
    """An interpreter that is in no hurry: between the exec and the first line of the new version it waits for us.

    It is itself the process that is being upgraded, and everything that happens meanwhile happens in the gap.
    """

    def __init__(self, folder: Path, before: str = "") -> None:
        self._reached, self._go = folder / "reached", folder / "go"
        for each in (self._reached, self._go):
            os.mkfifo(each)
        self.python = folder / "in-no-hurry"
        self.python.write_text(
            f"#!{sys.executable} -IS\n"
            "import os, sys\n"
            "if '--take-over' in sys.argv:\n"
            f"    open({str(self._reached)!r}, 'w').close()\n"
            f"    open({str(self._go)!r}).close()\n"
            f"    {before}\n"
            f"os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])\n"
        )
        self.python.chmod(0o755)

    def wait(self) -> None:
        """Until it is there."""
        with open(self._reached):
            pass

    def end(self) -> None:
        """Let it go on."""
        with open(self._go, "w"):
            pass
