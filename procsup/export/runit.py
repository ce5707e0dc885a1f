"""runit: a service folder for each instance, to be put where runsvdir looks."""

from __future__ import annotations

import math

from procsup.export import shell
from procsup.export.model import PRIVATE_PROGRAM, PROGRAM, App, Export, File, Instance, Type
from procsup.export.stopping import ending_signal, for_kill
from procsup.export.unsaid import unsaid

_CANNOT = {
    "size": "its limits are those of single processes",
    "memory": "its limits are those of single processes",
    "cpu": "it shares out no processor time",
    "ready": "it does not know when a service is ready",
    "live": "it does not look whether a process still answers",
    "depends_on": "it starts all services at once",
    "socket": "it hands no sockets on",
    "max_restarts": "it never gives up",
}


def write(app: App) -> Export:
    folders = " ".join(shell.folder_names(app))
    return Export(
        shell.service_folders(app, _service),
        (*unsaid(app, "runit", _CANNOT), *shell.not_settable(app)),
        f"runsvdir {{}} (or link its folders into /etc/service), and sv -w {_patience(app)} stop {{}}/* to stop",
        f"ln -s {folders} /etc/service/ (or to where else runsvdir looks: in this folder others have files), "
        f"and sv -w {_patience(app)} stop {folders} to stop",
    )


def _patience(app: App) -> int:
    return 2 + math.ceil(max((each.grace for each in app.types), default=0))


def _service(app: App, of: Type, instance: Instance) -> dict[str, File]:
    found = {
        "run": File(shell.encoded(_run(app, of, instance)), PRIVATE_PROGRAM if of.command.secret else PROGRAM),
        "env": shell.environment_file(app, of, instance),
        "control/t": shell.script(_stop(of)),
        "finish": shell.script(_finish(of)),
        "log/run": shell.script("#!/bin/sh\nmkdir -p main && exec svlogd -tt ./main\n"),
    }
    if not of.instances:
        found["down"] = File(b"")
    return found


def _run(app: App, of: Type, instance: Instance) -> str:
    """In a session of its own, so that a stop reaches all that belongs to it."""
    run = f'exec chpst -P "$@" {shell.command(of, instance)}\n'
    return shell.run_script(app, of, instance, shell.preparation(of), _as_user, run)


def _as_user(name: str) -> str:
    return f'-u {name}:"$(id -Gn {name} | tr " " :)"'


def _stop(of: Type) -> str:
    """runsv waits for this script, and sends no SIGTERM of its own where it succeeds."""
    steps = "".join(f"    step {for_kill(each.signal)} {math.ceil((each.wait or 0) * 10)}\n" for each in of.stop)
    return f"""#!/bin/sh
# Sends the stop signals to the whole group, with their pauses in tenths of a second; SIGKILL to what is left then.
group=$(cat supervise/pid) && [ -n "$group" ] || exit 1
echo "$group" >supervise/stopping
step() {{
    kill -s "$1" -- "-$group" || exit 0
    kill -s CONT -- "-$group"
    left=$2
    while [ "$left" -gt 0 ]; do
        kill -s 0 -- "-$group" || exit 0
        sleep 0.1
        left=$((left - 1))
    done
}}
(
{steps}    kill -s KILL -- "-$group"
) </dev/null >/dev/null 2>&1 &
"""


def _finish(of: Type) -> str:
    """Ends what its leader has left. Who shall not come back is taken down: `$1` is the exit code, -1 for a signal."""
    again = "exec sv -w 0 down . >/dev/null\n"
    if of.restart != "never":
        again = f'[ "$1" = 0 ] && {again}' if of.restart == "on-failure" else ""
    return f"#!/bin/sh\n{shell.rest_of_group(for_kill(ending_signal(of)), of.grace)}{again}exit 0\n"
