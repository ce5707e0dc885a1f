"""Names as the domain name system takes them, for engines where a process type has one: each type its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

# A label has 63 letters; engines put something of their own behind it, for each copy.
_LONGEST = 45
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")


def dns_names(names: Iterable[str]) -> dict[str, str]:
    """For each name a label that begins with a letter. Who has a good name keeps it, whatever the others are called."""
    names = tuple(names)
    found = {name: name for name in names if _LABEL.match(name) and len(name) <= _LONGEST}
    taken = set(found)
    for name in names:
        if name not in found:
            label = _label(name)
            nearest = label if len(label) <= _LONGEST else ""
            tries = 0
            while not nearest or nearest in taken:
                digest = hashlib.sha256(f"{name}\0{tries}".encode()).hexdigest()[:6]
                nearest, tries = f"{label[: _LONGEST - 7].rstrip('-')}-{digest}", tries + 1
            found[name] = nearest
            taken.add(nearest)
    return {name: found[name] for name in names}


def _label(name: str) -> str:
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return label if label[:1].isalpha() else f"x-{label}".rstrip("-")
