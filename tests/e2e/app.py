"""A person at a terminal: writes a Procfile, runs the installed command, and reads what it says.

Nothing sleeps here: the children say when they are ready, and every wait is for words in the output, with a bound.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from procsup.control.search import find_supervisor
from procsup.errors import NotRunning

PATIENCE = 20.0  # the bound of every wait; a busy machine is slow, and none of these waits is a measurement
COMMAND = (str(Path(sys.executable).with_name("procsup")),)
PROBE = shlex.join([sys.executable, "-I", str(Path(__file__).with_name("probe.py"))])  # see there


class Supervisor:
    """A running `procsup start`, and all it has said so far."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, environment: dict[str, str], **popen: Any) -> None:
        popen.setdefault("stdin", subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **popen,
        )
        self.output = b""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace")

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Wait until the output matches so many times; the last of the matches."""

        def found() -> bool:
            return len(re.findall(pattern, self.text, re.MULTILINE)) >= times

        with self._news:
            if not self._news.wait_for(found, PATIENCE):
                raise AssertionError(f"no {pattern!r} ({times} times) within {PATIENCE} s in:\n{self.text}")
        return list(re.finditer(pattern, self.text, re.MULTILINE))[times - 1]

    def probe(self, name: str = "web.1", times: int = 1) -> dict[str, Any]:
        """What the instance's copy (the first, or a later one) of `probe.py` told of itself."""
        told = json.loads(self.wait_for(rf"{re.escape(name)} +\| probe (\{{.*\}})$", times)[1])
        assert isinstance(told, dict)
        return told

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its own end, and for the end of its output."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive(), "somebody still holds procsup's output"
        return code

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.send(number)
        return self.end()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            while chunk := os.read(stream.fileno(), 65536):
                with self._news:
                    self.output += chunk
                    self._news.notify_all()


class App:
    """A project in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.environment = dict(os.environ)
        self.started: list[Supervisor] = []

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def start(self, *arguments: str, before: tuple[str, ...] = (), **popen: Any) -> Supervisor:
        supervisor = Supervisor((*before, "start", *arguments), self.folder, self.environment, **popen)
        self.started.append(supervisor)
        return supervisor

    def run(self, *arguments: str, **popen: Any) -> subprocess.CompletedProcess[str]:
        popen.setdefault("cwd", self.folder)
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,  # a command may be many steps, each with a start of a Python
            **popen,
        )

    def ok(self, *arguments: str) -> str:
        """The output of a command that has to succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"procsup {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        return json.loads(self.ok("status", "--json"))

    def ask(self, method: str, **params: object) -> Any:
        """Through the socket, without the cost of a command; for questions that are asked again and again."""
        with find_supervisor(self.environment, os.geteuid(), str(self.folder)) as client:
            return client.call(method, **params)

    def instances(self, usage: bool = False) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.ask("status", usage=usage)["instances"]}

    def until(
        self, condition: Callable[[dict[str, dict[str, Any]]], bool], usage: bool = False
    ) -> dict[str, dict[str, Any]]:
        """Ask for the status until it is so; a supervisor that was just started may not listen yet."""
        until = time.monotonic() + PATIENCE
        instances: dict[str, dict[str, Any]] = {}
        while time.monotonic() < until:
            try:
                instances = self.instances(usage)
            except NotRunning:
                assert all(each.process.poll() is None for each in self.started[-1:]), "no supervisor runs"
            else:
                if condition(instances):
                    return instances
            time.sleep(0.005)  # the pace of asking, so that the asked get to work
        raise AssertionError(f"not within {PATIENCE} s: {instances}")

    def until_running(self, *names: str) -> dict[str, dict[str, Any]]:
        """Until exactly these are there, and run."""
        wanted = dict.fromkeys(names, "running")
        return self.until(lambda found: {name: each["state"] for name, each in found.items()} == wanted)

    def clean_up(self) -> None:
        late: list[Exception] = []
        for supervisor in self.started:
            if supervisor.process.poll() is None:
                supervisor.send(signal.SIGTERM)
                supervisor.send(signal.SIGINT)
            try:
                supervisor.end()
            except (subprocess.TimeoutExpired, AssertionError) as error:
                supervisor.process.kill()
                supervisor.end()
                late.append(error)
        if late:
            raise late[0]


def alive(pid: int) -> bool:
    """Running, or at least not yet dead; a zombie is dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def children_of(pid: int) -> dict[int, str]:
    """The living children of a supervisor but its guardian: by pid, with their command line."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                command = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] not in "ZX" and b"procsup-guardian" not in command:
                found[int(name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found
