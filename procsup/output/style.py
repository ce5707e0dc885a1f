"""How output should look: what the command line and the terminal decided, in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from procsup.value import Value


class Style(Value):
    """`terminal`: output goes to a terminal, so children's control sequences are filtered unless `raw`.

    `status`: a line at the foot of the terminal says how everybody is.
    `format`: in `journal` each line is an entry with fields, and `app` one of these; in `priorities` each line begins
    with its own, which journald takes off again.
    Without `prefix` there is no timestamp either: nothing at all stands before the children's text.
    """

    timestamps: bool = True
    prefix: bool = True
    color: bool = False
    format: Literal["text", "json", "journal", "priorities"] = "text"
    raw: bool = False
    terminal: bool = False
    status: bool = False
    app: str = ""

    @property
    def filtered(self) -> bool:
        """Whether control sequences are taken out of what the children say."""
        return self.terminal and not self.raw and self.format == "text"


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
