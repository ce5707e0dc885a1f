"""What all engines have in common that run containers: an image, a network of one's own, and no machine around it.

Each copy has a PORT of its own for itself, so that all of a type may have the same; and where the engine counts the
copies, a line of shell makes procsup's numbers of what the engine counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from procsup.config.settings import Check
from procsup.errors import UsageError
from procsup.export.model import App, Mount, Type
from procsup.export.unsaid import is_text, lost_sentence

PLACEHOLDER = "registry.example.com/"
# Numbers of this size are left to each type that counts, so that it can grow without meeting the next one's.
BLOCK = 1000
_MOUNTS = "/mnt"
_NAME = re.compile(r"[A-Za-z_][-._A-Za-z0-9]*\Z")  # every engine's idea of a variable's name allows these
_UNIQUE_INT = re.compile(r"<<UNIQUE_INT>>|\{\{UNIQUE_INT\}\}")
_COUNTS = re.compile(r"\$\{?(PROCSUP_INSTANCE|PROCSUP_UNIQUE_INT|PS)\b")
_LISTENS = re.compile(r"\$\{?PORT\b")
_LOOPBACK = re.compile(r"\b127\.0\.0\.1\b|\blocalhost\b|\[::1\]")
_BECOMES = re.compile(r"\bexec\b")


class Contents(NamedTuple):
    """The variables of a type's containers, those of procsup among them, but for what differs between the copies.

    `lost` are names of those that no container can have.
    """

    plain: dict[str, str]
    secret: dict[str, str]
    lost: tuple[str, ...]


def image_of(app: App) -> str:
    """Raises UsageError for a name that is no text."""
    _check("the image", app.image)
    return app.image or f"{PLACEHOLDER}{app.slug}:latest"


def contents(app: App, of: Type) -> Contents:
    own = {**app.type_ports, "PORT": str(of.port), **{each.variable: mount_point(each) for each in of.mounts}}
    lost = [name for name, value in of.env.all.items() if not (_NAME.match(name) and is_text(value))]

    def left(values: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if name not in lost and name not in own}

    return Contents({**left(of.env.plain), **own}, left(of.env.secret), tuple(sorted(lost)))


def mount_point(mount: Mount) -> str:
    """Where it is inside."""
    return f"{_MOUNTS}/{mount.name}"


def run_at_once(app: App) -> tuple[Type, ...]:
    """Where nothing goes on for ever: a release is run when somebody says so, unless there is nothing else."""
    return tuple(of for of in app.types if not of.release) or app.types


def folder_elsewhere(of: Type) -> str | None:
    """Where it starts, if that is not below the app's root. Raises UsageError where that cannot be said."""
    if of.subfolder is not None:
        return None
    _check(f"the folder of {of.name}", of.cwd)
    return of.cwd


def _check(what: str, text: str) -> None:
    if not is_text(text):
        raise UsageError(f"{what} is no UTF-8 text, and cannot be written down; give it another name")


def serves(of: Type) -> bool:
    """Whether somebody may want to connect to it."""
    told = of.live is not None or asked(of) is not None or of.socket is not None
    return of.name == "web" or told or bool(_LISTENS.search(of.command.text))


def asked(of: Type) -> Check | None:
    """The port or page that answers when it is ready; what else says so, nobody finds out from outside."""
    return of.ready if of.ready is not None and of.ready.kind in {"port", "http"} else None


def duration(number: float) -> str:
    """Of seconds: `15s`, or `2500ms`."""
    return f"{math.ceil(number * 1000)}ms" if number != math.floor(number) else f"{number:.0f}s"


def counts(of: Type) -> bool:
    """Whether its command tells the copies from each other by a number."""
    return of.command.numbered or bool(_COUNTS.search(of.command.text))


def first_numbers(app: App) -> dict[str, int]:
    """For each type that counts, the UNIQUE_INT of its first copy."""
    counting = [of.name for of in app.types if counts(of)]
    return {name: 1 + BLOCK * place for place, name in enumerate(counting)}


def argv(of: Type, unique_int: int | None = None) -> tuple[str, ...]:
    """What to execute, where the engine has no numbers, or gives each copy an entry of its own."""
    found = of.command.argv(of.first.unique_int if unique_int is None else unique_int)
    if not of.subfolder:
        return found
    # The image's own folder is not known here; what is known is the way from there.
    return ("/bin/sh", "-c", 'cd "$0" && exec "$@"', of.subfolder, *found)


def counted_argv(of: Type, index: str, first: int, apart: re.Pattern[str] | None = None) -> tuple[str, ...]:
    """What to execute where the engine counts the copies from 0: `index` is what a shell calls the number.

    The command is put together by the shell from its parts as they are; nothing in them is looked at. `apart` matches
    what an engine would not leave alone within one argument: it is cut after its first letter.
    """
    folder = 'cd "$0" && ' if of.subfolder else ""
    script = (
        f"i=$(({index} + 1)); export PROCSUP_INSTANCE=$i PROCSUP_UNIQUE_INT=$((i + {first - 1})) PS={of.name}.$i; "
        "c=; for p do case $p in n*) c=$c$PROCSUP_UNIQUE_INT;; esac; c=$c${p#?}; done; "
        f'{folder}exec /bin/sh -c "$c"'
    )
    return ("/bin/sh", "-c", script, of.subfolder or "sh", *_parts(of, apart))


def apart_argv(of: Type, apart: re.Pattern[str], unique_int: int) -> tuple[str, ...]:
    """As `argv`, for an engine that would not leave all of its arguments alone."""
    found = argv(of, unique_int)
    if not any(apart.search(each) for each in found):
        return found
    folder = 'cd "$0" && ' if of.subfolder else ""
    script = f'c=; for p do c=$c$p; done; {folder}exec /bin/sh -c "$c"'
    return ("/bin/sh", "-c", script, of.subfolder or "sh", *_cut(of.command.for_shell(unique_int), apart))


def _parts(of: Type, apart: re.Pattern[str] | None) -> Iterator[str]:
    """Each with a letter in front: n where the number comes before it."""
    pieces = _UNIQUE_INT.split(f"exec {of.command.text}" if of.command.simple else of.command.text)
    for place, piece in enumerate(pieces):
        first, *rest = _cut(piece, apart) if apart is not None else [piece]
        yield f"{'n' if place else '-'}{first}"
        yield from (f"-{each}" for each in rest)


def _cut(text: str, apart: re.Pattern[str]) -> list[str]:
    places = [0, *(found.start() + 1 for found in apart.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


def sentences(app: App, engine: str) -> Iterator[str]:
    """What a person has to know of every export to containers."""
    if not app.image:
        yield f"the image {image_of(app)} is a placeholder: name yours with --image"
    lost: dict[str, list[str]] = {}
    for of in app.types:
        for name in contents(app, of).lost:
            lost.setdefault(name, []).append(of.name)
    yield from (
        lost_sentence(name, types, f"{engine} cannot have its name or its bytes") for name, types in lost.items()
    )
    for of in app.types:
        if of.command.secret:
            yield f"{of.name}: its command has a secret in it, which {engine} shows; let it be a variable of .env"
        if not of.command.simple and not _BECOMES.search(of.command.text):
            yield (
                f"{of.name}: its command keeps a shell, which alone hears the stop signal in a container, and as its "
                "first process may not even end by it; let the shell become the program, with exec"
            )
        if serves(of) and _LOOPBACK.search(of.command.text):
            yield f"{of.name}: in a container nobody reaches 127.0.0.1 from outside; let it listen on 0.0.0.0"
        if of.socket is not None:
            yield (
                f"{of.name}: its socket {of.socket.address} is left out: {engine} hands none over, so it has to listen "
                "on $PORT itself"
            )
        if of.subfolder is None:
            yield f"{of.name}: starts in {of.cwd}, which the image has to have"
