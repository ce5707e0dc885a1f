"""`procsup wait`: for scripts, until it runs, or is ready; else the culprit's last words."""

from __future__ import annotations

from typing import Any

import click

from procsup.cli.options import Common, Name, Seconds, project_options, running_names
from procsup.cli.orders import failures
from procsup.errors import ProcsupError


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", type=Name(), shell_complete=running_names)
@click.option("--ready", is_flag=True, help="Until they are ready (see ready in procsup.toml); one-shots: done.")
@click.option(
    "--timeout", type=Seconds(0), default=60.0, show_default=True, metavar="SECONDS", help="Wait no longer than this."
)
@project_options(app=True)
def wait(common: Common, names: tuple[str, ...], ready: bool, timeout: float) -> None:
    """Wait until types or instances run.

    Without names: all that should run. Where that does not come true in time, or cannot any more, it says why, shows
    the last lines of who is to blame, and exits with 1; with 3 if no supervisor runs.

    \b
    Examples:
      procsup wait --ready
      procsup wait web --ready --timeout 30 && curl http://127.0.0.1:5000/
    """
    with common.connect() as client:
        answer: Any = client.call("wait", names=list(names), ready=ready, timeout=timeout)
    failed = answer["failed"]
    if not failed:
        click.echo(f"{'ready' if ready else 'running'}: {', '.join(answer['ready'])}")
        return
    logs = f"procsup logs {failed[0]['name']} shows more, procsup restart {failed[0]['name']} tries again"
    raise ProcsupError(f"{failures(failed)}\n{logs}")
