"""Mounts of a test's own, which nobody else sees and which are gone with its processes."""

from __future__ import annotations

import os
import shutil
import subprocess

# Not only for root, where the system allows others to be root among themselves.
OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private", *(() if os.geteuid() == 0 else ("--map-root-user",)))


def missing_mounts() -> str:
    """Why there are none here; in CI that is for the test to find out."""
    if os.environ.get("CI") == "true":
        return ""
    if shutil.which("unshare") is None:
        return "there is no unshare here"
    return "may not mount here" if subprocess.run([*OWN_MOUNTS, "true"], capture_output=True).returncode else ""
