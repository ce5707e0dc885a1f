"""Any bytes as a child's output on a terminal: text and colours pass, wherever the chunks are cut, in whole lines."""

from __future__ import annotations

import json
import re
import zlib

from procsup.output.formats import Format, JsonFormat, TextFormat
from procsup.output.sanitize import Sanitizer
from procsup.output.source import Source
from procsup.output.style import Style

LONGEST = 8192
TOKENS = (
    *(b"\x1b[31m", b"\x1b[0m", b"\x1b[m", b"\x1b[38:2::1:2:3m", b"\x1b[2J", b"\x1b[?25l", b"\x1b[", b"\x1b", b"\x1b\\"),
    *(
        b"\x1b]0;",
        b"\x1bP",
        b"\x1bX",
        b"\x1b^",
        b"\x1b_",
        b"\x07",
        b"\x18",
        b"\x1a",
        b"\x1b(0",
        b"\x1bc",
        b"\x1b[>4;2m",
    ),
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\xc2\x9b",
        b"\xc2",
        b"\x9b",
        b"\x9c",
        b"\xc2\x85",
        b"\xe2\x82\xac",
        b"\0",
        b"\x7f",
        b"\t",
    ),
    *(b"1;" * 32, b"x" * 64, b"\xc2" * 64),
)
_FEW = 200  # bytes that may come one by one without making it slow
_SGR = re.compile(rb"\x1b\[([0-9:;]*)m")
_ACTS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
_SUSPECT = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f\xc2]")


def one(data: bytes) -> None:
    shown = _sanitized(data, len(data) or 1)
    assert _sanitized(data, 1 + zlib.crc32(data) % 80) == shown
    assert len(data) > _FEW or _sanitized(data, 1) == shown
    assert not _ACTS.search(_SGR.sub(b"|", shown))
    for line in shown.split(b"\n")[:-1]:
        styles = _SGR.findall(line)
        assert not styles or not styles[-1].strip(b"0"), "a colour goes on in the next line"
    assert shown.count(b"\n") >= data.count(b"\n"), "a line was swallowed"
    if not _SUSPECT.search(data):
        assert shown == data
    whole = _sanitized(data + b"\n", len(data) + 1)
    assert _sanitized(whole, len(whole)) == whole, "what has passed does not pass again"
    for style in (Style(timestamps=False), Style(timestamps=False, color=True, terminal=True)):
        _check_text(TextFormat(style), whole)
        _check_json(JsonFormat(style), whole)


def _sanitized(data: bytes, size: int) -> bytes:
    sanitizer = Sanitizer()
    return b"".join(sanitizer.feed(data[at : at + size]) for at in range(0, len(data), size)) + sanitizer.flush()


def _check_text(form: TextFormat, whole: bytes) -> None:
    form.set_names(["web.1", "worker.10"], ["web", "worker"])
    prefix = form.piece(_source(), b"", 0.0, continues=False)
    assert prefix.replace(b"\x1b[36m", b"").replace(b"\x1b[0m", b"") == b"web.1     | "
    lines = _formatted(form, whole).split(b"\n")
    assert lines.pop() == b""
    assert all(line.startswith(prefix) for line in lines)
    assert b"".join(line[len(prefix) :] + b"\n" for line in lines) == whole


def _check_json(form: JsonFormat, whole: bytes) -> None:
    written = _formatted(form, whole).decode()
    assert "".join(json.loads(line)["text"] + "\n" for line in written.split("\n")[:-1]) == whole.decode(
        errors="replace"
    )


def _formatted(form: Format, whole: bytes) -> bytes:
    head = len(whole) // 3
    head = head if b"\n" not in whole[:head] else 0  # as the pump keeps it: the beginning of one line
    return b"".join(
        form.lines(_source(), whole[:head], whole[head:] + b"rest", len(whole) - head, 0.0, continues=False)
    )


def _source() -> Source:
    return Source("web.1", "web", "stdout", 7)
