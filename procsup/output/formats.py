"""How lines look: `HH:MM:SS web.1 | text`, or one JSON object a line.

Whole chunks at a time: the prefix is put before every line by one `bytes.replace`, and one timestamp serves the chunk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from procsup.output.priorities import priority
from procsup.output.sink import Buffer
from procsup.output.source import Source
from procsup.output.style import Style

OWN_NAME = "procsup"  # under which the supervisor's own lines appear

# No red: it looks like an error. No white or black: one of them is the background.
_COLORS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


class Format(Protocol):
    """`continues`: what is said goes on in the same source's unfinished line, at the end of the output so far.

    `held` is as much of that line as was not given yet.
    """

    held: bytes

    def set_names(self, names: Iterable[str], types: Iterable[str]) -> None: ...

    def lines(
        self, source: Source, head: bytes, data: bytes, end: int, now: float, continues: bool
    ) -> Sequence[Buffer]:
        """Whole lines: `head`, which has no newline, then `data` up to `end`, just after its last newline."""

    def piece(self, source: Source, text: bytes, now: float, continues: bool) -> bytes:
        """A part of a line, without newline, its end not among it."""

    def line_end(self, source: Source) -> bytes:
        """What ends a source's unfinished line before somebody else speaks."""


class TextFormat:
    def __init__(self, style: Style) -> None:
        self.held = b""
        self._style = style
        self._width = len(OWN_NAME)
        self._colors: dict[str, str] = {}
        self._prefixes: dict[tuple[str, str, str], bytes] = {}  # of this second
        self._second = -1

    def set_names(self, names: Iterable[str], types: Iterable[str]) -> None:
        self._width = max(map(len, (OWN_NAME, *names)))
        self._colors = {type: _COLORS[position % len(_COLORS)] for position, type in enumerate(types)}  # noqa: A001
        self._second = -1

    def lines(
        self, source: Source, head: bytes, data: bytes, end: int, now: float, continues: bool
    ) -> Sequence[Buffer]:
        prefix = self._prefix(source, now)
        if not continues:
            head = prefix + head
        if not prefix:
            return (head, memoryview(data)[:end])
        # All of data is replaced in and then cut by a view: each copy of a chunk costs as much as the replacing.
        spread = data.replace(b"\n", b"\n" + prefix)
        return (head, memoryview(spread)[: len(spread) - (len(data) - end) - len(prefix)])

    def piece(self, source: Source, text: bytes, now: float, continues: bool) -> bytes:
        return text if continues else self._prefix(source, now) + text

    def line_end(self, source: Source) -> bytes:
        return b"\x1b[0m\n" if source.coloured else b"\n"

    def _prefix(self, source: Source, now: float) -> bytes:
        second = int(now)
        if second != self._second:
            self._second = second
            self._prefixes.clear()
        key = (source.name, source.type, source.stream)
        prefix = self._prefixes.get(key)
        if prefix is None:
            prefix = self._prefixes[key] = self._urgency(source.stream) + self._make_prefix(
                source.name, source.type, now
            )
        return prefix

    def _urgency(self, stream: str) -> bytes:
        """What journald takes off the beginning of a line again (sd-daemon's way)."""
        return b"<%d>" % priority(stream) if self._style.format == "priorities" else b""

    def _make_prefix(self, name: str, type: str, now: float) -> bytes:  # noqa: A002
        if not self._style.prefix:
            return b""
        stamp = time.strftime("%H:%M:%S ", time.localtime(now)) if self._style.timestamps else ""
        label = f"{stamp}{name:<{self._width}} |"
        color = self._colors.get(type) if self._style.color else None
        return (f"\x1b[{color}m{label}\x1b[0m " if color else f"{label} ").encode()


class JsonFormat:
    """A machine reads it, so it is decoded line by line: several times slower than text.

    A part of a line has `"partial": true`; the rest of the line follows in the source's next object.
    """

    def __init__(self, style: Style) -> None:
        import json  # only who asks for JSON pays for it

        self.held = b""
        # On a terminal nothing but ASCII: C1 control characters would act on it.
        self._encode = json.JSONEncoder(ensure_ascii=style.terminal).encode

    def set_names(self, names: Iterable[str], types: Iterable[str]) -> None:
        pass

    def lines(
        self,
        source: Source,
        head: bytes,
        data: bytes,
        end: int,
        now: float,
        continues: bool,  # noqa: ARG002
    ) -> Sequence[Buffer]:
        frame = self._frame(source, now)
        lines = (head + data[: end - 1]).split(b"\n")
        return ["".join([self._object(frame, line, "}\n") for line in lines]).encode()]

    def piece(self, source: Source, text: bytes, now: float, continues: bool) -> bytes:  # noqa: ARG002
        return self._object(self._frame(source, now), text, ', "partial": true}\n').encode()

    def line_end(self, source: Source) -> bytes:  # noqa: ARG002 (its objects are whole lines)
        return b""

    def _frame(self, source: Source, now: float) -> str:
        offset = time.strftime("%z", time.localtime(now))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now))
        fields = {
            "time": f"{stamp}.{int(now * 1000) % 1000:03}{offset[:3]}:{offset[3:5]}",
            "instance": source.name,
            "type": source.type,
            "stream": source.stream,
            "pid": source.pid,
        }
        return self._encode(fields)[:-1]

    def _object(self, frame: str, text: bytes, end: str) -> str:
        return f'{frame}, "text": {self._encode(text.decode(errors="replace"))}{end}'


def make_format(style: Style) -> Format:
    if style.format == "journal":
        from procsup.output.journal import JournalFormat  # only under systemd

        return JournalFormat(style.app)
    return JsonFormat(style) if style.format == "json" else TextFormat(style)


def own_source() -> Source:
    return Source(OWN_NAME, OWN_NAME, OWN_NAME, os.getpid())
