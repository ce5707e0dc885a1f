"""`procsup exec`: a command with the environment of a running instance."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from procsup.cli.become import become
from procsup.cli.options import Common, project_options, running_names
from procsup.errors import ProcsupError

if TYPE_CHECKING:
    from procsup.runtime.users import User


@click.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("instance", shell_complete=running_names)
@click.argument("command", nargs=-1, metavar="[COMMAND]...", type=click.UNPROCESSED)
@project_options(app=True)
def exec_(common: Common, instance: str, command: tuple[str, ...]) -> None:
    """Run a command, or a shell, with an instance's environment and folder, as its user.

    It has its PORT, its number and all its variables, but is no part of it: it goes on when the instance is stopped.

    \b
    Examples:
      procsup exec worker.1
      procsup exec web.1 env
      procsup exec web.1 sh -c 'curl localhost:$PORT'
    """
    from procsup.config.expand import find_executable

    with common.connect() as client:
        answer: Any = client.call("environment", name=instance)
        owner = client.owner
    environment: dict[str, str] = answer["environment"]
    argv = command or (environment.get("SHELL") or "/bin/sh",)
    # One that is not root's own could name any user, and any program in PATH: for root it has no say in that.
    user = _user(answer["user"] if not owner else str(owner))
    os.chdir(answer["folder"])
    try:
        become(find_executable(argv[0], environment, answer["folder"]), argv, environment, user)
    except OSError as error:
        failed = ProcsupError(f"{argv[0]}: {error.strerror}")
        failed.exit_code = 127 if isinstance(error, FileNotFoundError) else 126
        raise failed from error


def _user(name: str | None) -> User | None:
    if name is None:
        return None
    from procsup.runtime.users import find_user

    try:
        return find_user(name)
    except OSError as error:
        raise ProcsupError(f"user: {error.strerror}") from error
