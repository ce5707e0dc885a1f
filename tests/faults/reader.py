"""A reader of procsup's standard output in the test's own hands: it may stop, go away, or count a gigabyte.

What comes is not kept: each line's text goes to whoever wrote it, chunk by chunk, and only what a test asks for stays.
"""

from __future__ import annotations

import array
import fcntl
import os
import re
import select
import subprocess
import termios
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from tests.e2e import app as terminal
from tests.e2e.app import PATIENCE, App

CHUNK = 256 * 1024
PREFIX = re.compile(rb"([\w-]+(?:\.\d+)?) +\| ")


class Reader:
    """`procsup start` on a pipe of which this is the other end; its stderr is the same, or the file `stderr`."""

    def __init__(self, app: App, *arguments: str, one_pipe: bool = False) -> None:
        self.stderr = app.folder / "stderr"
        self.read_end, write = os.pipe()
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*terminal.COMMAND, "start", *arguments],
                cwd=app.folder,
                env=app.environment,
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write if one_pipe else stderr,
            )
        os.close(write)

    def chunks(self) -> Iterator[bytes]:
        """All that comes, until its end."""
        while True:
            assert select.select([self.read_end], [], [], PATIENCE)[0], f"nothing to read for {PATIENCE} s"
            chunk = os.read(self.read_end, CHUNK)
            if not chunk:
                return
            yield chunk

    def wait_until_full(self) -> None:
        """Until nothing more comes into the pipe: the flood has met the wall. How much fits is the kernel's affair."""
        count, before, unchanged = array.array("i", [0]), 0, 0
        until = time.monotonic() + PATIENCE
        while unchanged < 8:
            assert time.monotonic() < until, f"never full: {before} bytes"
            time.sleep(0.05)  # the pace of asking
            fcntl.ioctl(self.read_end, termios.FIONREAD, count)
            unchanged = unchanged + 1 if count[0] == before > 2048 else 0
            before = count[0]

    def go_away(self) -> None:
        if self.read_end >= 0:
            os.close(self.read_end)
            self.read_end = -1

    def close(self) -> None:
        self.go_away()
        try:
            if self.process.poll() is None:
                self.process.terminate()
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Ledger:
    """Gives each line's text, without prefix and newline, to the one who wrote it; without timestamps only.

    What a name's account makes of the text is its own affair: by default it is kept.
    """

    def __init__(self, **accounts: Callable[[bytes], None]) -> None:
        self.kept: dict[str, bytearray] = defaultdict(bytearray)
        self._accounts = accounts  # by process type
        self._rest = b""
        self._name: str | None = None  # whose line it is that has no end yet

    def take(self, chunk: bytes) -> None:
        data, self._rest = self._rest + chunk, b""
        at = 0
        while at < len(data):
            if self._name is None:
                prefix = PREFIX.match(data, at)
                if prefix is None:
                    self._rest = data[at:]
                    assert len(self._rest) < 80, f"a line of nobody's: {self._rest[:80]!r}"
                    return
                self._name, at = prefix[1].decode(), prefix.end()
            end = data.find(b"\n", at) + 1
            account = self._accounts.get(self._name.partition(".")[0], self.kept[self._name].extend)
            account(data[at : end or len(data)])
            if not end:
                return
            at, self._name = end, None
