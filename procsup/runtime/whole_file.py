"""A file that is the old or the new at any moment, never half of one, whoever is killed and whenever the power goes."""

from __future__ import annotations

import contextlib
import os

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def write_whole(
    path: str, fresh: str, content: bytes, mode: int, owner: int | None = None, folder: int | None = None
) -> None:
    """By way of `fresh`, a name in the same folder that is nobody else's, and is gone afterwards. Raises OSError.

    `owner`: the uid that the file is to belong to. `folder`: a descriptor of the folder from which the paths are meant.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh, dir_fd=folder)  # left by one that was killed in here
    descriptor = os.open(fresh, _NEW, 0o600, dir_fd=folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if owner is not None and owner != os.geteuid():
                os.fchown(descriptor, owner, -1)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(fresh, path, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh, dir_fd=folder)
        raise
