"""What a value of procsup.toml may be: each reader gives the value to use, or raises with what is wanted in its place.

Beside each reader stands the JSON Schema that says the same to editors.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Callable, Mapping

from procsup.config import sizes as amounts
from procsup.config.settings import Limits, Step

Schema = Mapping[str, object]
Reader = Callable[[object], object]

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_VARIABLES = r"[A-Za-z0-9_*?]+"
_MOUNT = r"[a-z][a-z0-9_-]{0,62}"
_LEAST_MEMORY = 1 << 20  # no program begins with less
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MOST_SECONDS = 1e9
_MOST_CORES = 1024
_LEAST_CORES = 0.01  # the least that Linux can share out
_PAUSE = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_SIGNAL = r"[A-Za-z][A-Za-z0-9+-]*"
_TURN = rf"{_SIGNAL}\s*(,\s*{_PAUSE}\s*)?"
# One that cannot be caught and does not end anything, and one that says nothing to anybody.
_NO_STOP = (signal.SIGSTOP, signal.SIGCHLD)

_ADDRESS = r"[0-9.]{7,15}:[0-9]{1,5}|\[[0-9A-Fa-f:.]{2,45}\]:[0-9]{1,5}|[^\u0000-\u001f]*/[^\u0000-\u001f]+"
ADDRESS: Schema = {"type": "string", "pattern": f"^({_ADDRESS})$"}
TEXT: Schema = {"type": "string", "minLength": 1, "pattern": r"^[^\u0000-\u001f\u007f]*$"}
TEXTS: Schema = {"anyOf": [TEXT, {"type": "array", "items": TEXT}]}
TRUTH: Schema = {"type": "boolean"}
SECONDS: Schema = {"type": "number", "minimum": 0, "exclusiveMaximum": _MOST_SECONDS}
SOME_SECONDS: Schema = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": _MOST_SECONDS}
CORES: Schema = {"type": "number", "minimum": _LEAST_CORES, "maximum": _MOST_CORES}
STOP: Schema = {"type": "string", "pattern": rf"^\s*{_TURN}(,\s*{_TURN})*$"}
SIZE: Schema = {"type": "string", "pattern": f"^{amounts.SIZE}$"}
_NAME: Schema = {"type": "string", "pattern": f"^{_MOUNT}$"}
SIZES: Schema = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {"memory": SIZE, "cpu": CORES},
    },
}
MOUNTS: Schema = {"anyOf": [_NAME, {"type": "array", "items": _NAME, "uniqueItems": True}]}
VARIABLES: Schema = {
    "type": "object",
    "propertyNames": {"pattern": f"^{_VARIABLE}$"},
    "additionalProperties": {"type": ["string", "number", "boolean"], "pattern": r"^[^\u0000]*$"},
}
_PATTERN: Schema = {"type": "string", "pattern": f"^{_VARIABLES}$"}
GROUPS: Schema = {
    "type": "object",
    "additionalProperties": {"anyOf": [_PATTERN, {"type": "array", "items": _PATTERN}]},
}


class Unfit(ValueError):
    """Says what is wanted in place of a value; `inside` leads to the part of it that is not that."""

    def __init__(self, wanted: str, *inside: str) -> None:
        super().__init__(wanted)
        self.inside = inside


def short(name: str) -> str:
    """A name that may be anything, fit for one line."""
    shown = "".join(each if each.isprintable() else "?" for each in name[:60])
    return shown if len(name) <= 60 else f"{shown}…"


def whole_schema(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if type(value) is not int or not least <= value <= most:  # a bool is an int to Python, and never one here
            raise Unfit(f"a whole number from {least} to {most}")
        return value

    return read


def _number(value: object) -> float:
    """nan, which is less and more than nothing, where it is none."""
    if isinstance(value, float):
        return value
    return float(value) if type(value) is int and abs(value) < 1 << 53 else math.nan


def seconds(value: object) -> float:
    number = _number(value)
    if not 0 <= number < _MOST_SECONDS:
        raise Unfit("a number of seconds, 0 or more")
    return number


def some_seconds(value: object) -> float:
    number = _number(value)
    if not 0 < number < _MOST_SECONDS:
        raise Unfit("a number of seconds, more than 0")
    return number


def cores(value: object) -> float:
    number = _number(value)
    if not _LEAST_CORES <= number <= _MOST_CORES:
        raise Unfit("a number of cores, 0.01 or more, as in 0.5 or 2")
    return number


def truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit("true or false, without quotes")
    return value


def text(value: object) -> str:
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        raise Unfit("a text that is not empty, on one line")
    return value


def one_of(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise Unfit(" or ".join(f'"{word}"' for word in words))
        return str(value)

    return read


def texts(value: object) -> tuple[str, ...]:
    return _list(value, 'a list of texts, as in ["a", "b"]', text)


def mount_names(value: object) -> tuple[str, ...]:
    wanted = 'a list of different names of small letters, digits, "-" and "_", as in ["scratch"]'
    names = _list(value, wanted, _fits(_MOUNT))
    if len({name.replace("-", "_") for name in names}) < len(names):  # each has a variable, which has no "-"
        raise Unfit(wanted)
    return names


def patterns(value: object) -> tuple[str, ...]:
    return _list(value, 'a list of variables, as in ["DATABASE_URL", "MYSQL_*"]', _fits(_VARIABLES))


def _fits(pattern: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise Unfit(pattern)
        return value

    return read


def _list(value: object, wanted: str, read: Callable[[object], str]) -> tuple[str, ...]:
    """One alone may stand without the brackets."""
    items = value if isinstance(value, list) else [value]
    try:
        return tuple(map(read, items))
    except Unfit:
        raise Unfit(wanted) from None


def variables(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Unfit('a table of variables, as in { LEVEL = "debug", WORKERS = 4 }')
    return {name: _variable(name, each) for name, each in value.items()}


def _variable(name: str, value: object) -> str:
    if not re.fullmatch(_VARIABLE, name):
        raise Unfit('a variable\'s name: letters, digits and "_", no digit first', name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and "\0" not in value:
        return value
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 64):
        return str(value)
    raise Unfit("a text, a number, true or false; for anything else use quotes", name)


def groups(value: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise Unfit('a table of groups of variables, as in [relationships] mysql = ["DATABASE_URL", "MYSQL_*"]')
    found: dict[str, tuple[str, ...]] = {}
    for name, each in value.items():
        try:
            found[name] = patterns(each)
        except Unfit as error:
            raise Unfit(str(error), name) from None
    return found


def address(value: object) -> str:
    """`127.0.0.1:8000`, `[::1]:8000`, or a path with a slash in it."""
    if not isinstance(value, str) or not re.fullmatch(_ADDRESS, value):
        raise Unfit('an address with a port, or a path with a slash: "127.0.0.1:8000", "[::1]:8000", "./web.sock"')
    port = value.rpartition(":")[2]
    if "/" not in value and not 0 < int(port) < 65536:
        raise Unfit(f"an address with a port from 1 to 65535, and {port} is none")
    return value


def stop_steps(value: object) -> tuple[Step, ...]:
    """Signals and pauses by turns: `"TSTP, 10, TERM, 15, KILL"`; a signal without a pause has the grace."""
    wanted = 'signals and seconds by turns, as in "TERM", "INT, 20" or "TSTP, 10, TERM, 15, KILL"'
    if not isinstance(value, str):
        raise Unfit(wanted)
    steps: list[Step] = []
    for part in map(str.strip, value.split(",")):
        if steps and steps[-1].signal == signal.SIGKILL:
            raise Unfit(f"{wanted}; nothing comes after KILL")
        if steps and steps[-1].wait is None and re.fullmatch(_PAUSE, part):
            steps[-1] = Step(steps[-1].signal, float(part))
        elif re.fullmatch(_SIGNAL, part):
            steps.append(Step(_signal_number(part, wanted), None))
        else:
            raise Unfit(wanted)
    return tuple(steps)


def _signal_number(name: str, wanted: str) -> int:
    """Also `RTMIN+3`, as systemd writes it, and Linux's real-time signals have no other names."""
    short = name.upper().removeprefix("SIG")
    if match := re.fullmatch(r"(RTMIN)\+([0-9]{1,2})|(RTMAX)-([0-9]{1,2})", short):
        least, most = int(getattr(signal, "SIGRTMIN", 1)), int(getattr(signal, "SIGRTMAX", 0))
        number = least + int(match[2]) if match[1] else most - int(match[4])
        if least <= number <= most:
            return number
    found = getattr(signal, f"SIG{short}", None)
    if not isinstance(found, signal.Signals):
        raise Unfit(f'{wanted}; there is no signal "{name[:20]}" here')
    if found in _NO_STOP:
        raise Unfit(f"{wanted}; {short} stops nothing")
    return int(found)


def size(value: object) -> int:
    count = amounts.read_size(value) if isinstance(value, str) else None
    if count is None:
        raise Unfit('a size, as in "512K", "10M" or "1G"')
    return count


def size_of_memory(value: object) -> int:
    count = amounts.read_size(value) if isinstance(value, str) else None
    if count is None or count < _LEAST_MEMORY:
        raise Unfit('a size of 1M or more, as in "256M" or "2G"')
    return count


def sizes(value: object) -> dict[str, Limits]:
    wanted = 'a table of sizes, as in [sizes] S = { memory = "256M", cpu = 0.5 }'
    if not isinstance(value, dict):
        raise Unfit(wanted)
    read: Mapping[str, Reader] = {"memory": size_of_memory, "cpu": cores}
    found: dict[str, Limits] = {}
    for name, limits in value.items():
        if not isinstance(limits, dict) or not limits or not limits.keys() <= read.keys():
            raise Unfit(wanted, name)
        try:
            found[name] = Limits(**{key: read[key](each) for key, each in limits.items()})  # type: ignore[arg-type]
        except Unfit as error:
            raise Unfit(f"{wanted}: a limit must be {error}", name) from None
    return found
