"""How output should look: the options that `start` and `logs` share, and the style they come to."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from procsup.cli.options import environment

if TYPE_CHECKING:
    from procsup.output.style import Style

_OPTIONS = (
    click.option("--no-timestamps", is_flag=True, help="Lines without the time."),
    click.option("--no-prefix", is_flag=True, help="Lines as they come, with neither time nor name."),
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Colour by type; auto: on terminals.",
    ),
    click.option(
        "--format", "format", type=click.Choice(["text", "json"]), default="text", help="json: an object a line."
    ),
    click.option("--raw", is_flag=True, help="Let all control sequences of the processes pass to the terminal."),
)


def look_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_style(
    *,
    no_timestamps: bool,
    no_prefix: bool,
    color: str,
    format: str,  # noqa: A002 (the option's name)
    raw: bool,
    status: bool = False,
) -> Style:
    from procsup.output.style import Style, choose_color

    terminal = os.isatty(1)
    return Style(
        timestamps=not no_timestamps,
        prefix=not no_prefix,
        color=choose_color(color, terminal, environment()),
        format="json" if format == "json" else "text",
        raw=raw,
        terminal=terminal,
        status=status and terminal and format == "text" and environment().get("TERM", "dumb") != "dumb",
    )
