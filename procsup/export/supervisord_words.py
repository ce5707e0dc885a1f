"""Texts and paths as supervisord's configuration file takes them: its reader of INI files, its `%`, and its words."""

from __future__ import annotations

import re
import shlex

from procsup.export.shell import shown
from procsup.export.unsaid import is_text

# Nothing, by an expansion that every program has. Where ";" or "#" follows a blank, a comment begins.
_NOTHING = "%(program_name).0s"
# The path is put in place of %(here)s first; then "%", quotes and backslashes are looked for in what comes of it.
_NOT_BY_HERE = re.compile(r'[%"\\]')
_NO_LINE = re.compile(r"[\0\r\n]")
_NOT_IN_A_PATTERN = re.compile(r"[\s%;#*?\[\]{}]")


def literal(text: str) -> str:
    """A value that comes out as this text."""
    return re.sub(r"(?<=\s)(?=[;#]|\Z)|(?<=%)(?=\(here\)s)", _NOTHING, text.replace("%", "%%"))


def is_sayable(text: str) -> bool:
    return is_text(text) and not _NO_LINE.search(text)


def can_lie_in(folder: str) -> bool:
    return not _NOT_BY_HERE.search(folder) or is_sayable(folder)


def beside(folder: str, name: str) -> str:
    """A word of a command: the file that lies beside this configuration, wherever that is, if its path allows it."""
    if not _NOT_BY_HERE.search(folder):
        return f'"%(here)s/{name}"'
    return literal(shlex.quote(f"{folder}/{name}"))


def pattern(path: str) -> str:
    """For files= of [include], which are patterns between blanks."""
    return "".join("?" if each == "\ufffd" else each for each in shown(_NOT_IN_A_PATTERN.sub("?", path)))
