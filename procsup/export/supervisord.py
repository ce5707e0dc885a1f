"""supervisord: one configuration file with a program for each process type, and a script for each beside it.

Its `environment=` has no way to write every value down (nothing undoes a quote in it), and its file knows no sums (a
PORT for each process), so variables and commands stand in scripts, of which it knows the name and the number.
"""

from __future__ import annotations

import math

from procsup.errors import UsageError
from procsup.export import shell
from procsup.export import supervisord_words as words
from procsup.export.model import PRIVATE, PUBLIC, App, Export, File, Instance, Type
from procsup.export.stopping import ending_signal, for_kill, is_named, other_signals_unsaid, signal_name
from procsup.export.unsaid import unsaid

_CANNOT = {
    "size": "it limits nothing",
    "memory": "it limits nothing",
    "cpu": "it limits nothing",
    "ready": "for it a process is up when it has run for a second",
    "live": "it does not look whether a process still answers",
    "depends_on": "it starts programs in this order, and waits for none",
    "max_restarts": "it counts only starts that fail within a second",
}
# procsup goes on trying, and so shall it: by itself it would give up after three.
_RETRIES = 1_000_000


def write(app: App) -> Export:
    """Raises UsageError for a folder in which supervisord could not find the scripts."""
    if not words.can_lie_in(app.folder):
        raise UsageError(
            f"{shell.shown(app.folder)}: supervisord would not find the scripts there: a name with a percent sign, a "
            "quote or a backslash must have neither line breaks nor bytes that are no UTF-8; choose another folder"
        )
    shared = _sockets(app)
    found_at = f"{words.pattern(app.folder) or '{}'}/{app.slug}.conf"
    files = {f"{app.slug}.conf": File(shell.encoded(_configuration(app, shared)))}
    for of in app.types:
        script = f"{app.slug}/{of.name}"
        # supervisord becomes the user before it runs the script, who has to be able to read it all.
        user = app.user_of(of)
        text = shell.encoded(_script(app, of, of.name in shared))
        files[f"{script}.sh"] = File(text, PRIVATE if of.command.secret else PUBLIC, user)
        files[f"{script}.env"] = _common_variables(app, of)._replace(owner=user)
    return Export(
        files,
        (
            *unsaid(app, "supervisord", _CANNOT),
            *_sockets_unsaid(app, shared),
            *_signals_unsaid(app),
            *other_signals_unsaid(app, "supervisord"),
            *shell.not_settable(app),
        ),
        f"add {found_at} to files= in [include] of supervisord.conf, then supervisorctl update",
    )


def _common_variables(app: App, of: Type) -> File:
    """Of all instances; what differs is in the script."""
    differ = of.first.env.keys()
    values = {name: value for name, value in app.environment(of, of.first).items() if name not in differ}
    return shell.exports(values, secret=bool(of.env.secret))


def _sockets(app: App) -> dict[str, str]:
    """The types that get their socket from supervisord, with what it calls it: once each address, and no IPv6."""
    found: dict[str, str] = {}
    for of in app.types:
        if of.socket is not None and of.count and ":" not in of.socket.host:
            path, host, port = of.socket.path, of.socket.host, of.socket.port
            name = f"unix://{path}" if path else f"tcp://{host}:{port}"
            if name not in found.values() and words.is_sayable(name):
                found[of.name] = name
    return found


def _sockets_unsaid(app: App, shared: dict[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{of.name}: its socket {of.socket.address} is left out: supervisord listens on IPv4 and on paths "
        "that are text in a line, for one program each"
        for of in app.types
        if of.socket is not None and of.count and of.name not in shared
    )


def _signals_unsaid(app: App) -> tuple[str, ...]:
    return tuple(
        f"{of.name}: stop = {signal_name(ending_signal(of))}: supervisord has no name for it, and sends TERM"
        for of in app.types
        if not is_named(ending_signal(of))
    )


def _configuration(app: App, sockets: dict[str, str]) -> str:
    ranks = _ranks(app)
    sections = [_program(app, of, ranks[of.name], sockets.get(of.name)) for of in app.types]
    together = [f"{app.slug}-{of.name}" for of in app.types if of.name not in sockets]
    if together:
        sections.append(f"[group:{app.slug}]\nprograms={','.join(together)}\n")
    return "; written by procsup export supervisord\n\n" + "\n".join(sections)


def _program(app: App, of: Type, rank: int, socket: str | None) -> str:
    number = ending_signal(of)
    lines = [
        f"[{'fcgi-program' if socket else 'program'}:{app.slug}-{of.name}]",
        f"command=/bin/sh {words.beside(app.folder, f'{app.slug}/{of.name}.sh')} %(process_num)d",
        f"process_name={of.name}.%(process_num)d",
        f"numprocs={max(1, of.count)}",
        "numprocs_start=1",
        f"priority={rank}",
        f"autostart={'true' if of.count else 'false'}",
        f"autorestart={_restart(of)}",
        "exitcodes=0",
        # What ends within that time has failed for supervisord, whatever its code, and is tried again.
        f"startsecs={1 if _restart(of) == 'true' else 0}",
        f"startretries={_RETRIES}",
        f"stopsignal={signal_name(number) if is_named(number) else 'TERM'}",
        f"stopwaitsecs={math.ceil(of.grace)}",
        "stopasgroup=true",
        "killasgroup=true",
        "redirect_stderr=true",
    ]
    if socket:
        lines.append(f"socket={words.literal(socket)}")
    if user := app.user_of(of):
        lines.append(f"user={words.literal(user)}")
    return "\n".join(lines) + "\n"


def _restart(of: Type) -> str:
    if of.restart == "never":
        return "false"
    return "true" if of.restart == "always" else "unexpected"


def _ranks(app: App) -> dict[str, int]:
    """The priority of each: behind those it depends on."""
    depends = {of.name: of.depends_on for of in app.types}
    ranks: dict[str, int] = {}

    def rank(name: str) -> int:
        if name not in ranks:
            ranks[name] = 1 + max((rank(other) for other in depends.get(name, ())), default=99)
        return ranks[name]

    for name in depends:
        rank(name)
    return ranks


def _script(app: App, of: Type, with_socket: bool) -> str:
    """Run with the number of the instance."""
    # Who gets a socket looks for its own pid in LISTEN_PID.
    run = """/bin/sh -c 'export LISTEN_PID=$$; exec /bin/sh -c "$0"' "$1\"""" if with_socket else '/bin/sh -c "$1"'
    cases = "".join(_case(of, each) for each in app.with_spare(of))
    return "".join(
        (
            "#!/bin/sh\n",
            shell.title(app, of),
            '. "${0%/*}/' + of.name + '.env"\n',
            "case $1 in\n",
            cases,
            f'*) echo "{of.name}.$1 was not exported; do it again, with -m {of.name}=$1" >&2; exit 111 ;;\nesac\n',
            # supervisord hands its socket on as standard input; ours is descriptor 3.
            f"exec 3<&0 </dev/null\nexport LISTEN_FDS=1 LISTEN_FDNAMES={of.name}\n" if with_socket else "",
            shell.preparation(of),
            _stay(of, run) if _restart(of) == "unexpected" or not of.command.simple else f"exec {run}\n",
        )
    )


def _stay(of: Type, run: str) -> str:
    """Run a command that has a shell for its leader, and go after all that belongs to it.

    supervisord takes a program for stopped when its leader is, and the shell is the first to die of a signal. Who comes
    back after a failure only would come back at once, again and again.
    """
    pause = '[ "$code" = 0 ] || [ -n "$stopping" ] || sleep 1\n' if _restart(of) == "unexpected" else ""
    return f"""stopping=
trap stopping=1 HUP INT QUIT TERM USR1 USR2
{run}
code=$?
# Not in a subshell: a signal to the group would end it, and it would have found nobody.
look() {{
    group=
    for each in /proc/[0-9]*/stat; do
        read -r found 2>/dev/null <"$each" || continue
        set -- ${{found##*) }}
        [ "$3" != $$ ] || [ "${{found%% *}}" = $$ ] || [ "$1" = Z ] || group="$group ${{found%% *}}"
    done
}}
# Who is left gets the signal, if not from supervisord, and the grace; then SIGKILL.
left={math.ceil(of.grace * 5)}
look
[ -z "$group" ] || [ -n "$stopping" ] || kill -s {for_kill(ending_signal(of))} $group
while [ -n "$group" ] && [ "$left" -gt 0 ]; do
    sleep 0.2
    left=$((left - 1))
    look
done
[ -z "$group" ] || kill -s KILL $group
{pause}exit $code
"""


def _case(of: Type, instance: Instance) -> str:
    variables = shell.words([f"{name}={value}" for name, value in sorted(instance.env.items())])
    return (
        f"{instance.number}) export {variables}; set -- {shell.quoted(of.command.for_shell(instance.unique_int))} ;;\n"
    )
