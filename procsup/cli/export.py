"""`procsup export`: the application as another engine's files, in a folder."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

import click

from procsup.cli.options import Common, PathText, Port, environment, project_options
from procsup.errors import UsageError
from procsup.export.formats import FORMATS, WITH_IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from procsup.config.project import Project
    from procsup.export.model import App, Engine

_WIDTH = max(map(len, FORMATS))
_TABLE = "\n".join(f"  {name:<{_WIDTH}}  {what}" for name, what in FORMATS.items())
_HELP = f"""Write the application down as FORMAT's files, in DIR.

Counts, PORTs, variables, stop signals, sizes and so on are those of the project's files; no
variable of the shell comes along but PATH. What the engine cannot say is told by name.
Files of an earlier export are replaced or removed; others are left alone.

\b
{_TABLE}

\b
Examples:
  procsup export systemd units && ls units
  procsup export supervisord /etc/shop -m web=2,worker=5
  procsup export runit service -E production
  procsup export kubernetes k8s --image registry.example.com/shop:7
"""


@click.command(help=_HELP)
@click.argument("engine", metavar="FORMAT", type=click.Choice(list(FORMATS)))
@click.argument("folder", metavar="DIR", type=PathText())
@click.option("-m", "--formation", multiple=True, metavar="NAME=N,...", help="How many of each: web=2,worker=3,all=1.")
@click.option("-p", "--port", type=Port(), help="The first PORT; each type has the next hundred.")
@click.option("--app", metavar="NAME", help="The application's name in the files; else `app`, or the root's name.")
@click.option("--image", metavar="NAME", help="The container image, for compose, kubernetes and nomad.")
@click.option("--replace", is_flag=True, help="Also replace files that were changed, or that are not ours.")
@project_options()
def export(
    common: Common,
    engine: str,
    folder: str,
    formation: tuple[str, ...],
    port: int | None,
    image: str | None,
    replace: bool,
) -> None:
    from procsup.cli.exported import Exported, write_all
    from procsup.config.formation import parse_formation

    if image is not None and engine not in WITH_IMAGE:
        raise UsageError(f"{engine} runs no containers, so it has no use for --image; leave it out")
    project = common.but(env_override=True).read_project(port)
    counts = parse_formation(
        formation, [each.name for each in project.types], project.procfile, not_by_all=project.releases
    )
    # What differs from the shell is said below, in words that fit an export.
    warnings = [text for text in project.warnings if text not in project.environment.conflicts]
    if common.app is not None:
        project = project.but(app=common.app)
    taken, notes = _picture(project, counts)
    taken = taken._replace(image=image or "", folder=os.path.abspath(folder))
    found: Engine = import_module(f"procsup.export.{engine}")
    export_ = found.write(taken)
    for text in warnings:
        click.echo(f"procsup: warning: {text}", err=True)
    for text in (*notes, *export_.unsaid):
        click.echo(f"procsup: {text}", err=True)
    done = write_all(folder, Exported(engine, taken.name, taken.root), export_.files, replace)
    if done.left:
        shown = ", ".join(done.left[:5]) + (", …" if len(done.left) > 5 else "")
        click.echo(
            f"procsup: not exported any more, and still there, since others have files in it: {shown}; "
            "stop what runs from there, and remove it",
            err=True,
        )
    if not any(each.count for each in taken.types):
        click.echo(
            "procsup: nothing of this runs by itself, as every count is 0; for another formation add -m NAME=N",
            err=True,
        )
    shown = _quoted(os.path.abspath(folder))
    next_ = export_.next if done.alone or export_.beside is None else export_.beside
    next_ = export_.placed.get(os.path.realpath(folder), next_)
    click.echo(f"{taken.name} for {engine}: {done.words()} in {shown}; next: {next_.replace('{}', shown)}")


def _picture(project: Project, counts: Mapping[str, int]) -> tuple[App, tuple[str, ...]]:
    """And what a person may want to know of it."""
    from contextlib import suppress

    from procsup.control.address import project_folder
    from procsup.errors import ProcsupError
    from procsup.export.picture import Machine, counts_kept, differing, picture
    from procsup.runtime.formation_store import load
    from procsup.runtime.mounts import mount_path
    from procsup.runtime.users import own_variables, user_name

    inherited, uid = environment(), os.geteuid()
    state, kept = project_folder(inherited, uid, project.root), {}
    with suppress(ProcsupError):
        kept = load(state)
    machine = Machine(
        inherited,
        user_name(uid) if uid else None,
        lambda type_, name: mount_path(state, type_, name),
        own_variables,
    )
    taken = picture(project, counts, machine)
    return taken, (*differing(project, taken, inherited), *counts_kept(kept, taken, counts))


def _quoted(path: str) -> str:
    import shlex

    from procsup.export.shell import shown

    return shlex.quote(shown(path))
