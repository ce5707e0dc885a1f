"""A command as procsup may show it: with its variables filled in, and a mask in place of every secret.

Masking what came out of the expansion would be too late: there a value may have been split into words, quoted, or
grown together with what stood beside it. So the values are masked first.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Mapping, Sequence

from procsup.config.expand import Command, expand_command
from procsup.config.secrets import MASK, mask_text, masked

_STAND_IN = "ProcsupMasksThis"  # the mask itself would be a pattern, which only a shell expands


def shown_command(text: str, environment: Mapping[str, str], secrets: Sequence[str], unique_int: int) -> str:
    """The words as one could type them, or what /bin/sh is given."""
    command = _expand(text, environment, secrets, unique_int)
    line = f"{command.argv[0]}: {command.argv[2]}" if command.shell else shlex.join(command.argv)
    return mask_text(line, secrets).replace(_STAND_IN, MASK)


def shown_refusal(
    error: OSError,
    text: str | None,
    argv: Sequence[str],
    environment: Mapping[str, str],
    secrets: Sequence[str],
    unique_int: int,
) -> OSError:
    """The error for a command that could not be started, fit to be shown. `text` is None where argv was typed so."""
    reason = error.strerror or str(error)
    if error.errno == errno.E2BIG:
        reason = f"{reason}: {_longest(argv, environment)}"
    if error.filename is None:
        return OSError(error.errno, reason)
    program = argv[0] if text is None else _expand(text, environment, secrets, unique_int).argv[0]
    what = os.fsdecode(error.filename) if program == argv[0] else program
    return OSError(error.errno, reason, mask_text(what, secrets).replace(_STAND_IN, MASK))


def _expand(text: str, environment: Mapping[str, str], secrets: Sequence[str], unique_int: int) -> Command:
    command = expand_command(text, environment, unique_int)
    if command.shell:
        return command  # as it was written: the shell fills in
    values = {name: value.replace(MASK, _STAND_IN) for name, value in masked(environment, secrets).items()}
    return expand_command(text, values, unique_int)


def _longest(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """Which one to look at; Linux takes 128 KiB each, and about 2 MiB in all."""
    sizes = {name: len(os.fsencode(value)) for name, value in environment.items()}
    name = max(sizes, key=lambda each: sizes[each], default="")
    argument = max(len(os.fsencode(each)) for each in argv)
    if not name or argument > sizes[name]:
        return f"the longest argument has {argument // 1024} KiB; hand it over in a file"
    return f"the longest variable, {name}, has {sizes[name] // 1024} KiB; hand its value over in a file"
