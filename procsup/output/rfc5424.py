"""Lines as syslog messages of RFC 5424: bytes in, bytes out, nothing is sent here."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from procsup.output.priorities import priority
from procsup.output.source import Source

_FACILITY = 1  # "user-level messages"
# The number is the one that RFC 5612 sets aside for documentation: procsup has no enterprise number of its own.
_DATA_ID = "procsup@32473"
# Receivers cut what is longer: RFC 5424 asks 2 KiB of them, rsyslog takes 8 KiB in all unless told otherwise.
_TEXT_AT_MOST = 7 * 1024
_BOM = b"\xef\xbb\xbf"
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")


class Messages:
    """Makes the messages of one app on one host."""

    def __init__(self, host: str, app: str) -> None:
        self._host = _word(host, 255)
        self._app = app

    def make(self, source: Source, lines: list[bytes], now: float) -> list[bytes]:
        """A message for each line, or several for one that is too long for one."""
        head, data = self._head(source, now)
        whole = head + data + b"]"
        messages = []
        for line in lines:
            if len(line) <= _TEXT_AT_MOST:
                messages.append(whole + _text(line))
            else:
                parts = enumerate(_cut(line), 1)
                messages += [b'%s%s part="%d"]%s' % (head, data, number, _text(part)) for number, part in parts]
        return messages

    def _head(self, source: Source, now: float) -> tuple[bytes, bytes]:
        """What stands before the text; the structured data is not closed yet."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06}Z"
        name = self._name(source.name)
        head = f"<{8 * _FACILITY + priority(source.stream)}>1 {stamp} {self._host} {name} {source.pid} {source.stream} "
        data = f'[{_DATA_ID} instance="{source.name}" type="{source.type}" stream="{source.stream}"'
        return head.encode(), data.encode()  # names of types need no escaping: letters, digits, "-" and "_"

    def _name(self, instance: str) -> str:
        """`app/web.1` in the 48 characters of APP-NAME; of the two the instance says more."""
        instance = instance[-48:]
        app = _word(self._app, max(0, 47 - len(instance)))
        return f"{app}/{instance}" if app != "-" else instance


def _word(text: str, length: int) -> str:
    """As the header's fields want it: visible ASCII, and a dash for nothing."""
    return _NOT_PRINTABLE.sub("_", text)[:length] or "-"


def _text(line: bytes) -> bytes:
    """A BOM says "this is UTF-8": true of what is, untrue of other bytes, and idle before plain ASCII."""
    if not line:
        return b""
    if line.isascii():
        return b" " + line
    try:
        line.decode()
    except UnicodeDecodeError:
        return b" " + line
    return b" " + _BOM + line


def _cut(line: bytes) -> Iterator[bytes]:
    """Pieces that fit, not cut within a character of UTF-8."""
    while line:
        cut = _TEXT_AT_MOST
        if len(line) > cut:
            while cut > _TEXT_AT_MOST - 3 and line[cut] & 0xC0 == 0x80:
                cut -= 1
        yield line[:cut]
        line = line[cut:]
