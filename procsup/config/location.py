"""Which folder is the app's root: what a supervisor is known by. Light, since the client asks too."""

from __future__ import annotations

import os

STDIN = "-"


def find_root(procfile: str | None, root: str | None, cwd: str) -> str:
    """`-d DIR`, else the folder of `-f FILE`, else `cwd`; absolute and without symbolic links.

    The Procfile itself may be a link to elsewhere: its folder is the one it was named in.
    """
    if root is not None:
        folder = root
    elif procfile is not None and procfile != STDIN:
        folder = os.path.dirname(procfile)
    else:
        folder = ""
    return os.path.realpath(os.path.join(cwd, folder))
