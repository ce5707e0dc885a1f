"""Who is connected when the supervisor becomes another version, and stays connected: told by descriptor and words.

Who has asked for something that changes nothing is asked for by the next version as if for the first time; who follows
a stream is told, and asks again from where it was. Only orders have to be carried out before.
"""

from __future__ import annotations

from collections.abc import Iterable

from procsup.control.connection import Connection
from procsup.control.protocol import METHODS, Id, Notification, Refused, parse_request
from procsup.control.protocol import request as encode_request
from procsup.value import Value

# To one who follows a stream: it has ended only because another version goes on with it.
RESUMED = "resumed"


class Visitor(Value):
    """`unsent` is what it is still to be told, `unread` what it has asked that nobody has carried out.

    `waits`: it has asked for the upgrade itself, by a request of that `number`. `since`: the first of `unread` has been
    carried out from that moment of the loop's clock on, which is the machine's.
    """

    descriptor: int
    unsent: bytes
    unread: bytes
    waits: bool = False
    number: Id = None
    since: float | None = None


def half_done(connections: Iterable[Connection]) -> str | None:
    """An order that is being carried out: neither a question, which can be asked once more, nor done."""
    for each in connections:
        method = _method(each.request) if not each.unsent else None
        if method is not None and method != "upgrade" and not METHODS[method].repeatable:
            return f"{method} is being carried out, for pid {each.peer.pid}"
    return None


def visitor(connection: Connection) -> Visitor:
    descriptor, request = connection.client.fileno(), connection.request
    unsent, unread = bytes(connection.unsent), bytes(connection.unread)
    if connection.streaming:
        return Visitor(descriptor, unsent + Notification(RESUMED, {}).encode(), unread)
    if request is None or unsent:
        return Visitor(descriptor, unsent, unread)
    if _method(request) == "upgrade":
        return Visitor(descriptor, b"", unread, True, parse_request(request).id)
    return Visitor(descriptor, b"", request + unread, since=connection.last_moved)


def with_time_left(unread: bytes, passed: float) -> bytes:
    """What was asked, so many seconds ago, as it is to be asked once more: a time-out is no longer for that."""
    line, _, rest = unread.partition(b"\n")
    try:
        asked = parse_request(line)
    except Refused:
        return unread
    timeout = asked.params.get("timeout")
    if not asked.wants_answer or not isinstance(timeout, (int, float)):
        return unread
    return encode_request(asked.id, asked.method, {**asked.params, "timeout": max(0.0, timeout - passed)}) + rest


def _method(line: bytes | None) -> str | None:
    if line is None:
        return None
    try:
        return parse_request(line).method
    except Refused:
        return None
