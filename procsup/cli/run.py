"""`procsup run`: one command in the app's environment, in this terminal."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

import click

from procsup.cli.options import Common, project_options, running_names
from procsup.errors import NotRunning, ProcsupError


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument(
    "command", nargs=-1, required=True, metavar="COMMAND...", type=click.UNPROCESSED, shell_complete=running_names
)
@project_options()
def run(common: Common, command: tuple[str, ...]) -> None:
    """Run one command with the app's environment; the terminal is its own, and its exit code is ours.

    A single argument that names a process type runs that one; any other single argument goes through the shell.

    \b
    Examples:
      procsup run python manage.py migrate
      procsup run web
      procsup run 'echo $DATABASE_URL'
    """
    from procsup.config.expand import expand_command, find_executable

    project = common.read_project()
    types = {each.name: each for each in project.types}
    argv = command
    if len(command) == 1 and command[0] in types:
        name = command[0]
        unique_int = _free_unique_int(common)
        ports = {each: project.port_of(each) for each in types}
        environment = project.instance_environment(name, 1, ports[name], unique_int, ports)
        argv = expand_command(types[name].command, environment, unique_int).argv
    else:
        environment = {**project.environment.values, "PWD": project.root}
        if len(command) == 1:
            argv = expand_command(command[0], environment, 1).argv
    os.chdir(project.root)
    try:
        executable = find_executable(argv[0], environment, project.root)
        _become(executable, argv, environment)
    except OSError as error:
        failed = ProcsupError(f"{argv[0]}: {error.strerror or error}")
        failed.exit_code = 127 if isinstance(error, FileNotFoundError) else 126
        raise failed from error


def _become(executable: str, argv: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    # Python ignores these two, and what is ignored stays so in the program that comes after.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execve(executable, argv, environment)
    except OSError as error:
        if not isinstance(error, (FileNotFoundError, PermissionError)):
            os.execve("/bin/sh", ("/bin/sh", executable, *argv[1:]), environment)  # a script without #!
        raise


def _free_unique_int(common: Common) -> int:
    """One that no live instance has, if a supervisor of this project runs."""
    try:
        with common.connect() as client:
            answer = client.call("status", usage=False)
    except NotRunning:
        return 1
    instances = answer["instances"] if isinstance(answer, dict) else []
    taken = {each["unique_int"] for each in instances}
    return next(number for number in range(1, len(taken) + 2) if number not in taken)
