"""How one learns that a process is ready, or still answers; and who has to be ready before whom.

`ready = "port"`, `"http /healthz"`, `"log REGEX"` or `"notify"`; `live = "http /healthz"`; `depends_on = ["db"]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from procsup.config.settings import Check, Settings
from procsup.config.settings_values import Schema, Unfit, short
from procsup.errors import advice

_PATH = r"/[!-~]*"
_READY = 'one of "port", "http /PATH", "log REGEX" and "notify"'
READY: Schema = {"type": "string", "pattern": rf"^(port|notify|http +{_PATH}|log +\S.*)$"}
LIVE: Schema = {"type": "string", "pattern": rf"^http +{_PATH}$"}


def ready_check(value: object) -> Check:
    if not isinstance(value, str):
        raise Unfit(_READY)
    kind, _, what = value.partition(" ")
    what = what.strip()
    if kind in ("port", "notify") and not what:
        return Check(kind)
    if kind == "http" and re.fullmatch(_PATH, what):
        return Check(kind, what)
    if kind == "log" and what:
        try:
            re.compile(what.encode())
        except re.error as error:
            raise Unfit(f"{_READY}; this expression cannot be read: {error}") from None
        return Check(kind, what)
    raise Unfit(_READY)


def live_check(value: object) -> Check:
    if not isinstance(value, str) or not re.fullmatch(f"http +{_PATH}", value):
        raise Unfit('"http /PATH", as in "http /healthz"')
    return Check("http", value.split()[1])


class Complaint(NamedTuple):
    """`of`: the process type in whose table the key is to be changed; None where it is the one at the top."""

    of: str | None
    message: str


def complaints(settings: Settings, types: Sequence[str]) -> Iterator[Complaint]:
    """Who depends on what is not there, and who depend on each other."""
    told: set[str] = set()
    for name in types:
        of = name if (name, "depends_on") in settings.places else None
        for other in settings.depends_on(name):
            if other not in types and not (of is None and other in told):
                yield Complaint(of, f'no process type "{short(other)}" to depend on; {advice(other, types)}')
                told.add(other)
    wanted = {name: [each for each in settings.depends_on(name) if each in types] for name in types}
    for circle in _circles(wanted):
        of = next((name for name in circle if (name, "depends_on") in settings.places), None)
        shown = " → ".join(circle)
        yield Complaint(of, f"none of these would ever start, as each depends on the next: {shown}; take one out")


def _circles(wanted: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """Each way in which a type comes to depend on itself, once: a → b → a. Without recursion, however long it is."""
    done: set[str] = set()
    for start in wanted:
        path: dict[str, Iterator[str]] = {}
        if start not in done:
            path[start] = iter(wanted[start])
        while path:
            here = next(reversed(path))
            further = next(path[here], None)
            if further is None:
                del path[here]
                done.add(here)
            elif further in path:
                names = list(path)
                yield (*names[names.index(further) :], further)
            elif further not in done:
                path[further] = iter(wanted[further])
