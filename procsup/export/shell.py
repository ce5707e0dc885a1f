"""Scripts for engines whose services are scripts: variables, words and commands as /bin/sh reads them, byte for byte.

Commands are handed to a shell of their own as one quoted word, so that nothing of the script can change their meaning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from procsup.export.model import PRIVATE, PROGRAM, PUBLIC, App, File, Instance, Type

SHELL = "/bin/sh"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FEW = 4  # names that may stand in a line for people
# What some shell sets itself, will not have set, or takes for a number: in a script an assignment would end it.
_OWN = (
    "UID EUID GID EGID PPID GROUPS OPTIND OPTERR LINENO RANDOM SECONDS SHELLOPTS BASHOPTS BASH_VERSINFO FUNCNAME IFS"
    " DIRSTACK BASHPID BASH_ENV ENV POSIXLY_CORRECT _"
)
_SHELLS_OWN = frozenset(_OWN.split())


def quoted(text: str) -> str:
    """One word of a shell, whatever is in it but NUL."""
    return "'" + text.replace("'", "'\\''") + "'" if re.search(r"[^A-Za-z0-9_./:=,@%+-]", text) or not text else text


def words(argv: Sequence[str]) -> str:
    return " ".join(map(quoted, argv))


def settable(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that a script can set."""
    return {name: value for name, value in variables.items() if _NAME.match(name) and name not in _SHELLS_OWN}


def not_settable(app: App) -> tuple[str, ...]:
    """A sentence for each variable that is lost because no script of a shell can set it."""
    return tuple(
        f"{each.name}: the variable {shown(name)} is left out: no script of a shell can set it"
        for each in app.types
        for name in sorted(each.env.all.keys() - settable(each.env.all).keys())
    )


def environment_file(app: App, of: Type, instance: Instance) -> File:
    """What a script reads with `.`; nobody else may read it where there is a secret in it."""
    return exports(app.environment(of, instance), secret=bool(of.env.secret))


def exports(variables: Mapping[str, str], secret: bool) -> File:
    lines = [f"export {name}={quoted(value)}\n" for name, value in sorted(settable(variables).items())]
    return File(encoded("".join(lines)), PRIVATE if secret else PUBLIC)


def command(of: Type, instance: Instance) -> str:
    """The words that run the instance's command, to stand behind `exec`."""
    return words((SHELL, "-c", of.command.for_shell(instance.unique_int)))


def script(text: str) -> File:
    return File(encoded(text), PROGRAM)


def service_folders(app: App, service: Callable[[App, Type, Instance], Mapping[str, File]]) -> dict[str, File]:
    """A folder for each instance, with the files that `service` makes of it."""
    return {
        f"{app.slug}-{of.name}.{instance.number}/{name}": file
        for of in app.types
        for instance in app.with_spare(of)
        for name, file in service(app, of, instance).items()
    }


def folder_names(app: App) -> list[str]:
    """Words that name these folders."""
    return [name for of in app.types for name in named(app, of, f"{app.slug}-{of.name}.")]


def run_script(app: App, of: Type, instance: Instance, prepare: str, become: Callable[[str], str], run: str) -> str:
    """Becomes the process. `become` are the words before its command that make it that user's, with all its groups.

    They are `"$@"` in `run`, and none where the engine is not root's but this user's.
    """
    user = app.user_of(of)
    return "".join(
        (
            "#!/bin/sh\n",
            title(app, of, instance),
            "exec 2>&1\nset --\n",
            remember_leader(),
            ". ./env\n",
            prepare,
            _as_user(quoted(user), of, become) if user else "",
            run,
        )
    )


def _as_user(name: str, of: Type, become: Callable[[str], str]) -> str:
    own = "".join(f" chown {name}: {quoted(each.path)};" for each in of.mounts)
    return f'if [ "$(id -u)" != "$(id -u {name})" ]; then{own} set -- {become(name)}; fi\n'


def mounts(of: Type) -> str:
    return "".join(f"mkdir -p -m 700 {quoted(each.path)} || exit 111\n" for each in of.mounts)


def preparation(of: Type) -> str:
    """Its mounts, and its folder."""
    return f"{mounts(of)}cd {quoted(of.cwd)} || exit 111\n"


def remember_leader() -> str:
    """For `rest_of_group`, in a script that becomes the leader of its group."""
    return "echo $$ >supervise/leader\n"


def rest_of_group(ending: str, grace: float) -> str:
    """What a leader that has ended leaves of its group gets the signal, unless a stop has sent it, and the grace.

    The number is good for this once: after a reboot it would be somebody else's.
    """
    return f"""group=$(cat supervise/leader 2>/dev/null)
rm -f supervise/leader
if [ -n "$group" ] && kill -s 0 -- "-$group" 2>/dev/null; then
    [ "$(cat supervise/stopping 2>/dev/null)" = "$group" ] || kill -s {ending} -- "-$group"
    left={math.ceil(grace * 10)}
    while [ "$left" -gt 0 ] && kill -s 0 -- "-$group" 2>/dev/null; do
        sleep 0.1
        left=$((left - 1))
    done
    kill -s KILL -- "-$group" 2>/dev/null
fi
"""


def named(app: App, of: Type, start: str, end: str = "") -> list[str]:
    """Words that name what there is of a type's instances, and nothing else: each, or patterns where they are many."""
    numbers = [str(each.number) for each in app.with_spare(of)]
    if len(numbers) > _FEW:
        numbers = ["[1-9]" + "[0-9]" * more for more in range(len(numbers[-1]))]
    return [f"{{}}/{start}{number}{end}" for number in numbers]


def title(app: App, of: Type, instance: Instance | None = None) -> str:
    """A comment for people, on one line whatever the names are."""
    who = of.name if instance is None else f"{of.name}.{instance.number}"
    return f"# {who} of {shown(app.name)}, written by procsup export\n"


def encoded(text: str) -> bytes:
    """A value that is no UTF-8 goes out as it came in."""
    return text.encode(errors="surrogateescape")


def shown(text: str) -> str:
    """For people, on one line."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
