"""The shop's front: POST /orders?count=N takes N orders, GET / says how many were taken and shipped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from jobs import SHIPPED, ship, shop_redis
from rq import Queue, Retry

TAKEN = "shop:taken"
_redis = shop_redis()
_queue = Queue("orders", connection=_redis)


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """The WSGI application that gunicorn serves."""
    status, answer = _respond(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", ""))
    body = json.dumps(answer).encode() + b"\n"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _respond(method: str, path: str, query: str) -> tuple[str, dict[str, object]]:
    if (method, path) == ("GET", "/"):
        return "200 OK", _counts()
    if (method, path) == ("POST", "/orders"):
        count = parse_qs(query).get("count", ["1"])[0]
        if not (count.isdecimal() and 1 <= int(count) <= 1000):
            return "400 Bad Request", {"error": "count must be a number from 1 to 1000"}
        _take_orders(int(count))
        return "202 Accepted", _counts()
    return "404 Not Found", {"error": "there are GET / and POST /orders?count=N"}


def _take_orders(count: int) -> None:
    last = int(_redis.incrby(TAKEN, count))
    for order in range(last - count + 1, last + 1):
        # A worker that is killed with a job in its hands cannot give it back: rq finds that out, and tries again.
        _queue.enqueue(ship, order, retry=Retry(max=5))


def _counts() -> dict[str, object]:
    return {"taken": int(_redis.get(TAKEN) or 0), "waiting": _queue.count, "shipped": int(_redis.scard(SHIPPED))}
