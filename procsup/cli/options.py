"""The options that several commands share, before or after the command, and what they come to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import update_wrapper
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from procsup.errors import ConfigError, NotRunning, ProcsupError, UsageError
from procsup.value import Value

if TYPE_CHECKING:
    from procsup.config.location import Location
    from procsup.config.project import Project, ProjectOptions
    from procsup.config.reader import ProjectReader
    from procsup.control.client import Client

Command = Callable[..., Any]


if TYPE_CHECKING:  # older versions of click have no parameters there
    _ListType = click.ParamType[tuple[str, ...]]
    _TextType = click.ParamType[str]
else:
    _ListType = _TextType = click.ParamType


class CommaList(_ListType):
    """Items between commas, repeatable; in an environment variable as well."""

    name = "list"
    envvar_list_splitter = ","

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        items = tuple(item.strip() for item in str(value).split(",") if item.strip())
        if not items:
            self.fail("it names nothing.", param, ctx)
        return items


class Seconds(click.FloatRange):
    """From 0 up; `nan` and `inf` are floats to Python, and no time to wait."""

    name = "number of seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds: float = super().convert(value, param, ctx)
        if not isfinite(seconds):
            self.fail(f"{seconds} is no number of seconds.", param, ctx)
        return seconds


class Whole(click.IntRange):
    name = "whole number"


class Port(click.IntRange):
    name = "port"

    def __init__(self) -> None:
        super().__init__(1, 65535)


class Name(_TextType):
    """Of a type or an instance, one an argument; of several in one word, or of a count, it says how to write them."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if "=" in text:
            raise UsageError(f'"{text}" is not a name; counts are for start -m and procsup scale')
        if "," in text:
            words = " ".join(each.strip() for each in text.split(",") if each.strip())
            raise UsageError(f'"{text}" is not a name; write them apart: {words or "NAME NAME"}')
        return text


class PathText(_TextType):
    """Not empty: `-f "$UNSET"` should not mean another file than was meant."""

    name = "path"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("it is empty.", param, ctx)
        return str(value)


def flat(lists: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(item for items in lists for item in items)


class Common(Value):
    """Which project is meant: what stands before the command counts where nothing stands behind it."""

    procfile: str | None = None
    root: str | None = None
    env_name: str | None = None
    env: tuple[tuple[str, ...], ...] = ()
    env_override: bool = False
    app: str | None = None

    def project_options(self, port: int | None = None) -> ProjectOptions:
        from procsup.config.project import ProjectOptions

        return ProjectOptions(self.procfile, self.root, self.env_name, flat(self.env), self.env_override, port)

    def read_project(self, port: int | None = None) -> Project:
        """Read the files once. Raises ConfigError."""
        return self.project_reader(port)()

    def project_reader(self, port: int | None = None, environ: Mapping[str, str] | None = None) -> ProjectReader:
        """Reads the files as often as it is called, from the folder where procsup was started; standard input once.

        `environ` is what the app inherits, if that is not all that we did.
        """
        from procsup.config.reader import ProjectReader

        return ProjectReader(
            self.project_options(port), environment() if environ is None else environ, working_folder()
        )

    def locate(self) -> Location:
        """The root that `start` would take. Raises ConfigError where a .env says which, and is broken."""
        from procsup.config.location import locate

        environ, cwd = environment(), working_folder()
        return locate(self.procfile, self.root, self.env_name, flat(self.env), self.env_override, environ, cwd)

    def connect(self) -> Client:
        """To the supervisor that is meant: where nothing says which, of a folder above as well. Raises NotRunning."""
        from procsup.control.search import find_supervisor

        if self.app is not None:
            return find_supervisor(environment(), os.geteuid(), "", app=self.app)
        try:
            found = self.locate()
        except ConfigError as error:  # it may run all the same, and should be possible to stop
            try:
                return find_supervisor(environment(), os.geteuid(), working_folder())
            except NotRunning:
                raise error from None
        return find_supervisor(environment(), os.geteuid(), working_folder(), found.root if found.chosen else None)


def connect_to(root: str) -> Client:
    """To the supervisor of exactly this project. Raises NotRunning."""
    from procsup.control.search import find_supervisor

    return find_supervisor(environment(), os.geteuid(), root, root)


def working_folder() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise ProcsupError(
            f"the folder that procsup was called in cannot be found ({error.strerror}); cd to the app's folder"
        ) from error


def environment() -> dict[str, str]:
    """The environment that procsup was started with; nobody else reads it."""
    return dict(os.environ)


_FILES = (
    ("-f", "--procfile", {"metavar": "FILE", "type": PathText(), "help": "The Procfile, - for standard input."}),
    ("-d", "--root", {"metavar": "DIR", "type": PathText(), "help": "The app's folder, where every process starts."}),
    ("-E", "--env-name", {"metavar": "NAME", "help": "Environment: Procfile_NAME, .env.NAME (also PROCSUP_ENV)."}),
    (
        "-e",
        "--env",
        {"metavar": "FILE", "type": CommaList(), "multiple": True, "help": "A .env file; repeatable, or a,b."},
    ),
    ("--env-override", {"is_flag": True, "help": "Let .env files win over the inherited environment."}),
)
_APP = ("--app", {"metavar": "NAME", "help": "The supervisor of the app of this name, wherever we are."})


def project_options(
    *, app: bool = False, for_group: bool = False, taken: tuple[str, ...] = ()
) -> Callable[[Command], Command]:
    """Add the common options. A command gets them as its first argument, a `Common`; the group as they are.

    `taken`: short names that mean something else in this command.
    """

    def decorate(function: Command) -> Command:
        wrapped = function if for_group else _with_common(function)
        chosen: list[Any] = [*_FILES]
        if app or for_group:
            chosen.append(_APP)
        for *names, settings in reversed(chosen):
            # PROCSUP_ENV is the environment's name, not the group's --env.
            from_variable = not (for_group and "--env" in names)
            wrapped = click.option(
                *(name for name in names if name not in taken), **settings, allow_from_autoenv=from_variable
            )(wrapped)
        return wrapped

    return decorate


def _with_common(function: Command) -> Command:
    @click.pass_context
    def command(ctx: click.Context, /, **params: Any) -> Any:
        before: Common = ctx.obj if isinstance(ctx.obj, Common) else Common()
        here = {key: params.pop(key) for key in Common._fields if key in params}
        chosen = {key: value for key, value in here.items() if value and not _typed_before(ctx, key)}
        return function(before.but(**chosen), **params)

    return update_wrapper(command, function)


def _typed_before(ctx: click.Context, key: str) -> bool:
    """Whether this option was typed before the command, and behind it comes only from a variable."""
    typed = click.core.ParameterSource.COMMANDLINE
    group = ctx.parent
    return group is not None and group.get_parameter_source(key) is typed and ctx.get_parameter_source(key) is not typed


def remember_common(ctx: click.Context, common: Mapping[str, Any]) -> None:
    ctx.obj = Common(**{key: value for key, value in common.items() if value})


# For the shell's completion


def type_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in _types(_common_so_far(ctx)) if name.startswith(incomplete)]


def running_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The types, and the instances of the supervisor that runs."""
    common = _common_so_far(ctx)
    return [name for name in (*_types(common), *_instances(common)) if name.startswith(incomplete)]


def counts_to_scale(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [f"{name}=" for name in _types(_common_so_far(ctx)) if name.startswith(incomplete)]


def _common_so_far(ctx: click.Context) -> Common:
    group = ctx.parent.params if ctx.parent is not None else {}
    typed = {key: ctx.params.get(key) or group.get(key) for key in Common._fields}
    return Common(**{key: value for key, value in typed.items() if value})


def _types(common: Common) -> list[str]:
    try:
        return [each.name for each in common.read_project().types]
    except Exception:
        return []  # a completion never complains


def _instances(common: Common) -> list[str]:
    try:
        with common.connect() as client:
            answer: Any = client.call("status", usage=False)
        return [str(each["name"]) for each in answer["instances"]]
    except Exception:
        return []
