"""A child that tells what it was given: prints one line `probe {…}` of JSON, then stays until it is stopped.

Run as a program of its own (`python -I probe.py`), so it imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys


def descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one with which the folder was read
    return found


def masks() -> dict[str, int]:
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return {key: int(lines[key], 16) for key in ("SigBlk", "SigIgn")}


def main() -> None:
    umask = os.umask(0)
    os.umask(umask)
    told = {
        "argv": sys.argv[1:],
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "fds": descriptors(),
        "stdin_has_something_to_read": bool(select.select([0], [], [], 0)[0]),
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "group": os.getpgid(0),
        "umask": umask,
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        **masks(),
    }
    sys.stdout.write(f"probe {json.dumps(told)}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
