"""s6: a service folder for each instance, to be put where s6-svscan looks."""

from __future__ import annotations

import math

from procsup.export import shell
from procsup.export.model import PRIVATE_PROGRAM, PROGRAM, App, Export, File, Instance, Type
from procsup.export.stopping import ending_signal, for_kill, other_signals_unsaid
from procsup.export.unsaid import unsaid

_CANNOT = {
    "size": "its limits are those of single processes",
    "memory": "its limits are those of single processes",
    "cpu": "it shares out no processor time",
    "live": "it does not look whether a process still answers",
    "depends_on": "s6-svscan starts all services at once",
    "socket": "it hands no listening sockets on as descriptor 3",
}
_DEATHS = (
    "0-255,SIGKILL,SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGSEGV,SIGABRT,SIGBUS,SIGILL,SIGFPE,SIGPIPE,SIGALRM,SIGUSR1,SIGUSR2"
)
_AT_MOST = 4096  # deaths that s6-supervise can remember


def write(app: App) -> Export:
    return Export(
        shell.service_folders(app, _service),
        (
            *unsaid(app, "s6", _CANNOT),
            *_not_seen_ready(app),
            *other_signals_unsaid(app, "s6"),
            *shell.not_settable(app),
        ),
        "s6-svscan {} (or link its folders into a scan directory), and s6-svscanctl -t {} to stop",
        f"ln -s {' '.join(shell.folder_names(app))} SCANDIR && s6-svscanctl -a SCANDIR, where SCANDIR is the folder "
        "that s6-svscan looks at, and not this one, in which others have files",
    )


def _service(app: App, of: Type, instance: Instance) -> dict[str, File]:
    found = {
        "run": File(shell.encoded(_run(app, of, instance)), PRIVATE_PROGRAM if of.command.secret else PROGRAM),
        "env": shell.environment_file(app, of, instance),
        "finish": shell.script(_finish(of)),
        "down-signal": _line(for_kill(ending_signal(of))),
        "timeout-kill": _line(str(max(1, math.ceil(of.grace * 1000)))),
        "timeout-finish": _line(str(math.ceil(of.grace * 1000) + 5000)),
        "log/run": shell.script("#!/bin/sh\nexec s6-log -b n20 s10000000 T ./main\n"),
    }
    if check := _check(of):
        found["notification-fd"] = _line("3")
        found["data/check"] = shell.script(check)
    if of.max_restarts is not None:
        found["max-death-tally"] = _line(str(min(_AT_MOST, max(100, of.max_restarts + 1))))
    if not of.instances:
        found["down"] = File(b"")
    return found


def _line(text: str) -> File:
    return File(f"{text}\n".encode())


def _run(app: App, of: Type, instance: Instance) -> str:
    if _check(of):
        prepare, run = shell.mounts(of), _run_watched(of, instance)
    else:
        prepare, run = shell.preparation(of), f'exec "$@" {shell.command(of, instance)}\n'
    return shell.run_script(app, of, instance, prepare, "s6-setuidgid {}".format, run)


def _run_watched(of: Type, instance: Instance) -> str:
    """Somebody looks whether it is ready, four times a second, and starts from the service's folder, not its own."""
    watch = f"s6-notifyoncheck -d -n 0 -w 250 -T {math.ceil(of.ready_timeout * 1000)}"
    inside = f'cd {shell.quoted(of.cwd)} || exit 111; exec "$@"'
    return f'exec {watch} "$@" /bin/sh -c {shell.quoted(inside)} sh {shell.command(of, instance)}\n'


def _check(of: Type) -> str:
    """A script that succeeds when it is ready, where one can be written; it needs curl."""
    if of.ready is None or of.ready.kind not in ("port", "http"):
        return ""
    if of.ready.kind == "http":
        url = shell.quoted(of.ready.what)
        look = f'exec curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$PORT"{url}\n'
    else:
        look = """curl --silent --max-time 0.2 --output /dev/null "telnet://127.0.0.1:$PORT" </dev/null
case $? in 0 | 28 | 52 | 56) exit 0 ;; *) exit 1 ;; esac
"""  # 28: it took the connection, and there was nothing more to say
    return f"#!/bin/sh\n{look}"


def _not_seen_ready(app: App) -> tuple[str, ...]:
    return tuple(
        f"{each.name}: ready = {each.ready} is left out: s6 learns of it from a look from outside, or from a line on a "
        "descriptor of its own"
        for each in app.types
        if each.ready is not None and not _check(each)
    )


def _finish(of: Type) -> str:
    """Ends what its leader has left, and says whether it comes back: an exit code of 125 means that it does not.

    `$1` is the leader's exit code, 256 after a signal.
    """
    again = ""
    if of.restart == "never":
        again = "exit 125\n"
    else:
        if of.restart == "on-failure":
            again = '[ "$1" = 0 ] && exit 125\n'
        if of.max_restarts is not None:
            window, most = max(1, math.ceil(of.restart_window)), min(_AT_MOST, of.max_restarts + 1)
            again += f"exec s6-permafailon {window} {most} {_DEATHS} true\n"
    return f"#!/bin/sh\n{shell.rest_of_group(for_kill(ending_signal(of)), of.grace)}{again}exit 0\n"
