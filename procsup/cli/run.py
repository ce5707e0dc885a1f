"""`procsup run`: one command in the app's environment, in this terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from procsup.cli.become import become
from procsup.cli.options import Common, connect_to, project_options, type_names
from procsup.cli.options import environment as our_environment
from procsup.errors import NotRunning, ProcsupError, nearest

if TYPE_CHECKING:
    from procsup.config.project import Project
    from procsup.runtime.users import User


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument(
    "command", nargs=-1, required=True, metavar="COMMAND...", type=click.UNPROCESSED, shell_complete=type_names
)
@project_options()
def run(common: Common, command: tuple[str, ...]) -> None:
    """Run one command with the app's environment.

    The terminal is its own, and its exit code is ours. A single argument that names a
    process type runs that one; any other single argument goes through the shell.

    \b
    Examples:
      procsup run python manage.py migrate
      procsup run web
      procsup run 'echo $DATABASE_URL'
    """
    from procsup.config.expand import expand_command, find_executable

    project = common.read_project()
    types = {each.name: each for each in project.types}
    argv, unique_int = command, 1
    text: str | None = None
    folder, user = project.root, None
    if len(command) == 1 and command[0] in types:
        name = command[0]
        text = types[name].command
        unique_int = _free_unique_int(project.root)
        ports = {each: project.port_of(each) for each in types}
        environment, folder, user = _as_started(
            project, name, project.instance_environment(name, 1, ports[name], unique_int, ports)
        )
        argv = expand_command(text, environment, unique_int).argv
    else:
        environment = {**project.environments.of(None), "PWD": project.root}
        if len(command) == 1:
            text = command[0]
            argv = expand_command(text, environment, unique_int).argv
    os.chdir(folder)
    try:
        executable = find_executable(argv[0], environment, folder)
        become(executable, argv, environment, user)
    except OSError as error:
        from procsup.config.shown import shown_refusal

        error.filename = argv[0]
        shown = shown_refusal(error, text, argv, environment, project.environments.secrets, unique_int)
        missing = isinstance(error, FileNotFoundError)
        failed = ProcsupError(f"{shown.filename}: {shown.strerror}" + (_near_type(command, types) if missing else ""))
        failed.exit_code = 127 if missing else 126
        raise failed from error


def _as_started(project: Project, name: str, environment: dict[str, str]) -> tuple[dict[str, str], str, User | None]:
    """What procsup.toml says of the type: its variables, its folder, its user; and its mounts are there."""
    from procsup.control.address import make_private, project_folder
    from procsup.runtime.launch import user_of, with_own_variables
    from procsup.runtime.mounts import make_mounts

    state = project_folder(our_environment(), os.geteuid(), project.root)
    try:
        user = user_of(project, name)
        if mounts := project.settings.of(name).mounts:
            make_private(state)  # no supervisor may ever have run
            make_mounts(state, name, mounts, user)
    except OSError as error:
        raise ProcsupError(f"{name}: {error.strerror}") from error
    return with_own_variables(project, name, state, environment), project.folder_of(name), user


def _near_type(command: tuple[str, ...], types: Iterable[str]) -> str:
    near = None if len(command) > 1 or command[0] in types else nearest(command[0], types)
    return f'; did you mean the process type "{near}"?' if near is not None else ""


def _free_unique_int(root: str) -> int:
    """One that no live instance has, if a supervisor of this project runs."""
    try:
        with connect_to(root) as client:
            answer = client.call("status", usage=False)
    except NotRunning:
        return 1
    instances = answer["instances"] if isinstance(answer, dict) else []
    taken = {each["unique_int"] for each in instances}
    return next(number for number in range(1, len(taken) + 2) if number not in taken)
