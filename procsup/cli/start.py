"""`procsup start`: the supervisor in the foreground, or in the background with --detach."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from procsup.cli.options import (
    CommaList,
    Common,
    Seconds,
    connect_to,
    environment,
    flat,
    project_options,
    running_names,
)

if TYPE_CHECKING:
    from procsup.config.project import Project
    from procsup.runtime.options import RunOptions


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=running_names)
@click.option("-m", "--formation", multiple=True, metavar="NAME=N,...", help="How many of each: web=2,worker=3,all=1.")
@click.option("-c", "--concurrency", multiple=True, metavar="NAME=N,...", help="The same, by Honcho's name.")
@click.option("-p", "--port", type=click.IntRange(1, 65535), help="The first PORT; each type has the next hundred.")
@click.option(
    "-t", "--grace", type=Seconds(0), default=15.0, show_default=True, help="Seconds from SIGTERM to SIGKILL."
)
@click.option(
    "--restart",
    type=click.Choice(["always", "on-failure", "never"]),
    default="always",
    show_default=True,
    help="What comes back when it ends by itself; with never, the first failure stops the rest.",
)
@click.option("--keep-going", is_flag=True, help="With --restart never: let the others end on their own.")
@click.option("-q", "--quiet", type=CommaList(), multiple=True, metavar="NAME,...", help="Do not show their output.")
@click.option("--no-timestamps", is_flag=True, help="Lines without the time.")
@click.option("--no-prefix", is_flag=True, help="Lines as they come, with neither time nor name.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Colour by type; auto: on terminals.",
)
@click.option("--format", "format", type=click.Choice(["text", "json"]), default="text", help="json: an object a line.")
@click.option("--raw", is_flag=True, help="Let all control sequences of the processes pass to the terminal.")
@click.option("--detach", is_flag=True, help="Run in the background; returns when the formation is up.")
@project_options()
def start(
    common: Common,
    names: tuple[str, ...],
    formation: tuple[str, ...],
    concurrency: tuple[str, ...],
    port: int | None,
    quiet: tuple[tuple[str, ...], ...],
    detach: bool,
    **rest: Any,
) -> int:
    """Run all process types of the Procfile, or those named.

    Ctrl-C stops everything; a second one does so at once. If a supervisor already runs for this project, the NAMEs
    that are stopped in it are started there.

    \b
    Examples:
      procsup start
      procsup start web worker -m worker=3
      procsup start -E production --detach
    """
    if names and _started_in_a_running_one(common, names):
        return 0
    read = common.project_reader(port)
    project = read()
    options = _run_options(project, names, (*formation, *concurrency), flat(quiet), **rest)
    if detach:
        return _detach(project, read, options)
    from procsup.runtime.run import run

    return run(project, read, options, environment())


def _started_in_a_running_one(common: Common, names: tuple[str, ...]) -> bool:
    from procsup.cli.control import report
    from procsup.errors import NotRunning, UsageError

    root = common.locate().root
    try:
        client = connect_to(root)
    except NotRunning:
        return False
    with client:
        idle = _typed_options() - {"--detach"}
        if idle:
            raise UsageError(
                f"a supervisor runs for {root} already, where {', '.join(sorted(idle))} cannot be applied; "
                f"start {' '.join(names)} without, change counts with procsup scale, or shut it down first"
            )
        report(client.call("start", names=list(names)), "started")
    return True


def _typed_options() -> set[str]:
    """Those of `start` itself; what comes from variables was not meant for this call alone."""
    ctx = click.get_current_context()
    typed = click.core.ParameterSource.COMMANDLINE
    options = (each for each in ctx.command.params if isinstance(each, click.Option) and each.name is not None)
    return {
        max(each.opts, key=len)
        for each in options
        if each.name not in Common._fields and ctx.get_parameter_source(str(each.name)) is typed
    }


def _run_options(
    project: Project,
    names: tuple[str, ...],
    formation: tuple[str, ...],
    quiet: tuple[str, ...],
    grace: float,
    restart: str,
    keep_going: bool,
    no_timestamps: bool,
    no_prefix: bool,
    color: str,
    format: str,  # noqa: A002 (the option's name)
    raw: bool,
) -> RunOptions:
    from procsup.config.formation import parse_formation
    from procsup.core.model import RestartPolicy, RestartRule, StopStep, stop_plan
    from procsup.output.style import Style, choose_color
    from procsup.runtime.options import Policy, RunOptions

    for name in (*names, *(each.partition(".")[0] for each in quiet)):
        project.type(name)  # raises for a name that is not there
    terminal = os.isatty(1)
    return RunOptions(
        style=Style(
            timestamps=not no_timestamps,
            prefix=not no_prefix,
            color=choose_color(color, terminal, environment()),
            format="json" if format == "json" else "text",
            raw=raw,
            terminal=terminal,
        ),
        policy=Policy(RestartRule(RestartPolicy(restart)), stop_plan(StopStep(signal.SIGTERM, grace))),
        counts=parse_formation(formation, [each.name for each in project.types], project.procfile),
        only=names,
        quiet=frozenset(quiet),
        keep_going=keep_going,
        portable=bool(environment().get("PROCSUP_PORTABLE")),
    )


def _detach(project: Project, read: Callable[[], Project], options: RunOptions) -> int:
    """Fork; the child becomes the supervisor and says through a pipe how it went."""
    from procsup.cli.background import await_supervisor, become_background, log_path
    from procsup.runtime.inherited import prepare_descriptors

    prepare_descriptors()  # a pipe that took the place of a closed standard output would be written over
    log = log_path(project.root)
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        become_background(theirs, log, project, read, options)
    os.close(theirs)
    return await_supervisor(pid, ours, log)
