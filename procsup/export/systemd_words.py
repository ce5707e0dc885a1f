"""Values as the files of systemd want them: each kind of place in a unit has other rules of quoting.

Rules from systemd.syntax(7), systemd.service(5) ("Command lines") and systemd.exec(5); tried on a systemd that runs.
All functions raise Unsayable for what no quoting can carry there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# systemd reads C escapes in words. What is not in here, quotes and backslashes apart, stands for itself.
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_NEEDS_ESCAPE = re.compile(r'[\x00-\x1f\x7f"\\]')
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:=,@%+~$^-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATTERN = re.compile(r"([*?\[\]\\])")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# systemd takes no program whose path has one of these, however it is quoted; a shell does.
_NO_PROGRAM = re.compile(r"[\x00-\x1f\x7f\"'\\]")
_THROUGH_A_SHELL = ("/bin/sh", "-c", 'exec "$0" "$@"')


class Unsayable(ValueError):
    """A value that cannot be written in a unit; the message says why, to go on a sentence about the value."""


def exec_line(words: Sequence[str]) -> str:
    """What stands after `ExecStart=`, `ExecReload=` …: exactly these words, nothing in them expanded.

    `words[0]` is the absolute path of a program. Flags before it (`-`, `+`) may be put before what is returned.
    """
    if not words[0].startswith("/"):
        raise Unsayable(f"the program {words[0]!r} is no absolute path")
    if _NO_PROGRAM.search(words[0]):
        words = [*_THROUGH_A_SHELL, *words]
    # With a colon there are no variables; doubling each $ does not do, as it is not undone in the program's path.
    literal = ":" if any("$" in word for word in words) else ""
    return literal + " ".join(_word(word) for word in words)


def environment(name: str, value: str) -> str:
    """What stands after `Environment=` for one variable."""
    _variable(name)
    _text(value)
    if bad := _control_beyond(value, "\t\n\r"):
        raise Unsayable(f"has the control character {bad!r}")
    return _word(f"{name}={value}", quoted=True)


def environment_file(variables: dict[str, str]) -> str:
    """The text of a file for `EnvironmentFile=`, with a line per variable; shells read the same out of it."""
    lines = []
    for name, value in variables.items():
        _variable(name)
        try:
            _text(value)
        except Unsayable as error:
            raise Unsayable(f"{name} {error}") from None
        if bad := _control_beyond(value, "\t\n\r"):
            raise Unsayable(f"{name} has the control character {bad!r}")
        escaped = re.sub(r'(["\\`$])', r"\\\1", value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines)


def path(value: str) -> str:
    """What stands after `WorkingDirectory=`, `RootDirectory=` …: one absolute path, never quoted."""
    _text(value)
    if not value.startswith("/"):
        raise Unsayable("is no absolute path")
    if bad := _CONTROL.search(value):
        raise Unsayable(f"has {_named(bad[0])} in it, which no path in a unit may have")
    # At the end of a line a blank is cut off, and a backslash goes on with the next line.
    return value.replace("%", "%%") + ("/" if value.endswith((" ", "\\")) else "")


def pattern(value: str) -> str:
    """What stands after `EnvironmentFile=`: one absolute path, which is read as a pattern."""
    escaped = path(_PATTERN.sub(r"\\\1", value.rstrip(" ")))
    return escaped + "[ ]" * (len(value) - len(value.rstrip(" ")))


def sentence(value: str) -> str:
    """What stands after `Description=` …: text for people, on one line."""
    plain = " ".join(_CONTROL.sub(" ", value.encode(errors="replace").decode()).split())
    return plain.replace("%", "%%").rstrip("\\")


def _word(word: str, *, quoted: bool = False) -> str:
    _text(word)
    doubled = word.replace("%", "%%")
    if not quoted and _PLAIN_WORD.fullmatch(doubled):
        return doubled
    return '"' + _NEEDS_ESCAPE.sub(lambda found: _escape(found[0]), doubled) + '"'


def _escape(character: str) -> str:
    return _ESCAPES.get(character) or f"\\x{ord(character):02x}"


def _text(value: str) -> None:
    if "\0" in value:
        raise Unsayable("has a NUL character in it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unsayable("is not UTF-8, and systemd reads nothing else") from None


def _variable(name: str) -> None:
    if not _VARIABLE.fullmatch(name):
        raise Unsayable(f"{name!r} is no name of a variable for systemd")


def _control_beyond(value: str, allowed: str) -> str:
    return next((each for each in _CONTROL.findall(value) if each not in allowed), "")


def _named(character: str) -> str:
    return "a newline" if character == "\n" else f"the control character {character!r}"
