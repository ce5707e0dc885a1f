"""`procsup mounts`: the private folders of the process types, to see and to clear."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from procsup.cli.options import Common, environment, project_options
from procsup.errors import NotRunning, ProcsupError, UsageError, advice

if TYPE_CHECKING:
    from procsup.runtime.mounts import Mount

_AT_REST = ("stopped", "exited", "failed")  # what does not start again by itself


class _Place(NamedTuple):
    """The project, whether a supervisor runs for it or not; `users` are its instances that run or may do so soon."""

    root: str
    state: str
    users: tuple[tuple[str, str], ...]  # type and name


@click.command()
@click.option("--clear", metavar="TYPE[/NAME]", multiple=True, help="Remove what is in it; repeatable.")
@click.option("--force", is_flag=True, help="Clear it while instances of the type run.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object, for programs.")
@project_options(app=True)
def mounts(common: Common, clear: tuple[str, ...], force: bool, as_json: bool) -> None:
    """List the private folders of the process types with their sizes, or clear some.

    They are made by the key mounts in procsup.toml and kept for ever, so that of a type or
    mount which it does not name any more is listed too; when that is cleared, it is gone.

    \b
    Examples:
      procsup mounts
      procsup stop worker && procsup mounts --clear worker/scratch
      procsup mounts --clear worker --force
    """
    from procsup.runtime.mounts import all_mounts

    place = _find(common)
    found = all_mounts(place.state)
    named = _named(common, place.root)
    if clear:
        _clear(_chosen(clear, found, place.root), place, named, force)
    elif as_json:
        shown = [{**each._asdict(), "named": None if named is None else each[:2] in named} for each in found]
        click.echo(json.dumps({"root": place.root, "mounts": shown}))
    elif found:
        _show(found, named)
    else:
        click.echo(_printable(f"no process type of {place.root} has a mount"))


def _find(common: Common) -> _Place:
    from procsup.control.address import project_folder

    try:
        with common.connect() as client:
            answer: Any = client.call("status", usage=False)
            info: Any = client.info
    except NotRunning:
        if common.app is not None:
            raise
        root = common.locate().root
        return _Place(root, project_folder(environment(), os.geteuid(), root), ())
    users = [(each["type"], each["name"]) for each in answer["instances"] if each["state"] not in _AT_REST]
    return _Place(info["root"], info["state"], tuple(users))


def _named(common: Common, root: str) -> set[tuple[str, str]] | None:
    """The mounts that procsup.toml names; None where that cannot be said."""
    from procsup.config.location import STDIN

    if common.procfile == STDIN:
        return None
    try:
        project = (common if common.procfile else common.but(root=root)).read_project()
    except ProcsupError:
        return None
    return {(each.name, mount) for each in project.types for mount in project.settings.of(each.name).mounts}


def _show(found: list[Mount], named: set[tuple[str, str]] | None) -> None:
    from procsup.config.sizes import in_words

    rows = [("MOUNT", "SIZE", "PATH")]
    for each in found:
        note = "" if named is None or each[:2] in named else "  (procsup.toml does not name it)"
        hidden = "1 folder" if each.hidden == 1 else f"{each.hidden} folders"
        more = f"  (and {hidden} that cannot be read)" if each.hidden else ""
        rows.append((f"{each.type}/{each.name}", in_words(each.size), f"{each.path}{note}{more}"))
    name, size = (max(len(row[column]) for row in rows) for column in (0, 1))
    for row in rows:
        click.echo(_printable(f"{row[0]:<{name}}  {row[1]:>{size}}  {row[2]}"))


def _chosen(asked: tuple[str, ...], found: list[Mount], root: str) -> list[Mount]:
    """Each once, in the order in which they are listed."""
    chosen: set[Mount] = set()
    for name in asked:
        meant = [each for each in found if name in (each.type, f"{each.type}/{each.name}")]
        if not meant:
            raise _unknown(name, found, root)
        chosen.update(meant)
    return [each for each in found if each in chosen]


def _unknown(name: str, found: list[Mount], root: str) -> UsageError:
    mounts_ = [f"{each.type}/{each.name}" for each in found]
    types = dict.fromkeys(each.type for each in found)
    return UsageError(f'no mount "{name}" in {root}; {advice(name, mounts_, also=types, cutoff=0.5)}')


def _clear(chosen: list[Mount], place: _Place, named: set[tuple[str, str]] | None, force: bool) -> None:
    from procsup.config.sizes import in_words
    from procsup.runtime.mounts import clear, remove

    types = {each.type for each in chosen}
    busy = [name for type_, name in place.users if type_ in types]
    if busy and not force:
        stop = " ".join(dict.fromkeys(type_ for type_, _ in place.users if type_ in types))
        some = ", ".join(busy[:5]) + (", …" if len(busy) > 5 else "")
        raise ProcsupError(
            f"nothing is cleared: {some} may have files open there; first: procsup stop {stop} (or add --force)"
        )
    for each in chosen:
        try:
            clear(each)
            if named is not None and each[:2] not in named and not busy:
                remove(each)
        except OSError as error:
            what = error.filename or each.path
            raise ProcsupError(
                f"{each.type}/{each.name} is cleared in part only: {os.fsdecode(what)}: {error.strerror}; "
                "make that possible, and do it again"
            ) from error
        click.echo(f"cleared {each.type}/{each.name}: {in_words(each.size)}")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
