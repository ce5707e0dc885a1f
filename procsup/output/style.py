"""How output should look: what the command line and the terminal decided, in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple


class Style(NamedTuple):
    """`terminal`: output goes to a terminal, so children's control sequences are filtered unless `raw`.

    Without `prefix` there is no timestamp either: nothing at all stands before the children's text.
    """

    timestamps: bool = True
    prefix: bool = True
    color: bool = False
    format: Literal["text", "json"] = "text"
    raw: bool = False
    terminal: bool = False


def choose_color(mode: str, isatty: bool, environ: Mapping[str, str]) -> bool:
    """`--color` decides; left at `auto`, NO_COLOR (no-color.org), then FORCE_COLOR, then whether it is a terminal."""
    if mode != "auto":
        return mode == "always"
    if environ.get("NO_COLOR"):
        return False
    forced = environ.get("FORCE_COLOR", "")
    if forced:
        return forced not in ("0", "false")
    return isatty and environ.get("TERM") != "dumb"
