"""Who says something: one stream of one running copy of an instance."""

from __future__ import annotations


class Source:
    """Compared by identity: the stdout of the next copy of `web.1` is another source than that of the last."""

    __slots__ = ("coloured", "cut", "name", "pid", "stream", "type")

    def __init__(self, name: str, type: str, stream: str, pid: int) -> None:  # noqa: A002 (the contract's word)
        self.name = name
        self.type = type
        self.stream = stream
        self.pid = pid
        self.cut = False  # its line on the screen was ended by somebody else's; the rest of it is still to come
        self.coloured = False  # its unfinished line has changed the terminal's colours
