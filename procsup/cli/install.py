"""`procsup install` and `procsup uninstall`: this application at every boot, by systemd; and not any more."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from procsup.cli.files_of_ours import keep_ours, read_ours, remove_ours, write_ours
from procsup.cli.options import CommaList, Common, Port, Seconds, environment, flat, project_options
from procsup.cli.outlets import Size, chosen_receiver, outlet_options
from procsup.config.settings import DEFAULT_GRACE
from procsup.errors import NotRunning, ProcsupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from procsup.config.project import Project
    from procsup.control.client import Client
    from procsup.export.own_service import Installed
    from procsup.runtime.systemd.systemctl import Systemd


@click.command()
@click.option("--user", is_flag=True, help="Under a systemd of your own: needs no root.")
@click.option("--print", "only_print", is_flag=True, help="Show the unit, and do nothing.")
@click.option("--name", metavar="NAME", help="The unit is procsup-NAME.  [default: the app's name]")
@click.option("--as", "run_as", metavar="USER", help="Who runs it.  [default: the owner of the app's folder]")
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="A variable for the app, in a file that only root (with --user: you) can read; NAME alone: as it is here.",
)
@click.option("-m", "--formation", multiple=True, metavar="NAME=N,...", help="How many of each, kept as by scale.")
@click.option("-c", "--concurrency", multiple=True, metavar="NAME=N,...", help="The same, by Honcho's name.")
@click.option("-p", "--port", type=Port(), help="As in start; so are all that follow.")
@click.option(
    "-t",
    "--grace",
    metavar="SECONDS",
    type=Seconds(0),
    help=f"Seconds from the stop signal to SIGKILL.  [default: {DEFAULT_GRACE:g}]",
)
@click.option("--restart", type=click.Choice(["always", "on-failure", "never"]), help="What comes back.")
@click.option("-q", "--quiet", type=CommaList(), multiple=True, metavar="NAME,...", help="Do not log their output.")
@outlet_options
@click.option("--history", type=Size(), default=256 << 10, help="How much of each one's output `logs` can show.")
@click.option("--release", is_flag=True, help="First run the release to its end, at each start.")
@click.option("--no-watch", is_flag=True, help="Let no change of a file restart anything.")
@project_options()
def install(
    common: Common,
    user: bool,
    only_print: bool,
    name: str | None,
    run_as: str | None,
    pairs: tuple[str, ...],
    formation: tuple[str, ...],
    concurrency: tuple[str, ...],
    port: int | None,
    grace: float | None,
    quiet: tuple[tuple[str, ...], ...],
    **rest: Any,
) -> None:
    """Run this application at every boot, by systemd.

    Writes one unit, procsup-NAME, enables and starts it; waits until all is up. Once more: applies what is different
    now. procsup status, scale and all the others work as ever, for the user it runs as and for root.

    \b
    Examples:
      procsup install --print
      sudo procsup install
      sudo procsup install --as deploy -E production -m web=2,worker=3
      procsup install --user --set SECRET_KEY
    """
    from procsup.cli.service import (
        Choice,
        make_service,
        options_for_start,
        refuse_what_is_out_of_reach,
        service_name,
        variables_to_set,
    )
    from procsup.config.formation import parse_formation
    from procsup.export.own_service import environment_file, unit, unit_name
    from procsup.runtime.options import lacking_for_watch
    from procsup.runtime.systemd.systemctl import Systemd

    if user and run_as is not None:
        raise UsageError("--user runs as you are; leave --as out, or --user")
    if common.procfile == "-":
        raise UsageError("a Procfile from standard input is gone at the next boot; write it to a file")
    project = common.read_project(port)
    types = [each.name for each in project.types]
    counts = parse_formation((*formation, *concurrency), types, project.procfile, project.releases)
    for each in flat(quiet):
        project.type(each.partition(".")[0])
    if not rest["no_watch"] and (lacking := lacking_for_watch(project.settings)):
        raise UsageError(lacking)
    chosen_receiver(project, rest["syslog"])
    if rest["log_dir"] is not None and os.path.lexists(rest["log_dir"]) and not os.path.isdir(rest["log_dir"]):
        raise UsageError(f"--log-dir {rest['log_dir']}: is no folder")
    systemd = Systemd(environment(), user=user)
    variables = variables_to_set(pairs)
    env_file = f"{systemd.secrets}/{service_name(name, project.app)}.env"
    kept = bool(variables) or os.path.lexists(env_file)
    choice = Choice(user, name, run_as, options_for_start(), grace, env_file if kept else None)
    service = make_service(common, project, choice)
    text, secrets = unit(service), environment_file(variables)
    if only_print:
        click.echo(text, nl=False)
        if variables:
            click.echo(f"{env_file} would have: {', '.join(variables)}", err=True)
        return
    systemd.refuse_unless_there()
    _refuse_without_root(user, kept=[each for each in pairs if "=" not in each])
    refuse_what_is_out_of_reach(service)
    name = unit_name(service.name)
    path = f"{systemd.units}/{name}"
    _refuse_what_is_another_s(systemd, path, name, project.root)
    state = systemd.property(name, "ActiveState")
    active = state not in ("inactive", "failed")  # or on the way there, or from there
    if not active:
        _refuse_if_it_runs(project.root)
    changed = write_ours(env_file, secrets, 0o600) if variables else kept and keep_ours(env_file)
    changed = write_ours(path, text, 0o644) or changed
    systemd.do("daemon-reload")
    systemd.do("enable", "--quiet", name)
    if changed or state != "active":
        systemd.start("restart" if active and changed else "start", name)
    advice = systemd.linger() if user else None
    _report(systemd, project, name, counts, active, changed)
    if advice is not None:
        click.echo(f"until you have done this, it runs only while you are logged in: {advice}")


@click.command()
@click.option("--user", is_flag=True, help="The one under a systemd of your own.")
@click.option("--name", metavar="NAME", help="The unit procsup-NAME, wherever its application is.")
@project_options()
def uninstall(common: Common, user: bool, name: str | None) -> None:
    """Undo what install has done: stop the application, and remove its unit.

    What the application and procsup have kept (how many of each, mounts, the journal) stays, and is named.

    \b
    Examples:
      sudo procsup uninstall
      procsup uninstall --user
      sudo procsup uninstall --name shop
    """
    from procsup.control.address import SYSTEM_UNITS
    from procsup.export.own_service import PREFIX, SUFFIX
    from procsup.runtime.systemd.systemctl import Systemd

    systemd = Systemd(environment(), user=user)
    path, found = _find_installed(common, systemd, name)
    unit = os.path.basename(path)
    name = unit.removeprefix(PREFIX).removesuffix(SUFFIX)
    systemd.refuse_unless_there()
    _refuse_without_root(user)
    systemd.do("disable", "--quiet", "--now", unit)
    remove_ours(path)
    remove_ours(f"{systemd.secrets}/{name}.env")
    for folder in (systemd.secrets, *(() if user else (SYSTEM_UNITS,))):
        with suppress(OSError):  # others have something there
            os.rmdir(folder)
    systemd.do("daemon-reload")
    systemd.forget(unit)
    click.echo(f"{unit} is stopped and removed; nothing of {found.root} runs at boot any more")
    stays = [each for each in (found.state, f"{path}.d") if each and os.path.lexists(each)]
    of = "--user-unit" if user else "--unit"
    click.echo(f"what stays: {', '.join([*stays, f'the journal (journalctl {of} {unit})'])}")


def _find_installed(common: Common, systemd: Systemd, name: str | None) -> tuple[str, Installed]:
    """The unit by its name, or by the application that it runs. Raises ProcsupError where there is none of ours."""
    from procsup.export.own_service import PREFIX, SUFFIX, installed, unit_name

    if name is not None:
        path = f"{systemd.units}/{unit_name(name)}"
        if not os.path.lexists(path):
            raise ProcsupError(f"there is no {path}; {_elsewhere(systemd)}")
        if (found := installed(read_ours(path))) is None:
            raise ProcsupError(f"{path} was not written by procsup install; remove it yourself, if it has to go")
        return path, found
    root = common.locate().root
    with suppress(FileNotFoundError):
        for each in sorted(os.listdir(systemd.units)):
            if each.startswith(PREFIX) and each.endswith(SUFFIX):
                found = installed(read_ours(path := f"{systemd.units}/{each}"))
                if found is not None and found.root == root:
                    return path, found
    raise ProcsupError(f"nothing is installed for {root}; {_elsewhere(systemd)}")


def _elsewhere(systemd: Systemd) -> str:
    other = "without --user it is the system's that is meant" if systemd.user else "with --user it is yours"
    return f"look with: systemctl {'--user ' if systemd.user else ''}list-unit-files 'procsup-*' ({other})"


def _refuse_without_root(user: bool, kept: Sequence[str] = ()) -> None:
    from procsup.cli.service import with_sudo

    if not user and os.geteuid() != 0:
        again = with_sudo(sys.argv, kept)
        raise ProcsupError(f"only root can do this for the system: {again}; or for you alone: add --user")


def _refuse_what_is_another_s(systemd: Systemd, path: str, unit: str, root: str) -> None:
    from procsup.export.own_service import installed

    in_force = systemd.property(unit, "FragmentPath")
    if os.path.islink(path) or (in_force and in_force != path):
        where = os.path.realpath(path) if os.path.islink(path) else in_force
        raise ProcsupError(f"{unit} is there already, as {where}, and not from procsup; choose another with --name")
    if not os.path.lexists(path):
        return
    found = installed(read_ours(path))
    if found is None:
        raise ProcsupError(f"{path} is there already, and not from procsup; choose another name with --name")
    if found.root != root:
        raise ProcsupError(f"{unit} runs {found.root}; choose another name for {root} with --name")


def _refuse_if_it_runs(root: str) -> None:
    """Two supervisors of a project cannot be; systemd would try again and again."""
    import fcntl

    with suppress(OSError):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProcsupError(f"a supervisor runs already for {root}; end it first: procsup shutdown") from None
        finally:
            os.close(descriptor)


def _report(systemd: Systemd, project: Project, unit: str, counts: dict[str, int], active: bool, changed: bool) -> None:
    """Raises ProcsupError for what is not up."""
    failed: list[str] = []
    try:
        with _connect(project.root) as client:
            if counts:
                changes = [{"type": name, "count": count, "relative": False} for name, count in counts.items()]
                client.call("scale", changes=changes, wait=True)
            answer: Any = client.call("status", usage=False)
        failed = [f"{each['name']}: {each['why']}" for each in answer["instances"] if _is_not_up(each)]
        formation = ", ".join(f"{name}={count}" for name, count in answer["formation"].items())
    except NotRunning:
        formation = systemd.property(unit, "StatusText")
    how = "is as it was, and runs" if active and not changed else "was brought up to date" if active else "runs now"
    click.echo(f"{unit} {how}, and at every boot: {formation}")
    journal = f"journalctl {'--user-unit' if systemd.user else '--unit'} {unit}"
    click.echo(f"look with: procsup status; {journal} -f")
    if failed:
        raise ProcsupError(f"not up: {'; '.join(failed)}; it keeps trying: procsup status says why")


def _is_not_up(instance: dict[str, Any]) -> bool:
    """One that has done what it was for, or that somebody has stopped, is as it should be."""
    ended_badly = instance["state"] == "exited" and (instance["last_exit"] or {}).get("code", 0) != 0
    return ended_badly or instance["state"] in ("backoff", "failed", "starting")


def _connect(root: str) -> Client:
    from procsup.control.search import find_supervisor

    environ = environment()
    if os.geteuid() == 0:
        environ.pop("PROCSUP_STATE_DIR", None)  # ours; the system's units have none of it
    return find_supervisor(environ, os.geteuid(), root, root)
