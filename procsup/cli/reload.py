"""`procsup reload`: apply what changed in the files, and nothing else."""

from __future__ import annotations

from typing import Any

import click

from procsup.cli.options import Common, project_options
from procsup.cli.orders import failures
from procsup.errors import ProcsupError


@click.command()
@click.option("--plan", is_flag=True, help="Only say what would be done.")
@project_options(app=True)
def reload(common: Common, plan: bool) -> None:
    """Apply what changed in the files, and nothing else.

    Reads the Procfile, the .env files and procsup.toml again; restarts what changed, starts what is new, stops what is
    gone. A file with mistakes in it changes nothing (exit code 2). Types with a socket are replaced one by one, as
    with restart --rolling.

    \b
    Examples:
      procsup reload --plan
      procsup reload
    """
    with common.connect() as client:
        answer: Any = client.call("reload", plan=plan)
    marks = {"keep": " ", "restart": "~", "start": "+", "stop": "-"}
    for step in answer["plan"]:
        click.echo(f"{marks[step['action']]} {step['action']:<8} {step['instance']}  ({step['why']})")
    if answer.get("failed"):
        raise ProcsupError(failures(answer["failed"]))
    if plan:
        kept = all(step["action"] == "keep" for step in answer["plan"])
        would = "would start, stop and restart nothing" if kept else "does it"
        click.echo(f"nothing was changed; procsup reload {would}")
