"""`procsup env`: the environment that a process type gets, and where each value comes from."""

from __future__ import annotations

import click

from procsup.cli.options import Common, project_options, type_names
from procsup.errors import UsageError


@click.command()
@click.argument("name", required=False, metavar="[NAME]", shell_complete=type_names)
@click.option("--explain", metavar="KEY", help="Say where the value of KEY comes from, and what it won over.")
@project_options()
def env(common: Common, name: str | None, explain: str | None) -> None:
    """Show the environment of a type, and its origins.

    Of its instance 1, that is; without a name, that of the app. Secrets are masked.

    \b
    Examples:
      procsup env web
      procsup env --explain DATABASE_URL
    """
    from procsup.config.secrets import masked

    project = common.read_project()
    own: dict[str, str] = {}
    if name is not None:
        ports = {each.name: project.port_of(each.name) for each in project.types}
        project.type(name)
        own = project.set_by_procsup(name, 1, ports[name], 1, ports)
    values = {**project.environment.values, **own}
    secrets = project.environment.secrets
    if explain is None:
        for key, value in sorted(masked(values, secrets).items()):
            click.echo(f"{key}={value}")
        return
    if explain not in values:
        raise UsageError(f"{explain} is not set: not in the environment, not in a .env file, not by procsup")
    lines = [("procsup", own[explain])] if explain in own else []
    lines += [(origin.where, origin.value) for origin in project.environment.origin(explain)]
    for position, (where, value) in enumerate(lines):
        note = "  (wins)" if position == 0 and len(lines) > 1 else ""
        click.echo(f"{explain}={masked({explain: value}, secrets)[explain]}  from {where}{note}")
