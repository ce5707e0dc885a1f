"""`procsup start`: the supervisor in the foreground, or in the background with --detach."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from procsup.cli.look import chosen_style, look_options
from procsup.cli.options import (
    CommaList,
    Common,
    Name,
    Port,
    Seconds,
    environment,
    flat,
    project_options,
    running_names,
)
from procsup.cli.outlets import Size, chosen_folder, chosen_receiver, for_journal, outlet_options
from procsup.config.settings import DEFAULT_GRACE
from procsup.errors import AlreadyRunning, NoProcfile, NotRunning, UsageError

if TYPE_CHECKING:
    from procsup.config.project import Project
    from procsup.config.reader import ProjectReader
    from procsup.runtime.child import Window
    from procsup.runtime.options import RunOptions


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", type=Name(), shell_complete=running_names)
@click.option("-m", "--formation", multiple=True, metavar="NAME=N,...", help="How many of each: web=2,worker=3,all=1.")
@click.option("-c", "--concurrency", multiple=True, metavar="NAME=N,...", help="The same, by Honcho's name.")
@click.option("-p", "--port", type=Port(), help="The first PORT; each type has the next hundred.")
@click.option(
    "-t",
    "--grace",
    metavar="SECONDS",
    type=Seconds(0),
    help=f"Seconds from the stop signal to SIGKILL.  [default: {DEFAULT_GRACE:g}]",
)
@click.option(
    "--restart",
    type=click.Choice(["always", "on-failure", "never"]),
    help="What comes back when it ends by itself (always); with never, the first failure stops the rest.",
)
@click.option("--keep-going", is_flag=True, help="With --restart never: let the others end on their own.")
@click.option("-q", "--quiet", type=CommaList(), multiple=True, metavar="NAME,...", help="Do not show their output.")
@click.option("--tty", type=CommaList(), multiple=True, metavar="NAME,...", help="Give these a terminal each: attach.")
@click.option(
    "--focus", metavar="NAME", help="Give this terminal to one; the others' lines wait for its end, or Ctrl-]."
)
@look_options
@outlet_options
@click.option(
    "--history", type=Size(), default=256 << 10, help="How much of each one's output `logs` can show.  [default: 256K]"
)
@click.option("--no-status", is_flag=True, help="No line about everybody's state at the foot of the terminal.")
@click.option("--release", is_flag=True, help="First run the release to its end; the others start if it went well.")
@click.option("--no-watch", is_flag=True, help="Let no change of a file restart anything.")
@click.option("--detach", is_flag=True, help="Run in the background; returns when the formation is up.")
@project_options()
def start(
    common: Common,
    names: tuple[str, ...],
    formation: tuple[str, ...],
    concurrency: tuple[str, ...],
    port: int | None,
    quiet: tuple[tuple[str, ...], ...],
    tty: tuple[tuple[str, ...], ...],
    focus: str | None,
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
      procsup start --release --no-watch
      procsup start --log-dir log --log-size 50M
      procsup start --syslog udp://logs.example.com:514
    """
    if detach and focus:
        raise UsageError(
            "--focus needs the terminal that --detach leaves; give it one of its own with --tty, then attach"
        )
    if detach and os.getpid() == 1:
        raise UsageError(
            "--detach would end this container: as its first process, procsup takes all the others with it when it "
            "returns; start it in the foreground"
        )
    if names and _started_in_a_running_one(common, names):
        return 0
    from procsup.runtime.inherited import for_children

    read = common.project_reader(port, for_children(environment()))
    try:
        project = read()
    except NoProcfile:
        if common.procfile is None:
            _refuse_where_one_runs(common)
        raise
    options = _run_options(
        project, names, (*formation, *concurrency), flat(quiet), flat(tty), focus and _focused(project, focus), **rest
    )
    if detach:
        return _detach(project, read, options)
    from procsup.runtime.start import run

    options = options.but(style=for_journal(options.style, project.app))
    return run(project, read, options, environment())


def _started_in_a_running_one(common: Common, names: tuple[str, ...]) -> bool:
    from procsup.cli.orders import report

    try:
        client = common.connect()
    except NotRunning:
        return False
    with client:
        idle = _typed_options() - {"--detach"}
        if idle:
            told: Any = client.info
            raise UsageError(
                f"a supervisor runs for {told['root']} already, where {', '.join(sorted(idle))} cannot be applied; "
                f"start {' '.join(names)} without, change counts with procsup scale, or shut it down first"
            )
        report(client.call("start", names=list(names)), "started")
    return True


def _refuse_where_one_runs(common: Common) -> None:
    """It may have been started with another Procfile, or in a folder above. Raises AlreadyRunning."""
    with suppress(NotRunning), common.connect() as client:
        told: Any = client.info
        raise AlreadyRunning(
            f"a supervisor runs already for {told['root']} (pid {told['pid']}); end it with: procsup shutdown"
        )


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
    tty: tuple[str, ...],
    focus: str | None,
    grace: float | None,
    restart: str | None,
    keep_going: bool,
    history: int,
    no_status: bool,
    release: bool,
    no_watch: bool,
    log_dir: str | None,
    log_size: int,
    log_count: int,
    syslog: str | None,
    **look: Any,
) -> RunOptions:
    from procsup.config.formation import parse_formation
    from procsup.runtime.options import Policy, RunOptions, lacking_for_watch

    for name in names:
        project.type(name)  # raises for a name that is not there
    for name in (*quiet, *tty):
        _check_name(project, name)
    if not no_watch and (lacking := lacking_for_watch(project.settings)):
        raise UsageError(lacking)  # who develops would wait in vain for a restart
    quiet += tuple(each.name for each in project.types if project.settings.of(each.name).quiet)
    style = chosen_style(**look, status=not no_status)
    return RunOptions(
        style=style,
        policy=Policy(restart, grace),
        counts=parse_formation(formation, [each.name for each in project.types], project.procfile, project.releases),
        only=names,
        quiet=frozenset(quiet),
        tty=frozenset((*tty, focus) if focus else tty),
        focus=focus,
        history=history,
        window=_window(taken=1 if focus and style.status else 0),
        keep_going=keep_going,
        log_folder=chosen_folder(project, log_dir, log_size, log_count),
        syslog=chosen_receiver(project, syslog),
        release=release,
        watch=not no_watch,
        portable=bool(environment().get("PROCSUP_PORTABLE")),
    )


def _focused(project: Project, name: str) -> str:
    """The instance: of a type its first. Raises UsageError where there is no terminal to give."""
    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError("--focus needs a terminal; without one use --tty, and procsup attach from where there is one")
    _check_name(project, name)
    return name if "." in name else f"{name}.1"


def _check_name(project: Project, name: str) -> None:
    """Of a type, or of an instance of one, be it there or not. Raises UsageError."""
    type_, dot, number = name.partition(".")
    project.type(type_)
    if dot and not (number.isascii() and number.isdigit() and number[0] != "0"):
        raise UsageError(f'"{name}" is no instance; write {type_}, or {type_}.1')


def _window(taken: int) -> Window:
    """The size of our own terminal, less the rows that we keep, for those who get one of theirs."""
    from procsup.runtime.child import Window

    try:
        columns, rows = os.get_terminal_size(1)
    except OSError:
        return Window()
    return Window(rows - taken, columns) if rows > taken and columns else Window()


def _detach(project: Project, read: ProjectReader, options: RunOptions) -> int:
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
