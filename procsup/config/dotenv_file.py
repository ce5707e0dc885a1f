"""Reads one .env file with python-dotenv's parser, and turns what it would skip into errors with a place.

python-dotenv logs a line that it cannot read and goes on without it; a worker that then starts without its database
is worse than one that does not start.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping

from dotenv.parser import parse_stream

from procsup.config.files import MAX_SIZE
from procsup.config.text import decode_lines
from procsup.errors import ConfigError, Problem

MAX_VALUE = 1024 * 1024  # eight times what Linux takes; `A=${A}${A}` gets there in twenty lines, and on to any size
Assignment = tuple[str, str, int]  # name, value and line
_MARKER = re.compile(r"<{7}|\|{7}|={7}|>{7}")
_STATEMENT = re.compile(r"(?:export[^\S\r\n]+)?(?P<name>'[^']+'|[^=#\s']+)?[^\S\r\n]*(?P<equals>=)?[^\S\r\n]*")
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*+'|\"(?:\\.|[^\"\\])*+\"", re.DOTALL)


def parse_env_file(data: bytes, shown: str, weaker: Mapping[str, str], stronger: Mapping[str, str]) -> list[Assignment]:
    """In reading order, with ${…} filled in; ${NAME} is looked up in `stronger`, the file so far, then `weaker`.

    Raises ConfigError with every line that is no assignment, comment or blank.
    """
    lines, problems = decode_lines(data, shown)
    if problems:
        raise ConfigError(problems)  # python-dotenv would read something else from a mended text
    found: list[Assignment] = []
    known = {**weaker, **stronger}
    room = MAX_SIZE  # for all of them together
    for parsed in parse_stream(io.StringIO("\n".join(lines))):
        statement = parsed.original.string.lstrip()
        skipped = parsed.original.string[: len(parsed.original.string) - len(statement)]
        line = parsed.original.line + skipped.count("\n")
        column = len(skipped) - skipped.rfind("\n")
        if parsed.error:
            offset, message = _explain(statement)
            problems.append(_problem(shown, line, column, statement, offset, message))
        elif parsed.key is not None and (parsed.value is None or "=" in parsed.key):
            if parsed.value is None and statement.startswith("export"):
                continue  # `export NAME` on a line of its own, for those who source the file: changes nothing here
            # What stands there is not quoted: it may be a line of a private key that should have been in quotes.
            message = (
                "this line has no value; write NAME=value (NAME= for an empty one)"
                if parsed.value is None
                else 'the name has a "=" in it; choose another'
            )
            problems.append(Problem(shown, line, column, message))
        elif parsed.key is not None and parsed.value is not None:
            value = _resolve(parsed.value, known, min(MAX_VALUE, room))
            if value is None:
                problems.append(Problem(shown, line, column, _too_long(room)))
                known[parsed.key] = ""  # what builds on it is not wrong as well
                continue
            room -= len(value)
            if parsed.key not in stronger:
                known[parsed.key] = value
            found.append((parsed.key, value, line))
    if problems:
        raise ConfigError(problems)
    return found


def _resolve(text: str, known: Mapping[str, str], longest: int) -> str | None:
    """The value with ${NAME} and ${NAME:-default} filled in; None where it would be longer than that."""
    parts: list[str] = []
    for part in _parts(text, known):
        parts.append(part)
        longest -= len(part)
        if longest < 0:
            return None
    return "".join(parts)


def _parts(text: str, known: Mapping[str, str]) -> Iterator[str]:
    """As python-dotenv has it, whose expression takes minutes for a long row of "${" that nothing closes."""
    done, position, end = 0, 0, -1
    while (start := text.find("${", position)) >= 0:
        if end < start and (end := text.find("}", start)) < 0:
            break
        colon = text.find(":", start, end)
        if colon >= 0 and not text.startswith(":-", colon):
            position = colon  # none of the names that begin before it is one
            continue
        name = text[start + 2 : end if colon < 0 else colon]
        yield text[done:start]
        yield known.get(name, "" if colon < 0 else text[colon + 2 : end])
        done = position = end + 1
    yield text[done:]


def _too_long(room: int) -> str:
    if room < MAX_VALUE:
        return f"the values of this file come to more than {MAX_SIZE // MAX_VALUE} MiB; shorten them"
    return f"the value is longer than {MAX_VALUE // 1024 // 1024} MiB with its variables filled in; shorten it"


def _explain(statement: str) -> tuple[int, str]:
    """Why python-dotenv could not read this, and the offset of the place."""
    if _MARKER.match(statement):
        return 0, "a merge conflict marker; finish the merge"
    parts = _STATEMENT.match(statement)
    if parts is None or parts["name"] is None:
        return 0, "no name before the value; write NAME=value"
    if parts["equals"] is None:
        return 0, "neither an assignment nor a comment; write NAME=value"
    value = parts.end()
    quoted = _QUOTED.match(statement, value)
    if quoted is None:
        return value, "the quote is never closed; close it"
    rest = statement[quoted.end() :]
    return quoted.end() + len(rest) - len(rest.lstrip(" \t")), "text after the closing quote; quote the whole value"


def _problem(shown: str, line: int, column: int, statement: str, offset: int, message: str) -> Problem:
    """The place of an offset in a statement, which may run over several lines."""
    before = statement[:offset]
    newlines = before.count("\n")
    if newlines:
        return Problem(shown, line + newlines, offset - before.rfind("\n"), message)
    return Problem(shown, line, column + offset, message)
