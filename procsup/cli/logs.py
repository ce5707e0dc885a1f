"""`procsup logs`: what the instances said lately, and what they say from now on."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from procsup.cli.look import chosen_style, look_options
from procsup.cli.options import Common, Name, Whole, project_options, running_names
from procsup.errors import NotRunning, ProcsupError, UsageError

if TYPE_CHECKING:
    from procsup.control.client import Client

DEFAULT_LINES = 100
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", type=Name(), shell_complete=running_names)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C or the supervisor's end.")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    type=Whole(0),
    help=f"The last so many lines of all together; {DEFAULT_LINES} without --since.",
)
@click.option("--since", metavar="WHEN", help="Only what came since: 10m, 2h, 13:45, 2026-01-31T13:45:00.")
@look_options
@project_options(app=True, taken=("-f",))
def logs(
    common: Common,
    names: tuple[str, ...],
    follow: bool,
    lines: int | None,
    since: str | None,
    **look: Any,
) -> None:
    """Show what types or instances said lately, in the order in which it came.

    What an instance said is kept in the supervisor's memory (the last 256 KiB of each, see `start --history`), over
    its restarts and after its end.

    \b
    Examples:
      procsup logs
      procsup logs worker.2 -n 20
      procsup logs web -f --since 10m
    """
    from procsup.control.client import SupervisorGone
    from procsup.output.replay import replay

    moment = None if since is None else parse_moment(since, time.time())
    if lines is None and since is None:
        lines = DEFAULT_LINES
    with _connected(common) as client:
        known: Any = client.call("status", usage=False)
        client.begin("logs", names=list(names), lines=lines, since=moment, follow=follow, raw=True)
        try:
            replay(
                client, chosen_style(**look), [each["name"] for each in known["instances"]], list(known["formation"])
            )
        except SupervisorGone:
            raise ProcsupError(
                "the supervisor was killed, or has cut this reader off because it read nothing for a while; "
                "to go on: procsup logs -f -n 0"
            ) from None


def _connected(common: Common) -> Client:
    try:
        return common.connect()
    except NotRunning as error:
        from procsup.cli.background import log_path

        path = log_path(common.locate().root)
        if common.app is not None or not os.path.exists(path):
            raise
        raise NotRunning(f"{error}\nwhat the last one in the background said is in {path}") from None


def parse_moment(text: str, now: float) -> float:
    """`10m` ago, or a time of today (or yesterday, if it is still to come), or a date; in seconds since the epoch."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text):
        return max(0.0, now - float(match[1]) * _UNITS[match[2]])  # a number without bounds is none in JSON
    try:
        if match := re.fullmatch(r"(\d\d?):(\d\d)(?::(\d\d))?", text):
            hour, minute, second = (int(part or 0) for part in match.groups())
            moment = datetime.fromtimestamp(now).replace(hour=hour, minute=minute, second=second, microsecond=0)
            seconds = moment.timestamp()
            return seconds if seconds <= now else seconds - 86400
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise UsageError(
            f'"{text}" is no moment; say how long ago (30s, 10m, 2h, 1d), a time (13:45), or a date (2026-01-31T13:45)'
        ) from None
