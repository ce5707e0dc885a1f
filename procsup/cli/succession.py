"""Not for people: how a running supervisor of another version tries this one, and makes it take its place."""

from __future__ import annotations

from procsup.cli.options import environment
from procsup.errors import ProcsupError


def succeed(how: str, descriptors: str) -> int:
    """`--try FD`, `--take-over FD`, or `--take-back FD,FD`: files with a memory, and with why it was given back.

    Raises ProcsupError where that cannot be done.
    """
    try:
        from procsup.runtime.upgrade.successor import take_over, try_out

        if how == "--try":
            try_out(int(descriptors))
            return 0
    except Exception as error:  # whatever it is, it is one line for the version that asks
        raise ProcsupError(f"{type(error).__name__}: {error}") from error
    return take_over(*map(int, descriptors.split(",")), environ=environment())
