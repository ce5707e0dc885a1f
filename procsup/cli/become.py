"""Makes this process another program, as `run` and `exec` do."""

from __future__ import annotations

import os
import signal
from typing import NoReturn


def become(executable: str, argv: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    """Raises OSError where it cannot."""
    # Python ignores these two, and what is ignored stays so in the program that comes after.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execve(executable, argv, environment)
    except OSError as error:
        if not isinstance(error, (FileNotFoundError, PermissionError)):
            os.execve("/bin/sh", ("/bin/sh", executable, *argv[1:]), environment)  # a script without #!
        raise
