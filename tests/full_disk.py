"""A full disk that needs no privileges: a limit for the size of files, for as long as the block lasts.

pytest writes to files as well, its own output may be one: so nothing but a `with` block sets the limit, and it is gone
before the test's verdict is told.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(at: int = 4096) -> Iterator[Callable[[], None]]:
    """Files of this process end at so many bytes; gives what makes room again before the block ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def make_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    try:
        yield make_room
    finally:
        make_room()
