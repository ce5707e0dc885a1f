"""How each tool is told the same thing: these process types with these commands, so many of each."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from benchmarks.bench import Bench, write

# What a tool puts in the place of the number of a gate, so that each instance has its own.
PROCSUP_NUMBER = "<<UNIQUE_INT>>"
CIRCUS_NUMBER = "$(circus.wid)"

PREFIXER = Path(__file__).parent / "prefixer.c"

Argv = list[str | Path]


class Driver(Protocol):
    """The command line that makes a tool run these commands in that folder."""

    def __call__(self, bench: Bench, project: Path, commands: Mapping[str, str], /) -> Argv: ...


class Missing(Exception):
    """The tool is not there; the row says so in its place."""


def procsup(bench: Bench, project: Path, commands: Mapping[str, str], *options: str) -> Argv:
    """`procsup start` on a Procfile of these commands."""
    procfile = write(project / "Procfile", commands)
    return [_there(bench.procsup, "procsup"), "start", "-f", procfile, "-d", project, *options]


def procsup_scale(bench: Bench, project: Path, *changes: str) -> Argv:
    return [_there(bench.procsup, "procsup"), "scale", "-d", project, *changes]


def procsup_follow(bench: Bench, project: Path) -> Argv:
    """One who watches what all say, from another terminal."""
    return [_there(bench.procsup, "procsup"), "logs", "-f", "-d", project]


def honcho(bench: Bench, project: Path, commands: Mapping[str, str], *options: str) -> Argv:
    """`honcho start` on the same Procfile."""
    procfile = write(project / "Procfile", commands)
    return [_there(bench.peers.honcho, "honcho"), "-f", procfile, "-d", project, "start", *options]


def foreman(bench: Bench, project: Path, commands: Mapping[str, str]) -> Argv:
    """`foreman start` on the same Procfile."""
    procfile = write(project / "Procfile", commands)
    return [_there(bench.peers.foreman, "foreman"), "start", "-f", procfile, "-d", project]


def hivemind(bench: Bench, project: Path, commands: Mapping[str, str]) -> Argv:
    """hivemind on the same Procfile; its children have terminals."""
    procfile = write(project / "Procfile", commands)
    return [_there(bench.peers.hivemind, "hivemind"), "--root", project, procfile]


def prefixer(bench: Bench, _project: Path, commands: Mapping[str, str]) -> Argv:
    """The C program of this folder, compiled where there is a compiler."""
    program = bench.folder / "prefixer"
    if not program.exists():
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise Missing("there is no C compiler")
        subprocess.run([compiler, "-O2", "-o", program, PREFIXER], check=True, capture_output=True, timeout=60)
    return [program, *(word for named in commands.items() for word in named)]


def concurrently(bench: Bench, _project: Path, commands: Mapping[str, str]) -> Argv:
    """concurrently, names as prefixes, as in a package.json."""
    names = ",".join(commands)
    return [_there(bench.peers.concurrently, "concurrently"), "--no-color", "--names", names, *commands.values()]


def circus(bench: Bench, project: Path, commands: Mapping[str, str], count: int = 1) -> Argv:
    """circusd with one watcher each. Without StdoutStream it drops what the children say."""
    text = f"[circus]\nendpoint = {_endpoint(project)}\npubsub_endpoint = ipc://{project}/run/pub\nstatsd = False\n"
    for name, command in commands.items():
        text += (
            f"\n[watcher:{name}]\ncmd = {command}\nnumprocesses = {count}\ncopy_env = True\nwarmup_delay = 0\n"
            "stdout_stream.class = StdoutStream\nstderr_stream.class = StdoutStream\n"
        )
    return [_there(bench.peers.circusd, "circus"), "--log-level", "WARNING", write(project / "circus.ini", text)]


def circus_control(bench: Bench, project: Path, *command: str) -> Argv:
    return [_there(bench.peers.circusctl, "circus"), "--endpoint", _endpoint(project), *command]


def _endpoint(project: Path) -> str:
    return f"ipc://{project}/run/circus"


def _there(path: Path | None, name: str) -> Path:
    if path is None:
        raise Missing(f"{name} is not installed")
    return path
