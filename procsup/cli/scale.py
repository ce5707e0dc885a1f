"""`procsup scale`: the formation, to see and to change."""

from __future__ import annotations

from typing import Any

import click

from procsup.cli.options import Common, counts_to_scale, project_options
from procsup.errors import ProcsupError


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("changes", nargs=-1, metavar="[NAME=N]...", shell_complete=counts_to_scale)
@click.option("--wait", is_flag=True, help="Return only when all of it is up or gone.")
@project_options(app=True)
def scale(common: Common, changes: tuple[str, ...], wait: bool) -> None:
    """Show, set or change how many of each type run.

    Without arguments it shows the formation. What is set here is kept over restarts of the supervisor and reboots.

    \b
    Examples:
      procsup scale
      procsup scale worker=3 web=2
      procsup scale worker=+2
    """
    from procsup.config.formation import parse_scale

    parsed = [{"type": each.type, "relative": each.relative, "count": each.amount} for each in parse_scale(changes)]
    with common.connect() as client:
        if not parsed:
            formation: Any = client.call("formation")
            for name, count in formation.items():
                click.echo(f"{name}={count}")
            return
        answer: Any = client.call("scale", changes=parsed, wait=wait)
    for key, word in (("started", "starting"), ("stopped", "stopping")):
        if answer[key]:
            click.echo(f"{key if wait else word} {', '.join(answer[key])}")
    if not answer["started"] and not answer["stopped"]:
        click.echo("nothing to do: " + " ".join(f"{name}={count}" for name, count in answer["formation"].items()))
    if "warning" in answer:
        click.echo(f"procsup: warning: {answer['warning']}", err=True)
    failed = answer.get("failed", [])
    if failed:
        raise ProcsupError("\n".join(f"{each['name']} is {each['state']}: {each['why']}" for each in failed))
