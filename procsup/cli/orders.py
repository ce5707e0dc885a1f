"""`procsup stop`, `restart` and `shutdown`: short orders to a running supervisor."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from procsup.cli.options import Common, Name, project_options, running_names
from procsup.errors import ProcsupError

_LAST_MOMENT = 5.0  # seconds; from another container the pid may be somebody else's, who does not end


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=Name(), shell_complete=running_names)
@project_options(app=True)
def stop(common: Common, names: tuple[str, ...]) -> None:
    """Stop types or instances, and keep them stopped.

    Returns when nothing of them is left. The formation stays as it is: `procsup start NAME` brings them back.

    \b
    Examples:
      procsup stop worker
      procsup stop worker.2
    """
    with common.connect() as client:
        report(client.call("stop", names=list(names)), "stopped")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", type=Name(), shell_complete=running_names)
@click.option("--rolling", is_flag=True, help="One at a time, each only when the one before is ready, or stays up.")
@project_options(app=True)
def restart(common: Common, names: tuple[str, ...], rolling: bool) -> None:
    """Replace types or instances by fresh copies.

    Without names: all but what was stopped by hand.

    \b
    Examples:
      procsup restart
      procsup restart web --rolling
    """
    with common.connect() as client:
        report(client.call("restart", names=list(names), rolling=rolling), "restarted")


@click.command()
@project_options(app=True)
def shutdown(common: Common) -> None:
    """Stop everything and end the supervisor.

    Returns when it is gone.

    \b
    Example:
      procsup shutdown
    """
    with common.connect() as client:
        answer: Any = client.call("shutdown")
        with until_ended(answer["pid"]):
            client.wait_until_gone()


@contextmanager
def until_ended(pid: int) -> Iterator[None]:
    """Leave only when this process has ended: its connections end a moment before it does, and its lock with it."""
    try:
        process = os.pidfd_open(pid)
    except (AttributeError, OSError):  # not on this system; or it has ended
        yield
        return
    try:
        yield
        select.select([process], [], [], _LAST_MOMENT)
    finally:
        os.close(process)


def report(answer: Any, done: str) -> None:
    """Say which instances it was done to. Raises ProcsupError if it did not come true for some."""
    failed = answer.get("failed", [])
    not_done = {each["name"] for each in failed}
    names = [name for name in answer[done] if name not in not_done]
    if names:
        click.echo(f"{done} {', '.join(names)}")
    elif not failed:
        click.echo("nothing to do: no instance of that name is in the formation (procsup scale)")
    if failed:
        raise ProcsupError(failures(failed))


def failures(failed: Any) -> str:
    """Each with its state and why, and with its last lines where they came along."""
    lines = []
    for each in failed:
        lines.append(f"{each['name']} is {each['state']}" + (f": {each['why']}" if each["why"] else ""))
        lines += [f"  {each['name']} | {line}" for line in each.get("lines", ())]
    return "\n".join(lines)
