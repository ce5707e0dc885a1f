"""Stands in systemd's place: a real socket that NOTIFY_SOCKET names, and what was said to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable

from tests.e2e.app import PATIENCE

Message = dict[str, str]


class Receiver:
    """`messages` are all so far, each by its names."""

    def __init__(self, *, abstract: bool) -> None:
        self._folder = "" if abstract else tempfile.mkdtemp(prefix="p", dir="/tmp")  # a path has to be short
        name = f"\0procsup-tests-{os.urandom(8).hex()}" if abstract else f"{self._folder}/notify"
        self.address = name.replace("\0", "@")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name)
        self.messages: list[Message] = []

    def wait_for(self, name: str, value: str | None = None, *, within: float = PATIENCE) -> Message:
        """The next message that says so; those before it are taken note of as well."""
        return self.until(lambda message: name in message and value in (None, message[name]), within)

    def until(self, condition: Callable[[Message], bool], within: float = PATIENCE) -> Message:
        end = time.monotonic() + within
        while True:
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                text = self._socket.recv(65536).decode()
            except TimeoutError:
                raise AssertionError(f"not said within {within} s; said was: {self.messages}") from None
            self.messages.append(dict(line.split("=", 1) for line in text.split("\n")))
            if condition(self.messages[-1]):
                return self.messages[-1]

    def take(self) -> list[Message]:
        """All that waits to be read, and forget what was before."""
        self.messages.clear()
        with contextlib.suppress(AssertionError):
            self.until(lambda _: False, within=0.001)
        return self.messages

    def close(self) -> None:
        self._socket.close()
        if self._folder:
            shutil.rmtree(self._folder)
