"""Reads a Procfile: the grammar of the process types, and every error of the file at once.

Nothing is ever dropped in silence: a line is blank, a comment, an entry or an error. What stands after the colon
is the shell's and is not looked into here, except to join lines that end in a backslash as the shell would.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from procsup.config.advice import advise
from procsup.config.text import decode_lines
from procsup.errors import ConfigError, Problem
from procsup.value import Value

_BLANKS = " \t\r\f\v"  # not str.strip()'s idea: a no-break space is a mistake to be shown, not white space
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}\Z")
_MARKER = re.compile(r"(?:<{7}|\|{7}|={7}|>{7})(?:[ \t]|\Z)")
_LONGEST_NAME = 63  # a DNS label's length: Kubernetes and systemd exports need one


class Entry(Value):
    """One process type; `line` is where its name stands."""

    name: str
    command: str
    line: int


class Procfile(Value):
    """A file without errors; `warnings` are what `check` has to say about it."""

    file: str
    entries: tuple[Entry, ...]
    warnings: tuple[Problem, ...]


class _LogicalLine(Value):
    """A line with its continuations joined; remembers where each part came from."""

    text: str
    number: int
    starts: tuple[int, ...] = (0,)  # offset in text at which each physical line begins

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column (from 1) of an offset in the joined text."""
        index = sum(start <= offset for start in self.starts) - 1
        return self.number + index, offset - self.starts[index] + 1


def parse_procfile(data: bytes, file: str) -> Procfile:
    """Raises ConfigError with all that is wrong, in reading order."""
    lines, problems = decode_lines(data, file)
    spoiled = {problem.line for problem in problems}
    entries: list[Entry] = []
    warnings: list[Problem] = []
    first_line: dict[str, int] = {}
    for logical in _logical_lines(lines):
        found = _read_line(logical, file)
        if isinstance(found, Problem):
            if found.line not in spoiled:  # its bad byte was reported already and may be all that is wrong
                problems.append(found)
            continue
        if found is None:
            continue
        entry, start, colon, command = found
        if entry.name in first_line:
            message = (
                f'"{entry.name}" was defined before, in line {first_line[entry.name]}; rename or remove one of the two'
            )
            problems.append(Problem(file, *logical.place(start), message))
            continue
        first_line[entry.name] = entry.line
        entries.append(entry)
        offsets = (0, start, start + len(entry.name), colon, command)
        warnings.extend(advise(file, entry.name, entry.command, [logical.place(offset) for offset in offsets]))
    if not entries and not problems:
        problems.append(Problem(file, 1, 1, "no process type in the file; write lines such as web: COMMAND"))
    if problems:
        raise ConfigError(sorted(problems))
    return Procfile(file, tuple(entries), tuple(warnings))


def _logical_lines(lines: list[str]) -> Iterator[_LogicalLine]:
    """Blank lines and comments left out; a comment does not go on in the next line, as in the shell."""
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        stripped = line.strip(_BLANKS)
        if not stripped or stripped[0] == "#":
            continue
        number, length, state, last = index, 0, "", ""
        parts: list[str] = []
        starts = [0]
        # A conflict marker ends the line before it: it gets its own error, wherever the merge left it.
        while _goes_on(line) and index < len(lines):
            part = line.rstrip(_BLANKS)[:-1]
            state = _quoting(part, state, last)
            if state in ("'", "#"):  # where the shell would not take the backslash and the line's end away
                part += "\\\n"
                state = state.replace("#", "")
            parts.append(part)
            last = part[-1:] or last
            length += len(part)
            starts.append(length)
            if _MARKER.match(lines[index]):
                line = ""
                break
            line = lines[index]
            index += 1
        parts.append(line)
        yield _LogicalLine("".join(parts), number, tuple(starts))


def _goes_on(line: str) -> bool:
    """An even number of backslashes at the end are escaped backslashes."""
    line = line.rstrip(_BLANKS)
    return line.endswith("\\") and (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _quoting(part: str, state: str, before: str) -> str:
    """What the end of `part` stands in: a quote, a comment ("#") or neither (""), coming from `state`."""
    position = 0
    while position < len(part):
        char = part[position]
        if char == "\\" and state != "'":
            position += 1
        elif state:
            state = "" if char == state else state
        elif char in "'\"":
            state = char
        elif char == "#" and (part[position - 1] if position else before) in " \t\n;&|()":
            return "#"
        position += 1
    return state


def _read_line(logical: _LogicalLine, file: str) -> tuple[Entry, int, int, int] | Problem | None:
    """The entry with the offsets of its name, colon and command; or what is wrong with the line."""
    text = logical.text
    start = len(text) - len(text.lstrip(_BLANKS))
    if not text.strip(_BLANKS):
        return None  # a lone backslash and a blank line

    def problem(offset: int, message: str) -> Problem:
        return Problem(file, *logical.place(offset), message)

    if _MARKER.match(text):
        return problem(0, "a merge conflict marker; finish the merge")
    if _goes_on(text):
        end = len(text.rstrip(_BLANKS)) - 1
        return problem(end, "the line ends in a backslash and no line follows; remove the backslash")
    colon = text.find(":")
    if colon < 0:
        return problem(start, "no colon; write NAME: COMMAND (a comment begins with #)")
    name = text[start:colon].rstrip(_BLANKS)
    if not _NAME.match(name):
        return problem(start, _bad_name(name))
    command = text[colon + 1 :].strip(_BLANKS)
    if not command:
        return problem(colon, f'no command after "{name}:"; add one, or remove the line')
    where = text.index(command, colon + 1)
    if command[0] == "#":
        return problem(where, f'a comment in place of the command of "{name}"; add a command, or begin the line with #')
    return Entry(name, command, logical.place(start)[0]), start, colon, where


def _bad_name(name: str) -> str:
    if not name:
        return "no name before the colon; write NAME: COMMAND"
    if "=" in name:  # the line of a .env file, and not to be quoted
        return 'a bad name, with a "=" in it; write NAME: COMMAND, and variables into .env'
    shown = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"
    shown = "".join(char if char.isprintable() else "\ufffd" for char in shown)
    if all(char.isascii() and (char.isalnum() or char in "_-") for char in name):
        return f'the name "{shown}" is longer than {_LONGEST_NAME} characters; shorten it'
    better = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:_LONGEST_NAME].rstrip("-")
    advice = f'write "{better}"' if better else "choose another"
    return f'bad name "{shown}": letters, digits, "_" and "-" only; {advice}'
