"""`procsup check`: read everything, start nothing."""

from __future__ import annotations

import click

from procsup.cli.options import Common, project_options


@click.command()
@click.option("--expand", is_flag=True, help="Show each process with its port and its command, variables filled in.")
@project_options()
def check(common: Common, expand: bool) -> None:
    """Check the Procfile and .env files; start nothing.

    \b
    Examples:
      procsup check
      procsup check --expand -E production
    """
    project = common.read_project()
    for warning in project.check_warnings:
        click.echo(warning.describe("warning"), err=True)
    for text in project.warnings:
        click.echo(f"procsup: warning: {text}", err=True)
    click.echo(f"{project.procfile} is valid: {', '.join(each.name for each in project.types)}")
    if not expand:
        return
    from procsup.config.shown import shown_command

    ports = {each.name: project.port_of(each.name) for each in project.types}
    width = max(len(name) for name in ports) + 2
    for position, each in enumerate(project.types):
        environment = project.instance_environment(each.name, 1, ports[each.name], position + 1, ports)
        shown = shown_command(each.command, environment, project.environment.secrets, position + 1)
        click.echo(f"{each.name + '.1':<{width}}  port {ports[each.name]}  {shown}")
