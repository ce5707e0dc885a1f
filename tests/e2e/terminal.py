"""A pseudo-terminal, with procsup as what runs on it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import subprocess
import termios

from tests.e2e.app import COMMAND, PATIENCE, App


class Terminal:
    """A pseudo-terminal with `procsup start` on it."""

    def __init__(self, app: App, *arguments: str) -> None:
        self.master, slave = os.openpty()

        def take() -> None:
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [*COMMAND, "start", *arguments], cwd=app.folder, env=app.environment, stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True, preexec_fn=take,
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def read_until(self, pattern: str) -> None:
        while not re.search(pattern, self.text):
            assert select.select([self.master], [], [], PATIENCE)[0], f"no {pattern!r} in:\n{self.text}"
            self.text += os.read(self.master, 65536).decode(errors="replace")

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            while chunk := os.read(self.master, 65536):
                self.text += chunk.decode(errors="replace")
        except OSError:  # EIO: nobody is on the other side any more
            pass
        self.process.wait(PATIENCE)
        os.close(self.master)
