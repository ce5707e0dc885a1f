"""`procsup upgrade`: the supervisor becomes another version of itself, and no instance notices."""

from __future__ import annotations

import os
import shutil
from typing import Any

import click

from procsup.cli.options import Common, PathText, project_options
from procsup.errors import UsageError


@click.command()
@click.option(
    "--python", metavar="PATH", type=PathText(), help="The Python to go on with; it has to have procsup installed."
)
@project_options(app=True)
def upgrade(common: Common, python: str | None) -> None:
    """Let the running supervisor become the procsup that is installed now.

    It keeps its pid; every instance keeps running, with its pid, its output, its terminal and its history. The new
    version is tried first: if it cannot take over, that is said, and nothing has changed (exit code 1). The project's
    files are not read again: that is `procsup reload`.

    \b
    Examples:
      procsup upgrade
      procsup upgrade --python /opt/python3.13/bin/python
    """
    chosen = _interpreter(python) if python is not None else None
    with common.connect() as client:
        answer: Any = client.call("upgrade", python=chosen)
    click.echo(
        f"pid {answer['pid']} was procsup {answer['before']} and is procsup {answer['version']} now, "
        f"on Python {answer['python']}"
    )


def _interpreter(given: str) -> str:
    """Its absolute path. Raises UsageError."""
    found = shutil.which(given)
    if found is None:
        raise UsageError(f"--python: {given} is not to be found, or cannot be executed")
    return os.path.abspath(found)
