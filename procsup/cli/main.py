"""The command line's first room: finds the command that was typed, and runs it.

Each command lives in a module of its own that is imported when it is called, so that none pays for the others.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from procsup import __version__
from procsup.cli.faults import exit_code_of, reader_may_leave, stand_in_for_closed_streams
from procsup.cli.options import project_options, remember_common
from procsup.errors import nearest

# In the order in which the help shows them: the module under procsup.cli that has the command of that name.
COMMANDS = {
    "start": "start",
    "scale": "scale",
    "status": "status",
    "ps": "status",
    "stop": "orders",
    "restart": "orders",
    "reload": "reload",
    "wait": "wait",
    "logs": "logs",
    "upgrade": "upgrade",
    "shutdown": "orders",
    "attach": "attach",
    "run": "run",
    "exec": "exec",
    "check": "check",
    "env": "env",
    "mounts": "mounts",
    "list": "list",
    "install": "install",
    "uninstall": "install",
    "export": "export",
    "completion": "completion",
}


# How a supervisor of another version calls us, when we are tried, and when we are to take its place: a promise to all.
SUCCESSION = (["--try"], ["--take-over"], ["--take-back"])


class CommandsOnDemand(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"procsup.cli.{COMMANDS[cmd_name]}")
        found = getattr(module, cmd_name, None) or getattr(module, f"{cmd_name}_")  # exec is a word of Python's
        if not isinstance(found, click.Command):
            raise TypeError(f"procsup.cli.{COMMANDS[cmd_name]}.{cmd_name} is no command")
        return found

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with reader_may_leave():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with reader_may_leave():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], COMMANDS)
            advice = f'did you mean "{near}"?' if near is not None else "procsup --help lists them"
            raise click.UsageError(f'no such command "{args[0]}"; {advice}')
        return super().resolve_command(ctx, args)


@click.group(
    cls=CommandsOnDemand, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@project_options(for_group=True)
@click.version_option(__version__, message="procsup %(version)s")
@click.pass_context
def procsup(ctx: click.Context, /, **common: object) -> None:
    """Run the processes of a Procfile, keep them running, scale them, stop them clean.

    \b
    Examples:
      procsup start                  run all of the Procfile in this terminal
      procsup scale worker=3         from another terminal: three workers
      procsup status                 what runs, and why something does not
    """
    remember_common(ctx, common)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run() -> int:
    """The command that was typed; its exit code."""
    stand_in_for_closed_streams()
    try:
        if sys.argv[1:2] in SUCCESSION:
            from procsup.cli.succession import succeed

            return succeed(*sys.argv[1:3])
        result = procsup.main(prog_name="procsup", standalone_mode=False, auto_envvar_prefix="PROCSUP")
        sys.stdout.flush()
    except BaseException as error:
        return exit_code_of(error)
    return result if isinstance(result, int) else 0
