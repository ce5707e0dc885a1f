"""One page, for gunicorn (`wsgi`) and for uvicorn (`asgi`): it says which version it is of, and who serves it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

PAGE = f"{os.environ.get('VERSION', '1')} {os.environ['PS']}".encode()
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(PAGE)))]


def wsgi(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return [PAGE]


async def asgi(scope: dict[str, Any], receive: Callable[..., object], send: Callable[..., Awaitable[None]]) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE})
