"""Proof that a test left nothing: every process a test starts carries a cookie, and afterwards nobody may."""

from __future__ import annotations

import os
import time
import uuid

COOKIE = "PROCSUP_TEST_COOKIE"
_WAIT = 5.0  # a process that was told to end may need a moment on a busy machine


def bake() -> str:
    """A cookie of its own, inherited by everything that is started from now on."""
    os.environ[COOKIE] = cookie = uuid.uuid4().hex
    return cookie


def carriers(cookie: str) -> dict[int, str]:
    """The living processes, but ourselves, with the cookie in their environment."""
    wanted = f"{COOKIE}={cookie}".encode()
    found: dict[int, str] = {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        if pid == os.getpid():
            continue
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ, open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                if wanted in environ.read().split(b"\0"):
                    found[pid] = cmdline.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # gone meanwhile, a zombie, or not ours to look at
    return found


def left_processes(cookie: str) -> dict[int, str]:
    """Those that do not go by themselves within a moment."""
    until = time.monotonic() + _WAIT
    while (found := carriers(cookie)) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def left_descriptors(before: dict[int, str]) -> dict[int, str]:
    """Those opened since, and not closed within a moment; a thread that nobody waits for may be about to."""
    until = time.monotonic() + _WAIT
    while (found := dict(open_descriptors().items() - before.items())) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def open_descriptors(pid: int | str = "self") -> dict[int, str]:
    found: dict[int, str] = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue  # closed meanwhile
    return found
