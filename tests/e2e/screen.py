"""A terminal with a program at it: what a person types, and what is on it so far."""

from __future__ import annotations

import fcntl
import os
import re
import select
import subprocess
import termios
import time

from tests.e2e.app import PATIENCE, App

_WHERE_IS_THE_CURSOR = b"\x1b[6n"


class Screen:
    """`argv` is in the foreground of a session of its own, whose terminal this is. It says that its cursor is home."""

    def __init__(self, app: App, *argv: str, size: tuple[int, int] = (24, 80)) -> None:
        self.master, slave = os.openpty()
        termios.tcsetwinsize(self.master, size)
        self.before = termios.tcgetattr(self.master)
        self.output = b""
        self._closed = False
        self._answered = 0
        self.process = subprocess.Popen(
            argv,
            cwd=app.folder,
            env={"TERM": "xterm-256color", **app.environment},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.master, (rows, columns))

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Until it has shown that so many times; the last of the matches."""
        until = time.monotonic() + PATIENCE
        while len(found := list(re.finditer(pattern, self.text))) < times:
            if not self._read(until - time.monotonic()):
                raise AssertionError(f"no {pattern!r} ({times} times) in {self.text!r}")
        return found[times - 1]

    def end(self) -> int:
        """Read to the end, and wait for it."""
        until = time.monotonic() + PATIENCE
        while not self._closed and self._read(until - time.monotonic()):
            pass
        return self.process.wait(PATIENCE)

    def as_before(self) -> bool:
        """The terminal is as its owner knew it: keys are echoed, Ctrl-C is a signal."""
        return termios.tcgetattr(self.master) == self.before

    def close_window(self) -> None:
        """As a person closes it, whatever runs in it."""
        if not self._closed:
            os.close(self.master)
        self._closed = True

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.end()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.close_window()

    def _read(self, seconds: float) -> bytes:
        if seconds <= 0 or not select.select([self.master], [], [], seconds)[0]:
            return b""
        try:
            said = os.read(self.master, 65536)
        except OSError:  # nobody is there any more
            return b""
        self.output += said
        while self._answered < self.output.count(_WHERE_IS_THE_CURSOR):
            self._answered += 1
            os.write(self.master, b"\x1b[1;1R")
        return said
