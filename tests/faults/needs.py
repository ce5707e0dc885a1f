"""What some faults cannot be made without. In CI nothing is skipped: there a machine that lacks it fails."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

_IN_CI = os.environ.get("CI") == "true"


def needs(there: bool, reason: str) -> pytest.MarkDecorator:
    """Skips, and says why, where it is not there."""
    return pytest.mark.skipif(not there and not _IN_CI, reason=reason)


def works(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
