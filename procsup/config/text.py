"""Turns a configuration file's bytes into lines of text, with the place of every byte that is no text.

Lines end in LF or CRLF and in nothing else: `str.splitlines` also cuts at form feeds and U+2028, which belong to
whoever reads the line.
"""

from __future__ import annotations

import re

from procsup.errors import Problem

_BOMS = re.compile(rb"\A(?:\xef\xbb\xbf)+")  # some editors put one before the one that is there
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def decode_lines(data: bytes, file: str) -> tuple[list[str], list[Problem]]:
    """The lines without their ends, and at most one problem for each line that holds something unreadable.

    A bad byte becomes U+FFFD, so that the rest of its line can still be checked and all errors come at once.
    """
    if data.startswith(_UTF16):
        return [], [Problem(file, 1, 1, "the file is UTF-16; save it as UTF-8")]
    data = _BOMS.sub(b"", data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and "\0" not in text and "\r" not in text:
        return text.split("\n"), []
    lines: list[str] = []
    problems: list[Problem] = []
    for number, raw in enumerate(data.split(b"\n"), start=1):
        line, problem = _decode_line(raw.removesuffix(b"\r"), file, number)
        lines.append(line)
        if problem:
            problems.append(problem)
    return lines, problems


def _decode_line(raw: bytes, file: str, number: int) -> tuple[str, Problem | None]:
    try:
        line, undecodable = raw.decode(), len(raw)
    except UnicodeDecodeError as error:
        line, undecodable = raw.decode(errors="replace"), error.start
    nul, returned = raw.find(b"\0"), raw.find(b"\r")
    places = [(place, kind) for kind, place in enumerate((undecodable, nul, returned)) if 0 <= place < len(raw)]
    if not places:
        return line, None
    place, kind = min(places)
    message = (
        f"byte 0x{raw[place]:02x} is not UTF-8; save the file as UTF-8",
        "a NUL byte; remove it",
        "a carriage return inside the line; end lines with LF or CRLF",
    )[kind]
    column = len(raw[:place].decode(errors="replace")) + 1
    return line.replace("\0", "\ufffd").replace("\r", "\ufffd"), Problem(file, number, column, message)
