"""`procsup status` (or `ps`): what runs, and why something does not."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from procsup.cli.options import Common, project_options
from procsup.config.sizes import in_words

if TYPE_CHECKING:
    from rich.table import Table

    from procsup.control.client import Client

_COLORS = {
    "running": "green",
    "starting": "cyan",
    "stopping": "yellow",
    "backoff": "red",
    "failed": "bold red",
    "exited": "dim",
    "stopped": "dim",
}
_NUMBERS = ("PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", "PORT")
_TITLES = ("NAME", "STATE", *_NUMBERS)
_LESSER = ("RESTARTS", "CPU", "MEMORY", "PORT", "UPTIME")  # in the order in which they go where there is no room
_LEAST_WHY = 12
_REFRESH = 1.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object, for programs.")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@project_options(app=True)
def status(common: Common, as_json: bool, watch: bool) -> None:
    """Show what runs, and why something does not.

    Each instance with its state, pid, uptime, restarts, CPU, memory (of all its processes) and port.

    \b
    Examples:
      procsup status
      procsup status --watch
      procsup status --json | jq '.instances[] | select(.state != "running")'
    """
    with common.connect() as client:
        if not watch:
            _show(client.call("status"), as_json)
            return
        try:
            _watch(client, as_json)
        except KeyboardInterrupt:
            return


ps = status


def _show(answer: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=1000)  # nothing is cut off for a program or a file
    with console.capture() as captured:  # rich has its own way to end where nobody reads
        for line in _heading(answer):
            console.print(line, markup=False, emoji=False)
        console.print(_table(answer, console.width))
    click.echo(captured.get(), nl=False, color=True)  # as rich has coloured it, or not


def _watch(client: Client, as_json: bool) -> None:
    if as_json or not sys.stdout.isatty():
        while True:
            _show(client.call("status"), as_json)
            sys.stdout.flush()
            time.sleep(_REFRESH)
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(screen=False, auto_refresh=False) as live:
        while True:
            answer: Any = client.call("status")
            live.update(
                Group(*(Text(line) for line in _heading(answer)), _table(answer, live.console.width)), refresh=True
            )
            time.sleep(_REFRESH)


def _heading(answer: Any) -> list[str]:
    lines = [f"{answer['app']} in {answer['root']}, supervisor pid {answer['pid']}"]
    return [*lines, f"warning: {answer['trouble']}"] if "trouble" in answer else lines


def _table(answer: Any, width: int) -> Table:
    """Without its lesser columns where it would be too wide: half a pid is none."""
    from rich.table import Table
    from rich.text import Text

    rows = [_cells(each) for each in answer["instances"]]
    widths = {title: max([len(title), *(len(row[title]) for row in rows)]) + 1 for title in _TITLES}
    for title in _LESSER:
        if sum(widths.values()) + _LEAST_WHY > width:
            del widths[title]
    table = Table(box=None, pad_edge=False)
    for title in widths:
        table.add_column(title, justify="right" if title in _NUMBERS else "left", no_wrap=True)
    table.add_column("WHY")
    for row, each in zip(rows, answer["instances"], strict=True):
        state = Text(row["STATE"], style=_COLORS.get(row["STATE"], ""))
        shown = (state if title == "STATE" else row[title] for title in widths)
        table.add_row(*shown, Text(each["why"] or ""))
    return table


def _cells(row: Any) -> dict[str, str]:
    cpu = "-" if row["cpu"] is None else f"{row['cpu']:.1f} %"
    numbers = _or_dash(row["pid"]), _uptime(row["uptime"]), str(row["restarts"]), cpu, _memory(row)
    return dict(zip(_TITLES, (row["name"], row["state"], *numbers, _or_dash(row["port"])), strict=True))


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _uptime(seconds: float | None) -> str:
    """`42s`, `3m20s`, `2h05m`, `3d04h`."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def _memory(row: Any) -> str:
    most = (row["limits"] or {}).get("memory")
    taken = "-" if row["memory"] is None else in_words(row["memory"])
    return taken if most is None else f"{taken} of {in_words(most)}"
