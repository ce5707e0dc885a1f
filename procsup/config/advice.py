"""What `check` warns of: lines that are right for us and a trap elsewhere, or that rarely do what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from procsup.errors import Problem

Place = tuple[int, int]  # line and column, both from 1

_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z")
_NOHUP = re.compile(r"(?:\A|[\s;&|(])nohup\s")
# `--daemonize no` (redis) keeps a server in the foreground, so the word alone proves nothing.
_DAEMON = re.compile(r"\s(--daemon|--daemonize(?:\s+|=)yes|--daemonize(?=\Z|\s+-))(?=\s|\Z)")


def advise(file: str, name: str, command: str, places: Sequence[Place]) -> Iterator[Problem]:
    """`places` are those of the line's beginning, the name, its end, the colon and the command."""
    beginning, name_place, after_name, colon, command_place = places
    if name_place != beginning:
        yield Problem(file, *beginning, "white space before the name; other tools skip such a line, remove it")
    if colon != after_name:
        yield Problem(file, *after_name, "white space before the colon; other tools skip such a line, remove it")
    if name == "release":
        message = "a release command is not a long-running process; its count is 0, and start --release runs it first"
        yield Problem(file, *name_place, message)
    if name == "all":
        yield Problem(file, *name_place, '"all" means every type where counts are given; rename this one')
    if not _DNS_LABEL.match(name):
        better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        advice = f'"{better}" would be one' if better else "choose another"
        yield Problem(file, *name_place, f'the name "{name}" is no DNS label, as Kubernetes needs; {advice}')
    background = _background(command)
    if background:
        message = f"{background} puts the command in the background, where nobody can supervise it; remove it"
        yield Problem(file, *command_place, message)


def _background(command: str) -> str | None:
    """The word that sends the command away."""
    if command.endswith("&") and not command.endswith(("&&", "\\&")):
        return '"&" at the end'
    if _NOHUP.search(command):
        return '"nohup"'
    daemon = _DAEMON.search(command)
    return f'"{" ".join(daemon[1].split())}"' if daemon else None
