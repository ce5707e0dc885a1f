"""A log file for each instance, with its bytes as they came: `--log-dir`.

Files are written to at once, from the loop: what the page cache takes it takes faster than a thread could be asked.
One that cannot be written to (the disk is full, say) makes nobody wait: a part of what is said is held and tried again
each second, the rest is lost and counted.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence

from procsup.output.log_file import LogFile
from procsup.output.lost import lost_bytes
from procsup.output.rotation import LogFolder
from procsup.output.sink import Buffer
from procsup.output.source import Source
from procsup.output.weave import Weave

_OPEN_AT_MOST = 64  # files; opening one again takes ten microseconds, and the descriptors are wanted for instances
_HELD_AT_MOST = 256 * 1024  # bytes for each file that cannot be written to,
_HELD_IN_ALL = 4 * 1024 * 1024  # and for all of them together
_BUFFERS_AT_ONCE = 512
_RETRY = 1.0  # seconds; somebody makes room on a disk at a human pace
_PATIENCE = 1.0  # seconds that a line waits for the end of another stream's very long one


class _Log:
    """`waiting` is what the file has not taken."""

    __slots__ = ("failure", "file", "waiting", "waiting_bytes", "weave")

    def __init__(self, file: LogFile) -> None:
        self.file = file
        self.weave = Weave()
        self.waiting: list[Buffer] = []
        self.waiting_bytes = 0
        self.failure: str | None = None


class LogFiles:
    """`tell` is told in a sentence when something cannot be written, and when all can be again; each time once.

    Descriptors from `highest_descriptor` on are a reserve, which is given back after each write.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        folder: LogFolder,
        tell: Callable[[str], None],
        *,
        highest_descriptor: int = 1 << 30,
    ) -> None:
        self._loop = loop
        self._folder = folder
        self._tell = tell
        self._highest = highest_descriptor
        self._logs: dict[str, _Log] = {}
        self._open: OrderedDict[str, _Log] = OrderedDict()  # the one longest unused first
        self._failing: dict[str, _Log] = {}
        self._held = 0  # bytes, of all that fail
        self._lost = 0
        self._retry: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    @property
    def trouble(self) -> str | None:
        """Why what is said does not arrive, as a sentence for people; None while all is well."""
        if not self._failing:
            return None
        return f"{self._cannot()}; {lost_bytes(self._lost)} so far"

    # What an audience hears

    def lines(self, source: Source, head: bytes, data: bytes, end: int) -> None:
        log = self.log(source.name)
        self._write(source.name, log, log.weave.lines(source, head, data, end))
        if log.weave.waiting:
            self._have_patience()

    def partial(self, source: Source, text: bytes) -> None:
        log = self.log(source.name)
        self._write(source.name, log, log.weave.partial(source, text))

    def ended(self, source: Source, rest: bytes, newline: bytes) -> None:  # noqa: ARG002 (nothing is added)
        log = self.log(source.name)
        self._write(source.name, log, log.weave.ended(source, rest))
        if log.weave.waiting:
            self._loop.call_soon(self._release, source.name)

    # What others may ask

    def reopen(self) -> None:
        """Somebody has moved the files. Those that were open go on under their names."""
        for name, log in tuple(self._open.items()):
            try:
                log.file.reopen()
            except OSError as error:
                self._fail(name, log, error)

    def close(self) -> str | None:
        """Write what can be written; what could not, as a sentence."""
        for timer in (self._retry, self._patience):
            if timer is not None:
                timer.cancel()
        self._retry = self._patience = None
        for name in self._logs:
            self._release(name)
        for name, log in tuple(self._failing.items()):
            self._try_again(name, log)
        complaint = None
        if self._failing:
            complaint = f"{self._cannot()}; {lost_bytes(self._lost + self._held)}"
        for log in self._open.values():
            log.file.close()
        self._open.clear()
        return complaint

    # How it gets there

    def log(self, name: str) -> _Log:
        """That of an instance."""
        log = self._logs.get(name)
        if log is None:
            path = os.path.join(self._folder.path, f"{name}.log")
            log = self._logs[name] = _Log(LogFile(path, self._folder.size, self._folder.older))
        return log

    def _write(self, name: str, log: _Log, buffers: Sequence[Buffer]) -> None:
        buffers = [each for each in buffers if each]
        if not buffers:
            return
        if log.failure is not None:
            self._hold(log, buffers)
            return
        if len(buffers) > _BUFFERS_AT_ONCE:
            buffers = [b"".join(buffers)]
        try:
            buffers = self._append(log, buffers)
        except OSError as error:
            self._fail(name, log, error)
            self._hold(log, buffers)
        self._keep_open(name, log)
        if buffers and log.failure is None:  # the disk took a part: how it goes on is seen at once
            self._write(name, log, buffers)

    def _append(self, log: _Log, buffers: Sequence[Buffer]) -> Sequence[Buffer]:
        """What is left of them. Raises OSError."""
        try:
            sent = log.file.append(buffers)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._open:
                raise
            self._close_one()
            sent = log.file.append(buffers)
        if sent == sum(map(len, buffers)):
            return ()
        return (memoryview(b"".join(buffers))[sent:],)

    def _keep_open(self, name: str, log: _Log) -> None:
        descriptor = log.file.descriptor
        if descriptor is None:
            self._open.pop(name, None)
        elif descriptor >= self._highest:
            log.file.close()
            self._open.pop(name, None)
        else:
            self._open[name] = log
            self._open.move_to_end(name)
            if len(self._open) > _OPEN_AT_MOST:
                self._close_one()

    def _close_one(self) -> None:
        self._open.popitem(last=False)[1].file.close()

    def _release(self, name: str) -> None:
        log = self._logs[name]
        self._write(name, log, log.weave.release())

    def _have_patience(self) -> None:
        if self._patience is None:
            self._patience = self._loop.call_later(_PATIENCE, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        for name, log in self._logs.items():
            if log.weave.waiting:
                self._release(name)

    # When a file cannot be written to

    def _hold(self, log: _Log, buffers: Sequence[Buffer]) -> None:
        data = b"".join(buffers)
        if log.waiting_bytes + len(data) > _HELD_AT_MOST or self._held + len(data) > _HELD_IN_ALL:
            self._lost += len(data)
            return
        log.waiting.append(data)
        log.waiting_bytes += len(data)
        self._held += len(data)

    def _fail(self, name: str, log: _Log, error: OSError) -> None:
        first = not self._failing
        self._mark(name, log, error.strerror or str(error))
        if first:
            # Not at once: whoever is told may speak as well.
            text = f"{self._cannot()}; what does not fit is lost until it can be written to again"
            self._loop.call_soon(self._tell, text)

    def go_on_failing(self, name: str, log: _Log, why: str, waiting: Sequence[Buffer]) -> None:
        """Another has told that this log cannot be written to. It is tried again in its time."""
        self._mark(name, log, why)
        self._hold(log, waiting)

    def _mark(self, name: str, log: _Log, why: str) -> None:
        log.failure = why
        self._failing[name] = log
        if self._retry is None:
            self._retry = self._loop.call_later(_RETRY, self._try_all_again)

    def _try_all_again(self) -> None:
        for name, log in tuple(self._failing.items()):
            self._try_again(name, log)
        if self._failing:
            self._retry = self._loop.call_later(_RETRY, self._try_all_again)
            return
        self._retry = None
        lost = lost_bytes(self._lost, "missing")
        self._tell(f"the logs in {self._folder.path} can be written to again; {lost}")
        self._lost = 0

    def _try_again(self, name: str, log: _Log) -> None:
        log.file.close()
        while log.waiting:
            try:
                rest = self._append(log, log.waiting[:_BUFFERS_AT_ONCE])
            except OSError as error:
                log.failure = error.strerror or str(error)
                break
            log.waiting[:_BUFFERS_AT_ONCE] = rest
        held, log.waiting_bytes = log.waiting_bytes, sum(map(len, log.waiting))
        self._held += log.waiting_bytes - held
        if not log.waiting:
            log.failure = None
            del self._failing[name]
        self._keep_open(name, log)

    def _cannot(self) -> str:
        log = next(iter(self._failing.values()))
        others = f" and to {len(self._failing) - 1} more" if len(self._failing) > 1 else ""
        return f"cannot write to the log {log.file.path}{others}: {log.failure}"
