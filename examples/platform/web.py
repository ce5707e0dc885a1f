"""The front: POST /orders?count=N&to=NAME takes N orders, GET / says how many posters are done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import messages
import posters


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """The WSGI application that gunicorn serves."""
    status, answer = _respond(
        environ["REQUEST_METHOD"], environ["PATH_INFO"], parse_qs(environ.get("QUERY_STRING", ""))
    )
    body = json.dumps(answer).encode() + b"\n"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _respond(method: str, path: str, query: dict[str, list[str]]) -> tuple[str, dict[str, object]]:
    if (method, path) == ("GET", "/"):
        with posters.connect() as database:
            return "200 OK", {"done": posters.count(database)}
    if (method, path) == ("POST", "/orders"):
        count = query.get("count", ["1"])[0]
        if not (count.isdecimal() and 1 <= int(count) <= 1000):
            return "400 Bad Request", {"error": "count must be a number from 1 to 1000"}
        return "202 Accepted", {"taken": _take(int(count), query.get("to", ["somebody"])[0])}
    return "404 Not Found", {"error": "there are GET / and POST /orders?count=N&to=NAME"}


def _take(count: int, to: str) -> list[int]:
    with posters.connect() as database, messages.connect() as broker:
        channel = messages.open_channel(broker)
        numbers = [posters.next_number(database) for _ in range(count)]
        for number in numbers:
            messages.send(channel, messages.ORDERS, {"number": number, "to": to})
    return numbers
