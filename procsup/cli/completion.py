"""`procsup completion`: what a shell needs to complete our commands and names."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Examples:
      procsup completion bash >> ~/.bashrc
      procsup completion fish > ~/.config/fish/completions/procsup.fish
    """
    from click.shell_completion import get_completion_class

    from procsup.cli.main import procsup

    chosen = get_completion_class(shell)
    if chosen is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(chosen(procsup, {}, "procsup", "_PROCSUP_COMPLETE").source())
