"""Any bytes as a Procfile: entries or complaints, nothing dropped; and each command by itself or through the shell."""

from __future__ import annotations

import re
import shlex

from procsup.config.expand import SHELL, expand_command, substitute_unique_int
from procsup.config.procfile import Procfile, parse_procfile
from procsup.errors import ConfigError
from tests.fuzz.complaints import check_error, check_problems, lines_of

FILE = "Procfile"
LONGEST = 4096
TOKENS = (
    *(b"web", b"worker", b"release", b"all", b":", b"#", b"\\\n", b"\\\r\n", b"\r\n", b"'", b'"', b"\t", b"\f"),
    *(b"<<<<<<< ", b"=======", b">>>>>>> ", b"|||||||", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc2\xa0", b"\xe2\x80\xa8"),
    *(b"$X", b"${X}", b"${PORT}", b"$EMPTY", b"$STAR", b"$UNSET", b"<<UNIQUE_INT>>", b"{{UNIQUE_INT}}", b"&", b"&&"),
    *(b"nohup ", b" --daemon", b" --daemonize yes", b"exec ", b"A=1 ", b"`", b"$(", b"~", b"\0"),
)
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "PORT": "5000",
    "X": " a  b\tc\nd ",
    "EMPTY": "",
    "STAR": "a*",
    "QUOTE": 'it\'s "x"',
    "BACK": "\\",
    "BELL": "\x07",
    "VERY": "v" * 300,
    "É": "no shell's name",
}
_BLANKS = " \t\r\f\v"
_ENTRY = re.compile(rf"[{_BLANKS}]*([A-Za-z0-9_-]{{1,63}})[{_BLANKS}]*:(.*)", re.DOTALL)


def one(data: bytes) -> None:
    try:
        read = parse_procfile(data, FILE)
    except ConfigError as error:
        check_error(error, lines_of(data), FILE)
        _check_that_the_place_moves_with_the_line(data, error)
        return
    _check_entries(read, data)
    _check_that_it_can_be_written_again(read, data)
    if b"\\" not in data:
        assert [(entry.name, entry.command, entry.line) for entry in read.entries] == _entries_line_by_line(data)
    for entry in read.entries:
        _check_expansion(entry.command)


def _check_entries(read: Procfile, data: bytes) -> None:
    assert read.entries
    lines = lines_of(data)
    names = [entry.name for entry in read.entries]
    assert len(set(names)) == len(names)
    for entry in read.entries:
        assert re.fullmatch("[A-Za-z0-9_-]{1,63}", entry.name)
        assert entry.command == entry.command.strip(_BLANKS) != ""
        assert entry.command[0] != "#"
        assert "\0" not in entry.command
        assert lines[entry.line - 1].lstrip(_BLANKS)[0] == entry.name[0]  # the name itself may go on in the next line
    assert [entry.line for entry in read.entries] == sorted({entry.line for entry in read.entries})
    check_problems(read.warnings, lines, FILE)


def _check_that_it_can_be_written_again(read: Procfile, data: bytes) -> None:
    entries = [(entry.name, entry.command) for entry in read.entries]
    written = "".join(f"{name}: {command}\n" for name, command in entries).encode()
    variants = [written, b"\xef\xbb\xbf" + written, b"# first\n\n" + written]
    if b"\r" not in data:
        variants.append(data.replace(b"\n", b"\r\n"))
    for variant in variants:
        again = parse_procfile(variant, FILE)
        assert [(entry.name, entry.command) for entry in again.entries] == entries, variant


def _check_that_the_place_moves_with_the_line(data: bytes, error: ConfigError) -> None:
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return
    try:
        parse_procfile(b"\n" + data, FILE)
    except ConfigError as moved:
        places = [(problem.line, problem.column) for problem in moved.problems]
        nothing_in_it = "no process type in the file" in error.problems[0].message
        assert places == [(each.line + (not nothing_in_it), each.column) for each in error.problems]
    else:
        raise AssertionError("a blank line before it mended the file")


def _entries_line_by_line(data: bytes) -> list[tuple[str, str, int]]:
    """The grammar once more, for files in which no line goes on."""
    found = []
    for number, line in enumerate(lines_of(data), start=1):
        if not line.strip(_BLANKS) or line.strip(_BLANKS)[0] == "#":
            continue
        entry = _ENTRY.fullmatch(line)
        assert entry, f"no entry, and no complaint: {line!r}"
        found.append((entry[1], entry[2].strip(_BLANKS), number))
    return found


def _check_expansion(text: str) -> None:
    command = expand_command(text, ENVIRONMENT, 7)
    assert command == expand_command(substitute_unique_int(text, 7), ENVIRONMENT, 8)
    if command.shell:
        assert command.argv == (SHELL, "-c", substitute_unique_int(text, 7))
        return
    assert command.argv[0]
    assert not any("\0" in word for word in command.argv)
    # Without variables another reader of shell words must agree; it knows less about double quotes.
    if not any(special in text for special in ("$", "`", "\\\n")):
        assert list(command.argv) == shlex.split(substitute_unique_int(text, 7))
