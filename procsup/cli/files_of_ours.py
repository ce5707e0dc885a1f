"""Files that install writes and uninstall removes, and nobody else's: each says in its first line whose it is."""

from __future__ import annotations

import os

from procsup.errors import ProcsupError
from procsup.runtime.whole_file import write_whole


def read_ours(path: str) -> str:
    """Empty where there is none. Raises ProcsupError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ProcsupError(f"{path} cannot be read: {error.strerror}") from error


def write_ours(path: str, text: str, mode: int) -> bool:
    """Whether it is another now. Raises ProcsupError for one that is not ours."""
    before = read_ours(path)
    if os.path.lexists(path):
        keep_ours(path)
    if before == text and os.stat(path).st_mode & 0o7777 == mode:
        return False
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_whole(path, f"{path}.new", text.encode(), mode)
    except OSError as error:
        raise ProcsupError(f"{path} cannot be written: {error.strerror}") from error
    return True


def keep_ours(path: str) -> bool:
    """Raises ProcsupError for one that is not ours. Nothing is changed, which is what is returned."""
    from procsup.export.own_service import is_ours

    if not is_ours(read_ours(path)):
        raise ProcsupError(f"{path} is there already, and not from procsup install; move it out of the way")
    return False


def remove_ours(path: str) -> None:
    from procsup.export.own_service import is_ours

    try:
        if os.path.lexists(path) and is_ours(read_ours(path)):
            os.unlink(path)
    except OSError as error:
        raise ProcsupError(f"{path} cannot be removed: {error.strerror}") from error
