"""Reads procsup's output as it comes: who is ready, how many were started, and whether a line is missing."""

from __future__ import annotations

import os
import re
import threading
from typing import NamedTuple

from benchmarks.soak.journal import Journal
from benchmarks.soak.project import BURST

_LINE = re.compile(rb"\d\d:\d\d:\d\d (\S+) +\| (.*)")
_STARTED = re.compile(rb"(\S+) started, pid (\d+)")
_TROUBLE = re.compile(rb"(?i)error inside|traceback|exception|broke off")


class Told(NamedTuple):
    """What a process has said of itself when it was ready."""

    name: str
    version: int
    unique_int: int
    port: int


class _Burst:
    """The lines of one burst, in order; `rest` is the part of a line that was shown before its end came."""

    def __init__(self, name: str, number: str) -> None:
        self.name = name
        self.number = number
        self.expected = 1
        self.rest = b""

    @property
    def next_line(self) -> bytes:
        what = str(self.expected) if self.expected <= BURST else "end"
        return f"burst {self.name} {self.number} {what}".encode()


class Ear:
    """A thread that reads; `deaf` makes it stop reading until it is cleared."""

    def __init__(self, stream: int, journal: Journal) -> None:
        self.told: dict[int, Told] = {}
        self.spawns = 0
        self.bursts = 0
        self.upgrades = 0
        self.hears = threading.Event()
        self.hears.set()
        self._journal = journal
        self._bursts: dict[str, _Burst] = {}
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def end(self, within: float) -> bool:
        """Whether the output came to its end in that time."""
        self.hears.set()
        self._thread.join(within)
        return not self._thread.is_alive()

    def _read(self, stream: int) -> None:
        unread = b""
        while chunk := os.read(stream, 1 << 16):
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                self._hear(line)
            self.hears.wait()
        os.close(stream)
        if unread:
            self._journal.wrong(f"the output ends in the middle of a line: {unread[-100:]!r}")

    def _hear(self, line: bytes) -> None:
        parts = _LINE.fullmatch(line)
        if parts is None:
            self._journal.wrong(f"a line of output without a name: {line[:200]!r}")
            return
        label, text = parts[1].decode(), parts[2]
        if label == "procsup":
            self._hear_procsup(text)
        elif text.startswith(b"ready "):
            self._hear_ready(label, text)
        elif label in self._bursts or text.startswith(b"burst "):
            self._hear_burst(label, text)

    def _hear_procsup(self, text: bytes) -> None:
        if (started := _STARTED.fullmatch(text)) is not None:
            self.spawns += 1
            # A pid may come round again, and its next owner has not said anything yet.
            told = self.told.get(int(started[2]))
            if told is not None and told.name != started[1].decode():
                del self.told[int(started[2])]
        elif text.startswith(b"upgraded from "):
            self.upgrades += 1
        elif _TROUBLE.search(text):
            self._journal.wrong(f"procsup says: {text.decode(errors='replace')}")
        else:
            self._journal.remark(f"procsup: {text.decode(errors='replace')}")

    def _hear_ready(self, label: str, text: bytes) -> None:
        _, name, version, unique_int, port, pid = text.decode().split()
        if name != label:
            self._journal.wrong(f"a line of {name} stands under the name {label}: {text!r}")
        self.told[int(pid)] = Told(name, int(version), int(unique_int), int(port))

    def _hear_burst(self, label: str, text: bytes) -> None:
        burst = self._bursts.get(label)
        if burst is not None:
            if burst.rest + text == burst.next_line:
                burst.expected += 1
                burst.rest = b""
                if burst.expected == BURST + 2:
                    self.bursts += 1
                    del self._bursts[label]
                return
            if burst.next_line.startswith(burst.rest + text):
                burst.rest += text  # a line that hesitates is shown in parts
                return
        # In front of it there may be the last words of one that was killed in the middle of a line.
        words = text[max(0, text.rfind(b"burst burst.")) :].decode(errors="replace").split()
        if words[:1] != ["burst"] or len(words) != 4:
            return  # the last words of somebody killed in the middle of a line, or of another kind
        _, name, number, what = words
        if name != label:
            self._journal.wrong(f"a line of {name} stands under the name {label}: {text!r}")
        elif burst is not None and number == burst.number:
            self._journal.wrong(f"output is missing: {text!r} came where {burst.next_line!r} was due")
            burst.expected = int(what) + 1 if what.isdigit() else BURST + 2
        elif what == "1":  # the one before was cut short by a kill
            self._bursts[label] = _Burst(name, number)
            self._bursts[label].expected = 2
        elif "1".startswith(what):
            self._bursts[label] = _Burst(name, number)
        else:
            self._journal.wrong(f"output is missing: a burst begins with {text!r}")
            self._bursts[label] = _Burst(name, number)
            self._bursts[label].expected = int(what) + 1 if what.isdigit() else BURST + 2
