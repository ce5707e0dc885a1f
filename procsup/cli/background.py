"""The two ends of `start --detach`: the supervisor in the background, and the command that waits until it is up."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import NoReturn

import click

from procsup.cli.options import environment
from procsup.config.project import Project
from procsup.config.reader import ProjectReader
from procsup.control.address import make_private, project_folder
from procsup.errors import ProcsupError
from procsup.runtime.inherited import descriptors_in_use
from procsup.runtime.options import RunOptions
from procsup.runtime.start import run


def log_path(root: str) -> str:
    folder = project_folder(environment(), os.geteuid(), root)
    make_private(folder)
    return os.path.join(folder, "output.log")


def become_background(report: int, log: str, project: Project, read: ProjectReader, options: RunOptions) -> NoReturn:
    """In the child: a session of its own, no terminal, and the log as its output."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):  # whoever waits for the end of our terminal's or pipe's output waits for us no longer
        os.dup2(output, descriptor)
    for descriptor in descriptors_in_use():  # nor for a lock, or a pipe that we were started with
        if descriptor not in (0, 1, 2, report):
            with suppress(OSError):
                os.close(descriptor)
    code = 1
    said = False

    def say(**words: object) -> None:
        nonlocal said
        if not said:
            said = True
            os.write(report, json.dumps(words).encode() + b"\n")
            os.close(report)

    def up(failed: list[str], *, over: bool) -> None:
        say(failed=failed, over=over)

    try:
        style = options.style.but(color=False, terminal=False)
        code = run(project, read, options.but(style=style, log=log, on_up=up), environment())
        say(failed=[], over=True)
    except ProcsupError as error:
        code = error.exit_code
        say(error=str(error), exit_code=code)
    except BaseException as error:
        say(error=f"this is a bug in procsup: {type(error).__name__}: {error}", exit_code=1)
    os._exit(code)


def await_supervisor(pid: int, report: int, log: str) -> int:
    """In the command: wait for the word of the child, and pass it on."""
    try:
        with open(report, "rb") as file:
            line = file.readline()
    except KeyboardInterrupt:  # at the command, which only waits; the supervisor has left its terminal
        print(f"\nprocsup goes on in the background, pid {pid}; procsup shutdown ends it", file=sys.stderr)
        raise
    if not line:
        raise ProcsupError(f"the supervisor ended before it was up; what it said is in {log}")
    words = json.loads(line)
    if "error" in words:
        print(f"procsup: {words['error']}", file=sys.stderr)
        return int(words["exit_code"])
    failed = "; ".join(words["failed"])
    if words["over"]:
        if failed:
            raise ProcsupError(f"all has ended: {failed}; the output is in {log}")
        click.echo(f"all has ended; the output is in {log}")
        return 0
    click.echo(f"procsup runs in the background, pid {pid}; procsup logs -f shows its output, which also goes to {log}")
    if failed:
        raise ProcsupError(f"not up: {failed}; it keeps trying: procsup status says why, procsup shutdown ends it")
    return 0
