"""The keys of procsup.toml: what each may be, and what it does. The JSON Schema for editors is made of the same table.

A key at the top of the file is every process type's default; in `[processes.NAME]` it is that type's own.
"""

from __future__ import annotations

from collections.abc import Mapping

from procsup.config import readiness
from procsup.config import settings_values as may_be
from procsup.config.formation import MAX_COUNT
from procsup.config.globs import GLOBS, globs
from procsup.config.settings import SIZES
from procsup.config.settings_values import Reader, Schema
from procsup.value import Value

RESTARTS = ("always", "on-failure", "never")
PROCESSES = "processes"


class Key(Value):
    """`read` gives the value to use, or raises Unfit with what is wanted in its place; `schema` says the same."""

    doc: str
    schema: Schema
    read: Reader


def _whole(doc: str, least: int, most: int) -> Key:
    return Key(doc, may_be.whole_schema(least, most), may_be.whole(least, most))


OF_A_TYPE: Mapping[str, Key] = {
    "count": _whole("How many run, where neither `scale` nor -m has said otherwise.", 0, MAX_COUNT),
    "restart": Key("What comes back when it ends by itself.", {"enum": list(RESTARTS)}, may_be.one_of(*RESTARTS)),
    "max_restarts": _whole("More restarts than this within the window, and it is given up.", 0, 1_000_000),
    "restart_window": Key("The window of max_restarts, in seconds.", may_be.SECONDS, may_be.seconds),
    "grace": Key("Seconds from the stop signal to SIGKILL.", may_be.SECONDS, may_be.seconds),
    "stop": Key("How it is stopped: signals, and seconds between them.", may_be.STOP, may_be.stop_steps),
    "cwd": Key("The folder it starts in, from the app's root.", may_be.TEXT, may_be.text),
    "env": Key("Variables, added to those of the app.", may_be.VARIABLES, may_be.variables),
    "env_file": Key("More .env files for it, from the app's root; env wins over them.", may_be.TEXTS, may_be.texts),
    "user": Key("The user that it runs as; only root can choose.", may_be.TEXT, may_be.text),
    "tty": Key("Whether it sits at a terminal of its own (procsup attach).", may_be.TRUTH, may_be.truth),
    "one_shot": Key("Whether an exit with 0 means that it is done.", may_be.TRUTH, may_be.truth),
    "relationships": Key(
        "The groups of variables that it may see; all, if none are named.", may_be.TEXTS, may_be.texts
    ),
    "mounts": Key(
        "Private folders, kept over restarts: PROCSUP_MOUNT_<NAME> has the path.", may_be.MOUNTS, may_be.mount_names
    ),
    "size": Key(f"What each may use: {', '.join(SIZES)}, or a name of [sizes].", may_be.TEXT, may_be.text),
    "memory": Key("The most memory each may use, 1M at least; wins over its size.", may_be.SIZE, may_be.size_of_memory),
    "cpu": Key("The most cores each may keep busy; wins over its size.", may_be.CORES, may_be.cores),
    "watch": Key("Files, as globs from the app's root, whose change restarts it.", GLOBS, globs),
    "release": Key("Whether it is run to its end before the others, by start --release.", may_be.TRUTH, may_be.truth),
    "quiet": Key("Whether its output is not shown.", may_be.TRUTH, may_be.truth),
    "ready": Key(
        "What shows that it is ready: port, http /PATH, log REGEX, notify.", readiness.READY, readiness.ready_check
    ),
    "ready_timeout": Key(
        "Seconds to become ready; then it counts as failed.", may_be.SOME_SECONDS, may_be.some_seconds
    ),
    "live": Key("What it must go on answering, or is restarted: http /PATH.", readiness.LIVE, readiness.live_check),
    "live_interval": Key("Seconds between two looks at live.", may_be.SOME_SECONDS, may_be.some_seconds),
    "depends_on": Key("The types that have to be ready before it starts.", may_be.TEXTS, may_be.texts),
    "socket": Key(
        "An address that procsup listens on for it: HOST:PORT or a path; it gets the socket as descriptor 3.",
        may_be.ADDRESS,
        may_be.address,
    ),
    "surge": _whole(
        "How many more than its count may run while a rolling restart replaces them; 1 with a socket, else 0.", 0, 100
    ),
}
OF_THE_APP: Mapping[str, Key] = {
    "app": Key("The application's name, for --app; else the root folder's.", may_be.TEXT, may_be.text),
    "max_processes": _whole("The most instances in all; a scale beyond it is refused.", 1, 1_000_000),
    "relationships": Key("Groups of variables, each a list of names and patterns.", may_be.GROUPS, may_be.groups),
    "log_dir": Key("The folder, from the app's root, of a log file for each instance.", may_be.TEXT, may_be.text),
    "log_size": Key("How large a file in log_dir may get.", may_be.SIZE, may_be.size),
    "log_count": _whole("How many older files stay in log_dir.", 1, 1000),
    "syslog": Key("Where every line is sent, too: unix:PATH, udp://HOST:514.", may_be.TEXT, may_be.text),
    "sizes": Key("Sizes, beside S, M and L or in place of them.", may_be.SIZES, may_be.sizes),
}
