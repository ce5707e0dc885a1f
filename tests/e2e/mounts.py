"""Mounts of a test's own, which nobody else sees and which are gone with its processes."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.faults.needs import needs

# Not only for root, where the system allows others to be root among themselves.
OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private", *(() if os.geteuid() == 0 else ("--map-root-user",)))


def _why_not() -> str:
    if shutil.which("unshare") is None:
        return "there is no unshare here"
    return "may not mount here" if subprocess.run([*OWN_MOUNTS, "true"], capture_output=True).returncode else ""


needs_own_mounts = needs(not (reason := _why_not()), reason)
