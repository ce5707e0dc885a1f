"""The entry point: finds the command, and turns every error into one or two lines and an exit code.

Each command lives in a module of its own that is imported when it is called, so that none pays for the others.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module

import click

from procsup import __version__
from procsup.cli.options import environment, project_options, remember_common
from procsup.errors import ConfigError, ProcsupError

# In the order in which the help shows them: the module under procsup.cli that has the command of that name.
COMMANDS = {
    "start": "start",
    "scale": "scale",
    "status": "status",
    "ps": "status",
    "stop": "control",
    "restart": "control",
    "reload": "reload",
    "shutdown": "control",
    "run": "run",
    "check": "check",
    "env": "env",
    "list": "list",
    "completion": "completion",
}


class CommandsOnDemand(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = getattr(import_module(f"procsup.cli.{COMMANDS[cmd_name]}"), cmd_name)
        if not isinstance(found, click.Command):
            raise TypeError(f"procsup.cli.{COMMANDS[cmd_name]}.{cmd_name} is no command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            advice = f'did you mean "{near[0]}"?' if near else "procsup --help lists them"
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


def main() -> None:
    sys.exit(_exit_code_of_run())


def _exit_code_of_run() -> int:
    try:
        result = procsup.main(prog_name="procsup", standalone_mode=False, auto_envvar_prefix="PROCSUP")
        sys.stdout.flush()
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except click.UsageError as error:
        _say(error.format_message().rstrip("."))
        if error.ctx is not None:
            _say(f"see: {error.ctx.command_path} --help")
        return 2
    except click.ClickException as error:
        _say(error.format_message())
        return error.exit_code
    except ConfigError as error:
        print(error, file=sys.stderr)  # each line says FILE:LINE:COLUMN itself
        return error.exit_code
    except ProcsupError as error:
        _say(str(error))
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        if environment().get("PROCSUP_DEBUG"):
            raise
        _say(f"this is a bug in procsup: {type(error).__name__}: {error}; PROCSUP_DEBUG=1 shows where")
        return 1
    return result if isinstance(result, int) else 0


def _say(text: str) -> None:
    text = "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)  # it may quote
    # What begins with FILE:LINE:COLUMN (the supervisor's word on files that it read) stays so, for editors to find.
    print(text if re.match(r".+:\d+:\d+: error: ", text) else f"procsup: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
