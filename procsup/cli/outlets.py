"""The options that send lines elsewhere, too: to log files, to syslog; and whether the journal takes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from procsup.cli.options import PathText, Whole, environment, working_folder
from procsup.errors import UsageError

if TYPE_CHECKING:
    from procsup.config.project import Project
    from procsup.output.rotation import LogFolder
    from procsup.output.style import Style
    from procsup.output.syslog_address import Receiver

    _SizeType = click.ParamType[int]
else:
    _SizeType = click.ParamType


class Size(_SizeType):
    """Bytes, as people write them. A default is a number, which costs nothing before the first child."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        from procsup.config.sizes import read_size

        count = read_size(str(value))
        if count is None:
            self.fail(f"{value!r} is no size; write 512K, 10M or 1G.", param, ctx)
        return count


_OPTIONS = (
    click.option(
        "--log-dir", metavar="DIR", type=PathText(), help="Also write each instance's output to DIR/web.1.log."
    ),
    click.option(
        "--log-size",
        metavar="SIZE",
        type=Size(),
        default=10 << 20,
        help="Of a file in --log-dir.  [default: 10M]",
    ),
    click.option(
        "--log-count", metavar="N", type=Whole(1, 1000), default=5, show_default=True, help="How many older ones stay."
    ),
    click.option(
        "--syslog",
        metavar="ADDRESS",
        type=PathText(),
        help="Also send every line to syslog: unix:PATH, udp://HOST:514, tcp://HOST:PORT.",
    ),
)


def outlet_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_folder(project: Project, log_dir: str | None, log_size: int, log_count: int) -> LogFolder | None:
    """By the command line, else by procsup.toml. Raises UsageError for a folder that nothing can be written to."""
    told = project.settings
    chosen, above = (told.log_dir, project.root) if log_dir is None else (log_dir, working_folder())
    if chosen is None:
        return None
    from procsup.output.rotation import LogFolder

    size = told.log_size if told.log_size is not None and _untold("log_size") else log_size
    count = told.log_count if told.log_count is not None and _untold("log_count") else log_count
    folder = LogFolder(os.path.normpath(os.path.join(above, chosen)), size, count)
    with _told_in(project, "log_dir", log_dir is None):
        folder.prepare()
    return folder


def chosen_receiver(project: Project, syslog: str | None) -> Receiver | None:
    """By the command line, else by procsup.toml. Raises UsageError for no address, or a host that nobody knows."""
    told = project.settings.syslog
    chosen, above = (told, project.root) if syslog is None else (syslog, working_folder())
    if chosen is None:
        return None
    from procsup.output.syslog_address import Receiver, read_address

    with _told_in(project, "syslog", syslog is None):
        address = read_address(chosen, above)
        return Receiver(address, address.resolve())


def _untold(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.DEFAULT


@contextmanager
def _told_in(project: Project, key: str, in_file: bool) -> Iterator[None]:
    """What is wrong with it is said of the place where it stands."""
    try:
        yield
    except UsageError as error:
        if not in_file:
            raise
        option = f"--{key.replace('_', '-')}"
        place = project.settings.place("", key)
        raise UsageError(f"{place}: {str(error).replace(option, key, 1)}") from error


def for_journal(style: Style, app: str) -> Style:
    """The style, changed where systemd has connected our output to its journal and no other format was asked for."""
    ctx = click.get_current_context()
    named = environment().get("JOURNAL_STREAM", "")
    if not named or ctx.get_parameter_source("format") is not click.core.ParameterSource.DEFAULT:
        return style
    from procsup.output.journal import leads_to_journal

    if not leads_to_journal(named):
        return style
    return style.but(format="journal", app=app, color=False, timestamps=False)
