"""examples/export in a folder with a hard name, what its processes told, and what they should have been given."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.e2e.app import PATIENCE, App, alive

ROOT = Path(__file__).resolve().parent.parent.parent
HARD_NAME = "100% of $HOME, größe 'x' \"y\" \\ ; #"
RUNNING = ("mail_queue.1", "web.1", "web.2", "worker.1", "worker.2", "worker.3")
# What shells and supervisors set for their own sake.
_OWN = ("PWD", "OLDPWD", "_", "SHLVL", "PROCSUP_COOKIE", "PYTEST_CURRENT_TEST")


class Example(App):
    """A copy of the example whose processes tell what they see in `reports`."""

    def __init__(self, folder: Path, reports: Path, port: int) -> None:
        super().__init__(folder)
        shutil.copytree(ROOT / "examples/export", folder, dirs_exist_ok=True)
        self.reports = reports
        self.port = port
        reports.mkdir()
        (folder / ".env").write_text((folder / ".env").read_text() + f'\nREPORTS="{reports}"\n')
        (folder / ".env").chmod(0o600)

    def export(self, engine: str, folder: Path, *more: str) -> tuple[str, str]:
        """What it said on standard output, and on the other."""
        done = self.run("export", engine, str(folder), "--port", str(self.port), *more)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    def told(self, kind: str) -> dict[str, list[dict[str, Any]]]:
        """By instance, what copies of it told, oldest first."""
        found: dict[str, list[dict[str, Any]]] = {}
        for path in sorted(self.reports.glob(f"*.{kind}*"), key=lambda each: each.stat().st_mtime_ns):
            found.setdefault(path.name.rsplit(".", 2)[0], []).append(json.loads(path.read_text()))
        return found

    def until_told(self, kind: str, *names: str) -> dict[str, dict[str, Any]]:
        """The last that each of these told; nobody else may have."""
        wanted = sorted(names)
        until(lambda: sorted(self.told(kind)) == wanted, lambda: f"told: {sorted(self.told(kind))}")
        return {name: each[-1] for name, each in self.told(kind).items()}

    def forget(self) -> None:
        for path in self.reports.iterdir():
            path.unlink()

    def under_procsup(self) -> dict[str, dict[str, Any]]:
        """What they tell when procsup itself runs them."""
        supervisor = self.start("--port", str(self.port), "--env-override")
        told = self.until_told("ready", *RUNNING)
        assert supervisor.stop() == 0
        self.forget()
        return told


def given(told: Mapping[str, Any], *own: str) -> dict[str, str]:
    """The environment, but for what a shell or a supervisor sets for its own sake; `own` are prefixes of such."""
    return {
        name: value for name, value in told["env"].items() if name not in _OWN and not (own and name.startswith(own))
    }


def until(condition: Callable[[], bool], explain: Callable[[], str] = lambda: "", patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not so within {patience} s; {explain()}"
        time.sleep(0.02)  # the pace of looking


def until_gone(pids: list[int]) -> None:
    until(lambda: not any(map(alive, pids)), lambda: f"alive: {[pid for pid in pids if alive(pid)]}")


def free_port() -> int:
    """The first of some hundreds that nobody listens on; below those that the kernel gives to whoever connects."""
    port = 20_000 + os.getpid() % 10_000
    while not all(_is_free(port + more) for more in (0, 1, 100, 200)):  # the first of three types, and a second
        port += 10
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def environment_without(names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in names}
