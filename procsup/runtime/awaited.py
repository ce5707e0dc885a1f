"""Those who wait until something has come true: they are asked again whenever something has happened."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable


class Awaited:
    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[Callable[[], bool], Future[None]]] = []

    async def until(self, condition: Callable[[], bool]) -> None:
        if not condition():
            came_true: Future[None] = self._loop.create_future()
            self._waiting.append((condition, came_true))
            await came_true

    def look(self) -> None:
        """Something has happened."""
        waiting, self._waiting = self._waiting, []
        for condition, came_true in waiting:
            if came_true.cancelled():
                continue
            if condition():
                came_true.set_result(None)
            else:
                self._waiting.append((condition, came_true))
