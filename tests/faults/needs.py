"""What some faults cannot be made without; in CI it has to be there (tests/conftest.py)."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def needs(there: bool, reason: str) -> pytest.MarkDecorator:
    """Skips, and says why, where it is not there."""
    return pytest.mark.skipif(not there, reason=reason)


def works(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
