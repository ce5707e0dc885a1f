"""Makes this process another program, as `run` and `exec` do."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from procsup.runtime.users import User


def become(executable: str, argv: tuple[str, ...], environment: dict[str, str], user: User | None = None) -> NoReturn:
    """As this user, or as we are. Raises OSError where it cannot."""
    if user is not None:
        os.setgroups(user.groups)
        os.setgid(user.gid)
        os.setuid(user.uid)
    # Python ignores these two, and what is ignored stays so in the program that comes after.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execve(executable, argv, environment)
    except OSError as error:
        if not isinstance(error, (FileNotFoundError, PermissionError)):
            os.execve("/bin/sh", ("/bin/sh", executable, *argv[1:]), environment)  # a script without #!
        raise
