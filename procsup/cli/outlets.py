"""The options that send lines elsewhere, too: to log files, to syslog; and whether the journal takes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from procsup.cli.options import PathText, environment, working_folder

if TYPE_CHECKING:
    from procsup.output.rotation import LogFolder
    from procsup.output.style import Style
    from procsup.output.syslog_address import Receiver

    _SizeType = click.ParamType[int]
else:
    _SizeType = click.ParamType

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Size(_SizeType):
    """Bytes, as people write them: 512K, 10M, 1G; in steps of 1024, with or without "B" or "iB"."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip().upper().removesuffix("B").removesuffix("I")
        unit = text[-1:] if text[-1:] in _UNITS else ""
        number = text.removesuffix(unit)
        if not (number.isascii() and number.isdigit() and int(number)):
            self.fail(f"{value!r} is no size; write 512K, 10M or 1G.", param, ctx)
        return int(number) * _UNITS[unit]


_OPTIONS = (
    click.option(
        "--log-dir", metavar="DIR", type=PathText(), help="Also write each instance's output to DIR/web.1.log."
    ),
    click.option(
        "--log-size", metavar="SIZE", type=Size(), default="10M", show_default=True, help="Of a file in --log-dir."
    ),
    click.option(
        "--log-count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many older ones stay."
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


def chosen_folder(log_dir: str | None, log_size: int, log_count: int) -> LogFolder | None:
    """Raises UsageError for a folder that nothing can be written to."""
    if log_dir is None:
        return None
    from procsup.output.rotation import LogFolder

    folder = LogFolder(os.path.normpath(os.path.join(working_folder(), log_dir)), log_size, log_count)
    folder.prepare()
    return folder


def chosen_receiver(syslog: str | None) -> Receiver | None:
    """Raises UsageError for what is no address, or a host that nobody knows."""
    if syslog is None:
        return None
    from procsup.output.syslog_address import Receiver, read_address

    address = read_address(syslog, working_folder())
    return Receiver(address, address.resolve())


def for_journal(style: Style, app: str) -> Style:
    """The style, changed where systemd has connected our output to its journal and no other format was asked for."""
    ctx = click.get_current_context()
    named = environment().get("JOURNAL_STREAM", "")
    if not named or ctx.get_parameter_source("format") is not click.core.ParameterSource.DEFAULT:
        return style
    from procsup.output.journal import leads_to_journal

    if not leads_to_journal(named):
        return style
    return style._replace(format="journal", app=app, color=False, timestamps=False)
