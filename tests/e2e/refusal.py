"""How every command refuses."""

from __future__ import annotations

import subprocess


def refused(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """What it says, in at most two lines."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "bug in procsup" not in done.stderr
    assert 1 <= len(done.stderr.splitlines()) <= 2, done.stderr
    return done.stderr
