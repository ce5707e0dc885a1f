"""The words of the control socket: JSON-RPC 2.0, one message a line, and the table of what may be asked.

Everything that comes in is hostile until it went through here. Methods are looked up in a table and parameters are
checked against it: no name from outside ever reaches an attribute. What each method does stands in
docs/control-socket.md, whose table has the same rows.

An answer too long for one message comes as notifications `part` ({"id", "text"}), whose texts joined are the JSON of
the result, and then an answer whose own result is null. A stream is notifications, and then such an answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from procsup.control.parameters import (
    LONGEST_NAME,
    boolean,
    changes,
    count_or_all,
    duration,
    moment,
    name,
    names,
    path,
    size,
    some_names,
    text,
)
from procsup.value import Value

MAX_MESSAGE = 1024 * 1024  # bytes, the newline included
_LONGEST_ID = 256
_PART = 256 * 1024  # escaping at most doubles it

# The specification's codes; errors of our own carry the exit code they would end a command with (1, 2 or 3).
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

Id = str | int | None


class Refused(Exception):
    """A message that is not carried out, with the JSON-RPC error to answer."""

    def __init__(self, code: int, message: str, request_id: Id = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id


# --- the table ---


class Parameter(Value):
    check: Callable[[object, str], None]
    required: bool = True
    default: object = None


class Method(Value):
    """`repeatable`: it changes nothing, so it may be carried out a second time."""

    parameters: Mapping[str, Parameter]
    repeatable: bool = False


METHODS: Mapping[str, Method] = {
    "info": Method({}, repeatable=True),
    "status": Method({"usage": Parameter(boolean, required=False, default=True)}, repeatable=True),
    "formation": Method({}, repeatable=True),
    "scale": Method({"changes": Parameter(changes), "wait": Parameter(boolean, required=False, default=False)}),
    "start": Method({"names": Parameter(some_names)}),
    "stop": Method({"names": Parameter(some_names)}),
    "restart": Method(
        {"names": Parameter(names, required=False, default=()), "rolling": Parameter(boolean, False, False)}
    ),
    "reload": Method({"plan": Parameter(boolean, required=False, default=False)}),
    "wait": Method(
        {
            "names": Parameter(names, required=False, default=()),
            "ready": Parameter(boolean, required=False, default=False),
            "timeout": Parameter(duration, required=False, default=60.0),
        },
        repeatable=True,
    ),
    "logs": Method(
        {
            "names": Parameter(names, required=False, default=()),
            "lines": Parameter(count_or_all, required=False),
            "since": Parameter(moment, required=False),
            "follow": Parameter(boolean, required=False, default=False),
            "raw": Parameter(boolean, required=False, default=False),
            "after": Parameter(count_or_all, required=False),
        },
        repeatable=True,
    ),
    "attach": Method({"name": Parameter(name), "after": Parameter(count_or_all, required=False)}, repeatable=True),
    "type": Method({"name": Parameter(name), "text": Parameter(text)}),
    "resize": Method({"name": Parameter(name), "rows": Parameter(size), "columns": Parameter(size)}),
    "environment": Method({"name": Parameter(name)}, repeatable=True),
    "upgrade": Method({"python": Parameter(path, required=False)}),
    "shutdown": Method({}),
}


def check_parameters(method: str, params: Mapping[str, object]) -> dict[str, object]:
    """The parameters with the defaults filled in; raises Refused for a method or parameter not in the table."""
    if method not in METHODS:
        raise Refused(METHOD_NOT_FOUND, f"there is no method {_short(method)}; there are: {', '.join(METHODS)}")
    known = METHODS[method].parameters
    for given in params:
        if given not in known:
            there_are = ", ".join(known) or "none"
            raise Refused(INVALID_PARAMS, f"{method} knows no parameter {_short(given)}; there are: {there_are}")
    checked: dict[str, object] = {}
    for key, parameter in known.items():
        if key in params:
            try:
                parameter.check(params[key], key)
            except ValueError as error:
                raise Refused(INVALID_PARAMS, f"{method}: {error}") from None
            checked[key] = params[key]
        elif parameter.required:
            raise Refused(INVALID_PARAMS, f"{method} needs the parameter {key}")
        else:
            checked[key] = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
    return checked


def _short(text: str) -> str:
    return ascii(text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "…")


# --- messages ---


class Request(Value):
    id: Id
    wants_answer: bool  # a request without an id is a notification: carried out, never answered
    method: str
    params: dict[str, object]


def encode(message: Mapping[str, object]) -> bytes:
    """One line; raises ValueError or TypeError for what is not JSON, NaN included."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def decode(line: bytes) -> object:
    """What a line says; raises ValueError for all that is not strictly JSON in UTF-8."""
    try:
        # As text: handed bytes, json would also guess at UTF-16 and UTF-32.
        return json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def parse_request(line: bytes) -> Request:
    """A checked request, or Refused."""
    if len(line) > MAX_MESSAGE:
        raise too_long()
    try:
        message = decode(line)
    except ValueError:
        raise Refused(PARSE_ERROR, "not understood: send one JSON-RPC 2.0 object a line, in UTF-8") from None
    if isinstance(message, list):
        raise Refused(INVALID_REQUEST, "batches are not taken; send one request a line")
    if not isinstance(message, dict):
        raise Refused(INVALID_REQUEST, "a request is a JSON object")
    request_id = _checked_id(message.get("id"))
    method, params = message.get("method"), message.get("params", {})
    if message.get("jsonrpc") != "2.0":
        raise Refused(INVALID_REQUEST, 'a request must say "jsonrpc": "2.0"', request_id)
    if not isinstance(method, str):
        raise Refused(INVALID_REQUEST, "a request must name its method", request_id)
    if not isinstance(params, dict):
        raise Refused(INVALID_PARAMS, "params must be an object: parameters go by name", request_id)
    try:
        return Request(request_id, "id" in message, method, check_parameters(method, params))
    except Refused as refused:
        raise Refused(refused.code, refused.message, request_id) from None


def too_long() -> Refused:
    return Refused(INVALID_REQUEST, f"a message has at most {MAX_MESSAGE} bytes; this one was not read to its end")


def _checked_id(value: object) -> Id:
    # No floats (1e999 would come back as no JSON) and no truth values; what is echoed stays short.
    # A number may have thousands of digits, too.
    if value is None or ((type(value) is int or isinstance(value, str)) and len(str(value)) <= _LONGEST_ID):
        return value
    raise Refused(INVALID_REQUEST, f"an id is a whole number or a string, of at most {_LONGEST_ID} characters")


class Notification(Value):
    """What a stream consists of. `raw` follows it as it is, and its length is the parameter of that name.

    As text in JSON, output in bulk would cost ten times what reading it from the child does.
    """

    method: str
    params: Mapping[str, object]
    raw: bytes | None = None

    def encode(self) -> bytes:
        """Raises ValueError for what is not JSON."""
        if self.raw is None:
            return encode({"jsonrpc": "2.0", "method": self.method, "params": self.params})
        params = {**self.params, "raw": len(self.raw)}
        return encode({"jsonrpc": "2.0", "method": self.method, "params": params}) + self.raw


def request(request_id: Id, method: str, params: Mapping[str, object]) -> bytes:
    return encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def answer(request_id: Id, result: object) -> Iterator[bytes]:
    """The lines that carry a result, the last being the answer; raises ValueError or TypeError for what is not JSON."""
    text = json.dumps(result, separators=(",", ":"), allow_nan=False)
    if len(text) > MAX_MESSAGE - 2 * _LONGEST_ID * 6:  # an id of one letter may be six when escaped
        for start in range(0, len(text), _PART):
            piece = {"id": request_id, "text": text[start : start + _PART]}
            yield encode({"jsonrpc": "2.0", "method": "part", "params": piece})
        text = "null"
    yield f'{{"jsonrpc":"2.0","id":{json.dumps(request_id)},"result":{text}}}\n'.encode("ascii")


def error_answer(request_id: Id, code: int, message: str) -> bytes:
    return encode(
        {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message[: MAX_MESSAGE // 16]}}
    )
