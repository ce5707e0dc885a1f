"""`procsup check`: read everything, start nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from procsup.cli.expected import expectation
from procsup.cli.options import Common, project_options

if TYPE_CHECKING:
    from procsup.config.project import Project
    from procsup.config.settings_shown import Said
    from procsup.runtime.expected import Expectation


@click.command()
@click.option(
    "--expand",
    is_flag=True,
    help="Show each process with its port and its command, variables filled in, and what procsup.toml says of it.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of procsup.toml, for editors, and nothing else.")
@project_options()
def check(common: Common, expand: bool, schema: bool) -> None:
    """Check the Procfile, .env files and procsup.toml; start nothing.

    \b
    Examples:
      procsup check
      procsup check --expand -E production
    """
    if schema:
        from procsup.config.settings_schema import schema_text

        click.echo(schema_text(), nl=False)
        return
    project = common.read_project()
    for warning in project.check_warnings:
        click.echo(warning.describe("warning"), err=True)
    for text in (*project.warnings, *_why_start_would_refuse(project)):
        click.echo(f"procsup: warning: {text}", err=True)
    for text in _perhaps_meant_as_keys(project):
        click.echo(text, err=True)
    expected = expectation(project)
    files = [project.procfile, *filter(None, [project.settings.read_from])]
    are = "is" if len(files) == 1 else "are"
    click.echo(f"{' and '.join(files)} {are} valid: {', '.join(each.name for each in project.types)}")
    if expand:
        _expand(project, expected)


def _why_start_would_refuse(project: Project) -> list[str]:
    """Not errors: where it is to run, the folder may be made, the user be there, and watchfiles be installed."""
    from procsup.runtime.launch import user_of
    from procsup.runtime.options import lacking_for_watch

    found = [text] if (text := lacking_for_watch(project.settings)) else []
    for each in project.types:
        try:
            user_of(project, each.name)
        except OSError as error:
            found.append(f"{each.name} could not start here: {error.strerror}")
    return found


def _perhaps_meant_as_keys(project: Project) -> list[str]:
    """TOML has no end of a table but the next one: `count = 3` behind [env] is a variable."""
    from procsup.config.settings_keys import OF_A_TYPE, OF_THE_APP

    return [
        f'{place}: warning: {key} is a variable; if the key "{name}" is meant, write it before the table env'
        for (_, key), place in project.settings.places.items()
        for group, _, name in [key.partition(".")]
        if group == "env" and (name in OF_A_TYPE or name in OF_THE_APP)
    ]


def _expand(project: Project, expected: Expectation) -> None:
    from procsup.config.limits import explained
    from procsup.config.settings_shown import said_of_app, said_of_type
    from procsup.config.shown import shown_command

    if of_app := list(said_of_app(project)):
        click.echo("\n".join((f"{project.app} in {project.root}", *map(_line, of_app))))
    instances = {each.name: expected.of(each.name) for each in project.types}
    width = max(len(str(each.name)) for found in instances.values() for each in found)
    secrets = project.environments.secrets
    for type_ in project.types:
        for each in instances[type_.name]:
            shown = shown_command(type_.command, expected.environment(each)[0], secrets, each.unique_int)
            click.echo(f"{each.name!s:<{width}}  port {each.port}  {shown}")
        said_of_count = project.settings.place(type_.name, "count")
        count, usual = expected.counts[type_.name], project.default_counts()[type_.name]
        if count != usual:
            of_file = f", which wins over {usual} in {said_of_count}" if said_of_count else ""
            click.echo(f"    count = {count}  (kept by procsup scale{of_file})")
        elif count == 0 and not said_of_count:
            click.echo("    count = 0  (a release runs only if it is asked for)")
        for said in said_of_type(project, type_.name):
            if said.key != "count" or count == usual:
                click.echo(_line(said))
        if (limits := explained(project, type_.name)) is not None:
            click.echo(f"    limits: {limits}")


def _line(said: Said) -> str:
    return f"    {said.key} = {said.value}  ({said.place})"
