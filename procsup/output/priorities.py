"""How serious a line is, in the numbers of syslog and the journal, judged by the stream that it came on."""

from __future__ import annotations

# What programs say on stderr is mostly their log, and only sometimes an error: a warning wakes nobody up.
_PRIORITIES = {"stderr": 4, "procsup": 5}  # warning, notice
_INFORMATIONAL = 6


def priority(stream: str) -> int:
    return _PRIORITIES.get(stream, _INFORMATIONAL)
