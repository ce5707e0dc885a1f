"""What `procsup install` makes of a project: its own unit's values, by the options and by where and who we are."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from procsup.cli.options import Common, environment, flat, working_folder
from procsup.errors import ProcsupError, UsageError

if TYPE_CHECKING:
    from pwd import struct_passwd

    from procsup.config.project import Project
    from procsup.export.own_service import OwnService

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}\Z")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
# By ProtectSystem=yes. An application that lies there has to go on writing.
_PROTECTED = ("/usr/", "/boot/", "/efi/")
# So long beyond the longest grace: who outlives SIGKILL, the last of the output, and a machine that is busy.
_SLACK = 20.0


class Choice(NamedTuple):
    """What was asked for. `start` are options for `procsup start`, as they stand on a command line."""

    user: bool
    name: str | None
    run_as: str | None
    start: tuple[str, ...]
    grace: float | None
    env_file: str | None


def service_name(name: str | None, app: str) -> str:
    """Raises UsageError for one that no unit can have."""
    chosen = name if name is not None else _NO_NAME.sub("-", app).strip("-.")[:60]
    if not _NAME.match(chosen):
        what = f"{name!r} cannot be the name of a unit" if name is not None else f"the app's name is {app!r}"
        raise UsageError(f"{what}; give one of letters, digits, -, _ and . with --name")
    return chosen


def make_service(common: Common, project: Project, choice: Choice) -> OwnService:
    """Raises UsageError for what cannot be run as it was asked for."""
    from procsup.control.address import project_folder
    from procsup.export.own_service import OwnService
    from procsup.runtime.options import Policy
    from procsup.runtime.rules import patience

    name = service_name(choice.name, project.app)
    environ = environment()
    variables = {"PATH": _path(environ, project.root)}
    folder, made = "", False
    if choice.user:
        user = None
        state = project_folder(environ, os.geteuid(), project.root)
        if "PROCSUP_STATE_DIR" in environ:
            variables["PROCSUP_STATE_DIR"] = environ["PROCSUP_STATE_DIR"]
    else:
        entry = _whom(choice.run_as, project)
        user = entry.pw_name
        made = entry.pw_uid != 0 and not _has_home(entry)
        folder = f"/var/lib/procsup-{name}" if made else ""
        if made:
            variables["PROCSUP_STATE_DIR"] = folder
        own = {"PROCSUP_STATE_DIR": folder, "HOME": entry.pw_dir}
        state = project_folder(own, entry.pw_uid, project.root)
        _refuse_users(project, entry)
    return OwnService(
        name=name,
        app=project.app,
        root=project.root,
        user=user,
        # -P: the application's folder, where it starts, may have modules by the same names as ours.
        command=(sys.executable, "-P", "-m", "procsup"),
        start=(*_files(common, project), *choice.start),
        environment=variables,
        env_file=choice.env_file,
        state=state,
        state_directory=made,
        longest_stop=patience(project, Policy(None, choice.grace)) + _SLACK,
        protect=not any(os.path.realpath(each).startswith(_PROTECTED) for each in (project.root, state)),
    )


def refuse_what_is_out_of_reach(service: OwnService) -> None:
    """Raises ProcsupError where the unit's user could not come to the application, or to procsup itself."""
    if service.user is None or os.geteuid() != 0:
        return
    import procsup
    from procsup.runtime.users import find_user, refuse_way

    user = find_user(service.user)
    if user is None:
        return
    ours = (sys.prefix, os.path.dirname(os.path.realpath(sys.executable)), os.path.dirname(procsup.__file__))
    for folder in (service.root, *ours):
        what = "the application is" if folder == service.root else "procsup itself is"
        try:
            refuse_way(folder, user, f"{what} there: let that user through, or choose another with --as")
        except OSError as error:
            raise ProcsupError(str(error.strerror)) from error


def variables_to_set(pairs: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE`, or `NAME` with the value that it has here. Raises UsageError."""
    environ, found = environment(), {}
    for pair in pairs:
        name, given, value = pair.partition("=")
        if not given and name not in environ:
            raise UsageError(
                f"--set {name}: it has no value here; give one with --set {name}=VALUE, or let sudo keep it: "
                f"sudo --preserve-env={name} …"
            )
        found[name] = value if given else environ[name]
    return found


def with_sudo(argv: Sequence[str], kept: Sequence[str]) -> str:
    """The same command line for root; `kept` are variables that it takes from here, which sudo would not hand on."""
    program, *rest = argv
    # With `python -m` it is the path of a module, which is no program.
    words = [sys.executable, "-m", "procsup"] if program.endswith("__main__.py") else [os.path.abspath(program)]
    return shlex.join(["sudo", *([f"--preserve-env={','.join(kept)}"] if kept else []), *words, *rest])


def options_for_start() -> tuple[str, ...]:
    """Those of `install` that are `start`'s, as they were given, by the command line or by a variable."""
    ctx = click.get_current_context()
    said: list[str] = []
    for each in ctx.command.params:
        if not isinstance(each, click.Option) or each.name not in _PASSED_ON:
            continue
        if ctx.get_parameter_source(each.name) is click.core.ParameterSource.DEFAULT:
            continue
        value, option = ctx.params[each.name], max(each.opts, key=len)
        if each.is_flag:
            said += [option] if value else []
        elif each.multiple:
            said += [option, ",".join(flat(value))]
        else:
            said += [option, os.path.abspath(value) if each.name == "log_dir" else str(value)]
    return tuple(said)


_PASSED_ON = frozenset(
    "port grace restart quiet history release no_watch log_dir log_size log_count syslog".split()  # noqa: SIM905
)


def _files(common: Common, project: Project) -> list[str]:
    """Which project is meant, said so that it holds from anywhere."""
    environ, cwd = environment(), working_folder()
    words = ["--root", project.root]
    if common.procfile is not None or "PROCFILE" in environ:
        words += ["--procfile", os.path.abspath(os.path.join(cwd, project.procfile))]
    if project.env_name is not None:
        words += ["--env-name", project.env_name]
    for each in flat(common.env):
        words += ["--env", os.path.abspath(os.path.join(cwd, each))]
    return [*words, "--env-override"] if common.env_override else words


def _path(environ: Mapping[str, str], root: str) -> str:
    """As it is here. A virtual environment of the application's own comes first, as if it were activated."""
    folders = [each for each in environ.get("PATH", os.defpath).split(":") if os.path.isabs(each)]
    own = f"{sys.prefix}/bin"
    if sys.prefix != sys.base_prefix and os.path.realpath(sys.prefix).startswith(f"{root.rstrip('/')}/"):
        folders.insert(0, own)
    return ":".join(dict.fromkeys(folders))


def _whom(name: str | None, project: Project) -> struct_passwd:
    """Who is named, or the owner of the application's folder."""
    import pwd

    try:
        return pwd.getpwuid(os.stat(project.root).st_uid) if name is None else pwd.getpwnam(name)
    except KeyError:
        pass
    if name is not None:
        raise UsageError(f'there is no user "{name}"; make it (useradd), or name another')
    raise UsageError(f"{project.root} belongs to user {os.stat(project.root).st_uid}, who has no name; say --as NAME")


def _has_home(entry: struct_passwd) -> bool:
    try:
        return os.stat(entry.pw_dir).st_uid == entry.pw_uid
    except OSError:
        return False


def _refuse_users(project: Project, entry: struct_passwd) -> None:
    """Raises UsageError where a type runs as somebody that the unit's user may not become."""
    for each in project.types:
        wanted = project.settings.of(each.name).user
        if wanted is not None and entry.pw_uid != 0 and wanted not in (entry.pw_name, str(entry.pw_uid)):
            place = project.settings.place(each.name, "user")
            raise UsageError(
                f'{place}: {each.name} is to run as "{wanted}", and the unit would run as {entry.pw_name}, who owns '
                f"{project.root}; only root can start others: procsup install --as root"
            )
