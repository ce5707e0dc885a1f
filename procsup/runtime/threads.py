"""What would make the loop wait is done in a thread, which never hears a signal: that would be lost in an upgrade."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple
from weakref import WeakSet

from procsup.runtime.inherited import hold_all_signals

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")

_with_threads: WeakSet[asyncio.AbstractEventLoop] = WeakSet()  # only those who need some: their end takes a thread, too


async def in_thread(function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
    """Raises RuntimeError where no thread can be started."""
    loop = asyncio.get_running_loop()
    if loop not in _with_threads:
        # Named in full: what makes threads is loaded by the first who needs one.
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(initializer=hold_all_signals))
        _with_threads.add(loop)
    return await loop.run_in_executor(None, function, *arguments)
