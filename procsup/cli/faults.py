"""Turns whatever goes wrong into one or two lines on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from procsup.cli.options import environment
from procsup.errors import ConfigError, ProcsupError

# Commands write to standard output and to nothing else; what does (`start`) has words of its own.
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class ReaderGone(Exception):
    """A broken pipe by a name that click does not know: it would make an exit code of 1 of it."""


@contextmanager
def reader_may_leave() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone from error


def stand_in_for_closed_streams() -> None:
    """Python has no stream where a descriptor is closed (`>&-`), and `print` then does nothing, or the wrong thing.

    What is written to ours fails, as it should. Descriptors 0 to 2 are left as they are.
    """
    if sys.stdout is None:
        sys.stdout = open(_high_descriptor(os.O_RDONLY), "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(_high_descriptor(os.O_WRONLY), "w")  # noqa: SIM115


def _high_descriptor(flags: int) -> int:
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    low = os.open(os.devnull, flags)
    try:
        return fcntl(low, F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(low)


def exit_code_of(error: BaseException) -> int:
    """Says what is wrong, where, and what to do. Raises what is not an error."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return 130
        case click.UsageError():
            _say(re.sub(r"\s*\n\s*", " ", error.format_message()).rstrip("."))  # click lists choices a line each
            if error.ctx is not None:
                _say(f"see: {error.ctx.command_path} --help")
            return 2
        case click.ClickException():
            _say(error.format_message())
            return error.exit_code
        case ConfigError():
            print(error, file=sys.stderr)  # each line says FILE:LINE:COLUMN itself
            return error.exit_code
        case ProcsupError():
            _say(str(error))
            return error.exit_code
        case BrokenPipeError() | ReaderGone():
            _drop_output()  # whoever read it has seen enough
            return 0
        case SystemExit() | GeneratorExit():
            raise error
        case _:
            return _unforeseen(error)


def _unforeseen(error: BaseException) -> int:
    if environment().get("PROCSUP_DEBUG"):
        raise error
    if isinstance(error, OSError):
        return _fault(error)
    if isinstance(error, MemoryError):
        _say("there is not enough memory for this; give it more (ulimit -v says what it may have)")
        return 1
    _say(f"this is a bug in procsup: {type(error).__name__}: {error}; PROCSUP_DEBUG=1 shows where")
    return 1


def _fault(error: OSError) -> int:
    """The system refused something, and nobody nearer knew better what to say."""
    if error.filename is None and error.errno in _OF_WRITING:
        _drop_output()
        _say(f"cannot write to standard output ({error.strerror}); send it where there is room, as in: >FILE")
        return 1
    where = f"{error.filename}: " if error.filename else ""
    _say(f"the system refuses: {where}{error.strerror or error}; PROCSUP_DEBUG=1 shows where")
    return 1


def _drop_output() -> None:
    """Python would complain once more when it closes stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    text = "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)  # it may quote
    # What begins with FILE:LINE:COLUMN (the supervisor's word on files that it read) stays so, for editors to find.
    print(text if re.match(r".+:\d+:\d+: error: ", text) else f"procsup: {text}", file=sys.stderr)
