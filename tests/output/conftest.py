"""The vocabulary of the output tests: a stage with children's pipes on one side and procsup's stdout on the other.

Time is what the loop has waited plus what a test adds, so that 200 ms of silence pass when the test says so, and not
because the machine does something else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence

import pytest

from procsup.output.console import Console
from procsup.output.pump import Pump
from procsup.output.speaker import Audience
from procsup.output.style import Style

NOON = 1_700_000_000.25  # a moment for timestamps


class CountingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Knows how often the loop woke up, and how long it has waited."""

    def __init__(self) -> None:
        super().__init__()
        self.wakeups = 0
        self.waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        found = super().select(timeout)
        self.wakeups += 1
        if timeout is not None and timeout > 0:
            # Never more than was asked for: of two timers the second is not due because this process slept too long.
            self.waited += min(time.monotonic() - began, timeout) if found else timeout
        return found


class StageLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.counting = CountingSelector()
        self.ahead = 0.0
        self.timers = 0  # made so far
        super().__init__(self.counting)

    def time(self) -> float:
        return self.counting.waited + self.ahead

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, **more: object
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, **more)  # type: ignore[arg-type]


class Stage:
    """Children are written to with `say`; what reaches procsup's stdout is read with `shown`."""

    def __init__(
        self,
        loop: StageLoop,
        style: Style,
        pipe: tuple[int, int],
        quiet: frozenset[str],
        audiences: Sequence[Audience] = (),
        **more: object,
    ) -> None:
        self.loop = loop
        self.reader, self.stdout = pipe
        os.set_blocking(self.reader, False)
        self.broken = 0
        self.troubles: list[str] = []  # what was told of them
        self.console = Console(
            loop,
            self.stdout,
            style,
            self._count_broken,
            on_trouble=self.troubles.append,
            clock=lambda: NOON,
            **more,  # type: ignore[arg-type]
        )
        self.pump = Pump(loop, self.console, quiet, audiences=audiences)
        self.ends: dict[tuple[str, str], int] = {}

    def _count_broken(self) -> None:
        self.broken += 1

    def child(self, name: str, *streams: str) -> None:
        for stream in streams or ("stdout",):
            reader, end = os.pipe()
            self.ends[name, stream] = end
            self.pump.attach(name, name.partition(".")[0], stream, 4711, reader)

    async def say(self, name: str, data: bytes, stream: str = "stdout") -> None:
        assert os.write(self.ends[name, stream], data) == len(data)
        await self.settle()

    async def end(self, name: str, stream: str = "stdout") -> None:
        os.close(self.ends.pop((name, stream)))
        await self.settle()

    async def silence(self, seconds: float = 0.25) -> None:
        self.loop.ahead += seconds
        await self.settle()

    async def settle(self) -> None:
        """Pipes are synchronous: what was written is readable in the very next round of the loop."""
        for _ in range(4):
            await asyncio.sleep(0)

    def shown(self) -> bytes:
        """What reached the reader since the last time."""
        parts = []
        while True:
            try:
                part = os.read(self.reader, 1 << 20)
            except (BlockingIOError, OSError):  # EIO: the other side of a terminal is closed
                break
            if not part:
                break
            parts.append(part)
        return b"".join(parts)

    async def all_shown(self, complete: Callable[[bytes], bool]) -> bytes:
        """Reads on as the loop goes on, until there is enough; the test's timeout is the only limit."""
        data = bytearray(self.shown())
        while not complete(bytes(data)):
            readable = self.loop.create_future()
            self.loop.add_reader(self.reader, _wake, readable)
            await readable
            self.loop.remove_reader(self.reader)
            data += self.shown()
        return bytes(data)

    def close(self) -> None:
        self.console.close()
        self.pump.detach_all()
        for fd in (*self.ends.values(), self.reader, self.stdout):
            with contextlib.suppress(OSError):  # some tests close theirs
                os.close(fd)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class Theatre:
    """Makes stages and runs a test's play in their loop."""

    def __init__(self) -> None:
        self.loop = StageLoop()
        self._stages: list[Stage] = []

    def stage(self, quiet: frozenset[str] = frozenset(), pipe: tuple[int, int] | None = None, **look: object) -> Stage:
        sink = {name: look.pop(name) for name in ("sink", "audiences") if name in look}
        style = Style(**{"timestamps": False, **look})  # type: ignore[arg-type]
        stage = Stage(self.loop, style, pipe or os.pipe(), quiet, **sink)
        stage.console.set_names(["web.1", "worker.1"], ["web", "worker"])
        self._stages.append(stage)
        return stage

    def run(self, play: Coroutine[object, object, None]) -> None:
        self.loop.run_until_complete(asyncio.wait_for(play, 1000))

    def close(self) -> None:
        for stage in self._stages:
            stage.close()
        self.loop.close()


@pytest.fixture
def theatre() -> Iterator[Theatre]:
    theatre = Theatre()
    yield theatre
    theatre.close()


@pytest.fixture
def new_theatre() -> Callable[[], Theatre]:
    """For property tests: a fresh one for each example."""
    return Theatre
