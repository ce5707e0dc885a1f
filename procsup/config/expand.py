"""Decides how a command is run: by itself, or by /bin/sh, and finds the program as the shell would.

A command run by itself is one process instead of two (Debian's `sh -c` stays beside what it started), and signals
reach it directly. It is done only where the program gets the argv that the shell would give it. Values never become
text that a shell reads: what goes to the shell goes as it was written, and the shell expands it.

A program that is a script without a `#!` line fails with ENOEXEC when run by itself; whoever starts it then runs
/bin/sh with the script, as the shell would have done.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping

from procsup.config.shellwords import evaluate
from procsup.value import Value

SHELL = "/bin/sh"

# Words that some shell does not look up in PATH: reserved words and the builtins of dash, bash, ksh, zsh and busybox.
# Where a program of that name exists too (echo, test, kill) the builtin differs from it. ksh93's `sleep` does not,
# and the commonest stand-in for a worker should not cost a shell.
_WORDS = (
    ". : [ [[ ]] ! { } alias autoload bg bind break builtin bye caller case cd chdir command compgen complete compopt"
    " continue coproc declare dirs disable disown do done echo elif else emulate enable end esac eval exec exit export"
    " false fc fg fi float for foreach function functions getln getopts global hash help hist history if in integer"
    " jobs kill let limit local log logout mapfile nameref newgrp nocorrect noglob popd print printf pushd pushln pwd"
    " r read readarray readonly realpath rehash rename repeat return sched select set setopt shift shopt source"
    " stop suspend test then time times trap true ttyctl type typeset ulimit umask unalias unfunction unhash unlimit"
    " unset unsetopt until vared wait whence where which while zcompile zmodload"
)
_SHELL_WORDS = frozenset(_WORDS.split())

# Variables that change how a shell reads the whole command.
_STEERING = ("IFS", "SHELLOPTS", "BASHOPTS", "BASH_COMPAT")
_EXPORTED_FUNCTION = "BASH_FUNC_"  # bash takes these as commands


class Command(Value):
    """argv as handed to exec; `shell` says that it is /bin/sh with the text of the command."""

    argv: tuple[str, ...]
    shell: bool


def substitute_unique_int(text: str, unique_int: int) -> str:
    """Ours and Cloud 66's spelling. The only text ever put into a command, and always digits."""
    digits = str(int(unique_int))
    return text.replace("<<UNIQUE_INT>>", digits).replace("{{UNIQUE_INT}}", digits)


def expand_command(text: str, env: Mapping[str, str], unique_int: int) -> Command:
    """What to exec for this command in this environment, which must be the whole one the instance gets."""
    text = substitute_unique_int(text, unique_int)
    words = None if _steered(env) else evaluate(text, env)
    if not words or not words[0] or "=" in words[0] or words[0] in _SHELL_WORDS:
        return Command((SHELL, "-c", text), True)
    return Command(tuple(words), False)


def _steered(env: Mapping[str, str]) -> bool:
    path = env.get("PATH")
    if path is None or "%" in path:  # each shell has its own default; dash reads %func in it
        return True
    return any(name in env for name in _STEERING) or any(name.startswith(_EXPORTED_FUNCTION) for name in env)


def find_executable(name: str, env: Mapping[str, str], cwd: str) -> str:
    """The path that a shell in `cwd` would exec for argv[0], relative to `cwd` where PATH's entry is.

    It stays relative because a script sees it as its $0. Raises FileNotFoundError, or PermissionError where there is
    only a file that cannot be executed, both as execvp would.
    """
    if "/" in name:
        candidates = [name]
    else:
        path = env.get("PATH")
        entries = (os.defpath if path is None else path).split(os.pathsep)
        candidates = [f"{entry}/{name}" if entry else name for entry in entries] if name else []
    denied = False
    for candidate in candidates:
        target = os.path.join(cwd, candidate)
        try:
            status = os.stat(target)
        except PermissionError:
            denied = True
        except (OSError, ValueError):  # not there, in whichever way; ValueError is a NUL in the path
            continue
        else:
            if stat.S_ISREG(status.st_mode) and os.access(target, os.X_OK):
                return candidate
            denied = True
    code = errno.EACCES if denied else errno.ENOENT
    raise OSError(code, os.strerror(code), name)  # OSError makes itself the right one of its children
