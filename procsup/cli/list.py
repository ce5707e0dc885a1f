"""`procsup list`: the supervisors that run for this user."""

from __future__ import annotations

import os

import click

from procsup.cli.options import environment


@click.command()
def list() -> None:  # noqa: A001 (the command's name)
    """List the supervisors that run for this user.

    Each with its app, pid and root.

    \b
    Example:
      procsup list
    """
    from procsup.control.search import list_running

    for each in sorted(list_running(environment(), os.geteuid()), key=lambda info: str(info.get("root"))):
        if "why" in each:
            click.echo(f"{each['socket']}: {each['why']}", err=True)
        else:
            click.echo(f"{each['app']}  pid {each['pid']}  {each['root']}")
