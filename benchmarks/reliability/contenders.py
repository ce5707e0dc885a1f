"""How each tool is told the same thing, set up for the job as its own documentation recommends it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks import procfs
from benchmarks.bench import write
from benchmarks.reliability.stage import GRACE, Running, Stage

Argv = list[str | Path]


class Tool(Protocol):
    """What a scenario may ask of a tool. `restarts`: whether it replaces what ends."""

    @property
    def name(self) -> str: ...

    @property
    def restarts(self) -> bool: ...

    @property
    def setup(self) -> str:
        """How it was set up, for the page."""
        ...

    def prepare(
        self,
        stage: Stage,
        commands: Mapping[str, str],
        *,
        count: int = 1,
        grace: float = GRACE,
        console: bool = False,
        settings: Mapping[str, object] | None = None,
    ) -> Argv:
        """Write its files, `count` copies of each command; the command line that starts it in the foreground.

        With `console`, what the children say goes to its own stdout. `settings` are for supervisord's own section.
        """
        ...

    def lines(self, stage: Stage, run: Running, name: str) -> list[bytes]:
        """What that child said, line by line, without what the tool put before it."""
        ...

    def status(self, stage: Stage) -> Argv | None:
        """Its command that tells the state of all; None: it has none."""
        ...

    def running(self, stage: Stage) -> int | None:
        """How many run, by its own word."""
        ...

    def reload(self, stage: Stage) -> Argv | None: ...

    def sockets(self, stage: Stage) -> list[Path]: ...

    def saw_end(self, run: Running, name: str) -> bool:
        """Whether it has told that this one ended."""
        ...

    def own(self, run: Running) -> list[int]:
        """The processes that are the tool itself."""
        ...


@dataclass(frozen=True)
class Procsup:
    program: Path
    name: str = "procsup"
    restarts: bool = True
    setup: str = f"`start --grace {GRACE}`; `start --detach` for the row of the log file"

    def prepare(
        self,
        stage: Stage,
        commands: Mapping[str, str],
        *,
        count: int = 1,
        grace: float = GRACE,
        console: bool = False,  # noqa: ARG002  it always does
        settings: Mapping[str, object] | None = None,  # noqa: ARG002
    ) -> Argv:
        write(stage.folder / "Procfile", commands)
        return [self.program, "start", "-t", str(grace), *(["-m", f"all={count}"] if count > 1 else [])]

    def lines(self, stage: Stage, run: Running, name: str) -> list[bytes]:  # noqa: ARG002
        return _labelled(run.said, name)

    def status(self, stage: Stage) -> Argv:  # noqa: ARG002
        return [self.program, "status"]

    def running(self, stage: Stage) -> int:
        told = json.loads(stage.ask([self.program, "status", "--json"]).stdout)
        return sum(each["state"] == "running" for each in told["instances"])

    def reload(self, stage: Stage) -> Argv:  # noqa: ARG002
        return [self.program, "reload"]

    def sockets(self, stage: Stage) -> list[Path]:
        return list(stage.folder.rglob("*.sock"))

    def saw_end(self, run: Running, name: str) -> bool:
        return f"{name}.1 ended".encode() in run.said

    def own(self, run: Running) -> list[int]:
        guardians = [pid for pid in procfs.children(run.pid) if b"procsup-guardian" in procfs.command_line(pid)]
        return [run.pid, *guardians]


@dataclass(frozen=True)
class Honcho:
    program: Path
    name: str = "honcho"
    restarts: bool = False
    setup: str = "`honcho start`; its grace is 5 s, fixed, and begins when a first child has ended"

    def prepare(
        self,
        stage: Stage,
        commands: Mapping[str, str],
        *,
        count: int = 1,
        grace: float = GRACE,  # noqa: ARG002
        console: bool = False,  # noqa: ARG002
        settings: Mapping[str, object] | None = None,  # noqa: ARG002
    ) -> Argv:
        write(stage.folder / "Procfile", commands)
        return [self.program, "start", *(["-c", ",".join(f"{name}={count}" for name in commands)] if count > 1 else [])]

    def lines(self, stage: Stage, run: Running, name: str) -> list[bytes]:  # noqa: ARG002
        return _labelled(run.said, name)

    def status(self, stage: Stage) -> None:  # noqa: ARG002
        return None

    def running(self, stage: Stage) -> None:  # noqa: ARG002
        return None

    def reload(self, stage: Stage) -> None:  # noqa: ARG002
        return None

    def sockets(self, stage: Stage) -> list[Path]:  # noqa: ARG002
        return []

    def saw_end(self, run: Running, name: str) -> bool:
        return f"{name}.1 stopped".encode() in run.said

    def own(self, run: Running) -> list[int]:
        return [run.pid, *procfs.children(run.pid)]


@dataclass(frozen=True)
class Supervisord:
    program: Path
    control: Path
    name: str = "supervisord"
    restarts: bool = True
    setup: str = (
        f"nodaemon=true, autorestart=true, stopasgroup=true, killasgroup=true, stopwaitsecs={GRACE}, a log file "
        "for each program without rotation, a unix_http_server, minfds and minprocs as the row needs them; "
        "stdout_logfile=/dev/stdout, as in containers, for the rows about its own stdout and for the terminal"
    )

    def prepare(
        self,
        stage: Stage,
        commands: Mapping[str, str],
        *,
        count: int = 1,
        grace: float = GRACE,
        console: bool = False,
        settings: Mapping[str, object] | None = None,
    ) -> Argv:
        folder = stage.folder
        own = {
            "nodaemon": "true",
            "user": "root" if os.geteuid() == 0 else None,
            "logfile": "/dev/null" if console else folder / "supervisord.log",
            "logfile_maxbytes": 0,
            "pidfile": folder / "supervisord.pid",
            "minfds": max(1024, 5 * count * len(commands)),
            **(settings or {}),
        }
        if own["user"] is None:
            del own["user"]
        text = "[supervisord]\n" + _section(own)
        text += f"[unix_http_server]\nfile={folder}/run/s.sock\n[supervisorctl]\nserverurl=unix://{folder}/run/s.sock\n"
        text += "[rpcinterface:supervisor]\n"
        text += "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        for name, command in commands.items():
            program: dict[str, object] = {
                "command": command,
                "directory": folder,
                "autorestart": "true",
                "stopasgroup": "true",
                "killasgroup": "true",
                "stopwaitsecs": grace,
                "stdout_logfile": "/dev/stdout" if console else folder / f"{name}.out",
                "stdout_logfile_maxbytes": 0,
                "redirect_stderr": "true",
            }
            if count > 1:
                program |= {
                    "numprocs": count,
                    "process_name": "%(program_name)s_%(process_num)d",
                    "stdout_logfile": "/dev/stdout" if console else f"{folder}/{name}_%(process_num)d.out",
                }
            text += f"[program:{name}]\n" + _section(program)
        return [self.program, "-c", write(folder / "supervisord.conf", text)]

    def lines(self, stage: Stage, run: Running, name: str) -> list[bytes]:
        path = stage.folder / f"{name}.out"
        return (path.read_bytes() if path.exists() else run.said).split(b"\n")

    def status(self, stage: Stage) -> Argv:
        return [self.control, "-c", stage.folder / "supervisord.conf", "status"]

    def running(self, stage: Stage) -> int:
        return stage.ask(self.status(stage)).stdout.count(" RUNNING ")

    def reload(self, stage: Stage) -> Argv:
        return [self.control, "-c", stage.folder / "supervisord.conf", "update"]

    def sockets(self, stage: Stage) -> list[Path]:
        return [stage.folder / "run/s.sock"]

    def saw_end(self, run: Running, name: str) -> bool:
        return f"exited: {name} ".encode() in run.said

    def own(self, run: Running) -> list[int]:
        return [run.pid]


def _section(values: Mapping[str, object]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _labelled(output: bytes, name: str) -> list[bytes]:
    mine = re.compile(rb"^\S+ " + name.encode() + rb"\.\d+ *\| ")
    return [line[found.end() :] for line in output.split(b"\n") if (found := mine.match(line))]
