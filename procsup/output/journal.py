"""The systemd journal in the place of standard output: an entry with fields for each line.

systemd names our output in JOURNAL_STREAM, and then the journal's own socket takes datagrams in its native protocol.
Where that socket is not to be had, lines go to standard output with their priority in front (formats.py).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterable, Sequence

from procsup.output.priorities import priority
from procsup.output.sink import Buffer, Sink
from procsup.output.source import Source
from procsup.output.weave import LINE_AT_MOST

SOCKET = "/run/systemd/journal/socket"
_MOST_SOURCES = 4096  # each restart brings new ones, and nobody says which are no more
_ROOM = 8 * 1024 * 1024  # asked of the kernel for what the journal has not taken yet; it may give less


def leads_to_journal(named: str, stdout: int = 1, stderr: int = 2) -> bool:
    """Whether what JOURNAL_STREAM names is our standard output: a variable is inherited further than the output is.

    Where both lead there by ways of their own, systemd names that of standard error.
    """
    device, _, inode = named.partition(":")

    def is_named(fd: int) -> bool:
        try:
            found = os.fstat(fd)
        except OSError:
            return False
        return (device, inode) == (str(found.st_dev), str(found.st_ino))

    return is_named(stdout) or (is_named(stderr) and _peer(stdout) == _peer(stderr) != "")


def _peer(fd: int) -> str:
    try:
        copy = os.dup(fd)
    except OSError:
        return ""
    try:
        other = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return ""
    with other:
        try:
            return str(other.getpeername())
        except OSError:
            return ""


class JournalFormat:
    """Each buffer is one entry. A line without end is an entry of its own only when somebody else comes between."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._fields: dict[Source, bytes] = {}
        self.held = b""  # the unfinished line at the end of the output

    def set_names(self, names: Iterable[str], types: Iterable[str]) -> None:
        pass

    def lines(
        self,
        source: Source,
        head: bytes,
        data: bytes,
        end: int,
        now: float,  # noqa: ARG002 (the journal has a clock)
        continues: bool,
    ) -> Sequence[Buffer]:
        if continues:
            head = self.held + head
        self.held = b""
        fields = self._fields_of(source)
        return [b"%s%s\n" % (fields, line) for line in (head + data[: end - 1]).split(b"\n")]

    def piece(self, source: Source, text: bytes, now: float, continues: bool) -> bytes:  # noqa: ARG002
        self.held = self.held + text if continues else text
        return self.line_end(source) if len(self.held) >= LINE_AT_MOST else b""

    def line_end(self, source: Source) -> bytes:
        text, self.held = self.held, b""
        return b"%s%s\n" % (self._fields_of(source), text) if text else b""

    def _fields_of(self, source: Source) -> bytes:
        """All but the text, which is last and holds no newline: so it needs no other form, whatever bytes it has."""
        fields = self._fields.get(source)
        if fields is None:
            named = {
                "PRIORITY": priority(source.stream),
                "SYSLOG_IDENTIFIER": f"{self._app}/{source.name}",
                "PROCSUP_APP": self._app,
                "PROCSUP_INSTANCE": source.name,
                "PROCSUP_TYPE": source.type,
                "PROCSUP_STREAM": source.stream,
                "OBJECT_PID": source.pid,  # for which the journal looks up more: OBJECT_COMM, OBJECT_CMDLINE
            }
            lines = "".join(f"{name}={str(value).replace(chr(10), '_')}\n" for name, value in named.items())
            if len(self._fields) >= _MOST_SOURCES:
                self._fields.clear()
            fields = self._fields[source] = lines.encode(errors="surrogateescape") + b"MESSAGE="
        return fields


def open_journal(path: str = SOCKET) -> Sink | None:
    """None where the journal's socket is missing, or may not be written to."""
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        opened.connect(path)
    except OSError:
        opened.close()
        return None

    def send(entries: Sequence[Buffer]) -> int:
        sent = 0
        for entry in entries:
            try:
                _send_one(opened, path, entry)
            except OSError:
                if sent:
                    break
                raise
            sent += len(entry)
        return sent

    return Sink(opened.fileno(), send, True, opened.close, "the journal", lasting=True)


def _send_one(opened: socket.socket, path: str, entry: Buffer) -> None:
    try:
        opened.send(entry)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno == errno.EMSGSIZE:
            _send_as_memory(opened, entry)
        elif error.errno in (errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET):
            opened.connect(path)  # the journal has a new socket of that name
            opened.send(entry)
        else:
            raise


def _send_as_memory(opened: socket.socket, entry: Buffer) -> None:
    """What is too large for a datagram goes as sealed memory, of which the datagram has only the descriptor."""
    memory = os.memfd_create("procsup", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(entry)
        while rest:
            rest = rest[os.write(memory, rest) :]
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
        socket.send_fds(opened, [b""], [memory])
    finally:
        os.close(memory)
