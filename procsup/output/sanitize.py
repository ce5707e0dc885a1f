"""Makes a child's bytes safe for a terminal that many children share: text, tabs, line breaks, colours, nothing else.

A child that clears the screen, moves the cursor, sets the title or switches character sets would wreck everybody's
output. So only SGR (colour and style) passes; all other control sequences and characters go. A carriage return would
overwrite the prefix: it becomes a line break, or nothing before a newline and at the start of a line. Colours end with
their line. Sequences cut by the edge of a chunk are held back until the rest is there, and what is held is bounded.
"""

from __future__ import annotations

import re

# A byte that makes a chunk worth a closer look: C0 but tab and newline, DEL, and 0xC2, which begins C1 in UTF-8.
_SUSPECTS = bytes([*range(0x09), *range(0x0B, 0x20), 0x7F, 0xC2])

# The contents of OSC, DCS, SOS, PM and APC. Real terminals would swallow newlines in there too; but a child that never
# ends its sequence must not lose all its later lines to it, so here a newline ends it.
_STRING = rb"[\]PX^_][^\x07\x1b\x18\x1a\n]*"

# Begins with one set of bytes, not with alternatives, because `re` can then skip to the next candidate quickly.
_CONTROL = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f](?:"
    rb"(?<=\x1b)(?:(\[[0-9:;]*m)"  # SGR: the one that passes
    rb"|\[[\x20-\x3f]*[\x40-\x7e]?"  # other CSI; one without a final byte is malformed and goes as well
    rb"|" + _STRING + rb"(?:\x07|\x1b\\)?"
    rb"|[\x20-\x2f]*[\x30-\x7e]?)"  # other escapes: character sets, reset, save cursor
    rb"|(?<!\x1b))"
)
_UNFINISHED = re.compile(rb"\x1b(?:" + _STRING + rb"\x1b?|\[[\x20-\x3f]*|[\x20-\x2f]*)")
# C1 in UTF-8; some terminals take U+009B for CSI. Looked for when the others are gone, whose going may bring its bytes
# together; and with all the 0xC2 before it, so that its own going does not.
_C1 = re.compile(rb"\xc2+[\x80-\x9f]")
_HELD_AT_MOST = 4096  # of a sequence without end only its first bytes are remembered: enough to go on dropping it

_RESET = b"\x1b[0m"
_SGR = b"\x1b["  # after the controls are dropped every escape is an SGR
_COLOURED_AT_END = re.compile(rb"(\x1b\[(?!0*m)[^\n\x1b]*)(?=\n)")  # a line whose last SGR is not a reset
_COLOUR_LEFT_ON = re.compile(rb"\x1b\[(?!0*m)")


class Sanitizer:
    """The filter of one source; feed it chunks in order."""

    __slots__ = ("_at_start", "_c2", "_held", "_return", "coloured")

    def __init__(self) -> None:
        self._held = b""  # an unfinished control sequence
        self._c2 = b""  # 0xC2 that may be the first half of a C1 character
        self._return = False  # a carriage return of which we do not know yet whether a newline follows
        self._at_start = True  # of a line
        self.coloured = False  # the unfinished line has a colour on: whoever ends it must reset it

    def feed(self, chunk: bytes) -> bytes:
        if self._held:
            chunk = self._held + chunk
            self._held = b""
        suspicious = len(chunk.translate(None, _SUSPECTS)) != len(chunk)  # much faster than asking a regular expression
        if suspicious:
            chunk = _CONTROL.sub(_colours_only, self._hold_unfinished(chunk))
        if suspicious or self._c2 or self._return or self.coloured:
            chunk = self._drop_c1(chunk)
            chunk = self._break_at_returns(chunk)
            chunk = self._end_colours(chunk)
        if chunk:
            self._at_start = chunk.endswith(b"\n")
        return chunk

    def flush(self) -> bytes:
        """What is still held and is text; nothing more will come."""
        self._held = b""
        text, self._c2 = self._c2, b""
        return text

    def _hold_unfinished(self, chunk: bytes) -> bytes:
        last = chunk.rfind(b"\x1b")
        # An escape at the very end may be half of the ST that ends a string begun at the escape before it.
        before = chunk.rfind(b"\x1b", 0, last) if last == len(chunk) - 1 and last > 0 else -1
        for start in (before, last):
            if start >= 0 and _UNFINISHED.fullmatch(chunk, start):
                held = chunk[start:]
                if len(held) > _HELD_AT_MOST:
                    held = held[:2] + (b"\x1b" if last > start else b"")
                self._held = held
                return chunk[:start]
        return chunk

    def _drop_c1(self, chunk: bytes) -> bytes:
        chunk = self._c2 + chunk
        whole = chunk.rstrip(b"\xc2")
        self._c2 = chunk[len(whole) :][:_HELD_AT_MOST]
        return _C1.sub(b"", whole)

    def _break_at_returns(self, chunk: bytes) -> bytes:
        if self._return and chunk:
            chunk = b"\r" + chunk
            self._return = False
        if b"\r" not in chunk:
            return chunk
        if chunk.endswith(b"\r"):
            chunk = chunk.rstrip(b"\r")
            self._return = True
        chunk = re.sub(rb"\r+\n", b"\n", chunk)
        if self._at_start:
            chunk = chunk.lstrip(b"\r")
        chunk = re.sub(rb"\n\r+", b"\n", chunk)
        return re.sub(rb"\r+", b"\n", chunk)

    def _end_colours(self, chunk: bytes) -> bytes:
        if self.coloured:  # since an earlier chunk
            first = chunk.find(b"\n")
            if first >= 0:
                if _SGR not in chunk[:first]:
                    chunk = chunk[:first] + _RESET + chunk[first:]
                self.coloured = False
        if _SGR in chunk:
            chunk = _COLOURED_AT_END.sub(rb"\1" + _RESET, chunk)
            last = chunk.rfind(_SGR)
            if last > chunk.rfind(b"\n"):
                self.coloured = _COLOUR_LEFT_ON.match(chunk, last) is not None
        return chunk


def _colours_only(control: re.Match[bytes]) -> bytes:
    return control[0] if control[1] else b""
