"""`procsup env`: the environment that a process type gets, and where each value comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from procsup.cli.expected import expectation
from procsup.cli.options import Common, project_options, type_names
from procsup.errors import UsageError

if TYPE_CHECKING:
    from procsup.config.project import Project


@click.command()
@click.argument("name", required=False, metavar="[NAME]", shell_complete=type_names)
@click.option("--explain", metavar="KEY", help="Say where the value of KEY comes from, and what it won over.")
@project_options()
def env(common: Common, name: str | None, explain: str | None) -> None:
    """Show the environment of a type or instance, and its origins.

    Of a type it is that of its instance 1; without a name, that of the app. Secrets are masked.

    \b
    Examples:
      procsup env web
      procsup env web.2
      procsup env --explain DATABASE_URL
    """
    from procsup.config.secrets import masked

    project = common.read_project()
    values, ours = project.environments.of(None), frozenset[str]()
    if name is not None:
        values, ours = _of_instance(project, name)
        name = name.partition(".")[0]  # what the files know
    secrets = project.environments.secrets
    if explain is None:
        for key, value in sorted(masked(values, secrets).items()):
            click.echo(f"{key}={value}")
        return
    if explain not in values:
        click.echo(_hidden(project, name, explain))
        return
    lines = [("procsup", values[explain])] if explain in ours else []
    lines += [(origin.where, origin.value) for origin in project.environments.origin(name, explain)]
    for position, (where, value) in enumerate(lines):
        note = "  (wins)" if position == 0 and len(lines) > 1 else ""
        click.echo(f"{explain}={masked({explain: value}, secrets)[explain]}  from {where}{note}")


def _of_instance(project: Project, name: str) -> tuple[dict[str, str], frozenset[str]]:
    """Of a type, its first. Raises UsageError for a name that is not there."""
    type_, of_one, _ = name.partition(".")
    project.type(type_)
    expected = expectation(project)
    for each in expected.of(type_):
        if not of_one or str(each.name) == name:
            return expected.environment(each)
    raise UsageError(
        f"{name} is not in the formation, which has {type_}={expected.counts[type_]}; "
        f"if it runs all the same: procsup exec {name} env"
    )


def _hidden(project: Project, name: str | None, key: str) -> str:
    """Raises UsageError for what nobody has set."""
    hiding = project.settings.hiding(name, key) if name is not None else ()
    if not hiding or key not in project.environments.of(None):
        raise UsageError(
            f"{key} is not set: not in the environment, not in a .env file, not in procsup.toml, not by procsup"
        )
    belongs = f"it belongs to the relationship{'s' if len(hiding) > 1 else ''} {' and '.join(hiding)}"
    place = project.settings.place(name or "", "relationships")
    return f"{key} is hidden from {name}: {belongs}, which {name} does not list ({place})"
