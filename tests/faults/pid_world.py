"""The first process of a PID namespace: runs a supervisor there, and has the kernel give out the pid that is asked for.

`python pid_world.py COMMAND…` runs the command, and tells how it ended. On its standard input it takes: `take PID` (a
process that is nobody's gets this pid, and a session and group of its own), `kill PID SIGNAL`, `again` and `quit`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

_LAST = Path("/proc/sys/kernel/ns_last_pid")
_PATIENCE = 10.0  # seconds; others may start a process just then, and who had the pid may not be reaped yet

_known: dict[int, str] = {}


def _say(text: str) -> None:
    os.write(1, f"world: {text}\n".encode())


def _run() -> None:
    _known[subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL).pid] = "supervisor"


def _take(wanted: int) -> None:
    before = _LAST.read_text()
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        _LAST.write_text(str(wanted - 1))
        pid = os.fork()
        if pid == 0:
            if os.getpid() != wanted:
                os._exit(0)
            os.setsid()
            os.execve("/bin/sleep", ("sleep", "1000"), {})
        if pid == wanted:
            _known[pid] = "stranger"
            _LAST.write_text(before)  # the next ones shall not be given out twice by chance
            _say(f"stranger has {pid}")
            return
        time.sleep(0.002)  # the pace of trying
    _say(f"nobody gets {wanted}")


def _obey() -> None:
    for line in sys.stdin:
        match line.split():
            case ["take", pid]:
                _take(int(pid))
            case ["kill", pid, number]:
                os.kill(int(pid), int(number))
            case ["again"]:
                _run()
            case ["quit"]:
                os._exit(0)  # and with the first process, all others are gone


def main() -> None:
    subprocess.Popen(("sleep", "1000"))  # so that there is always somebody to wait for
    _run()
    threading.Thread(target=_obey, daemon=True).start()
    while True:
        # A stop is told too: nobody but whoever means the stranger sends it one.
        pid, status = os.waitpid(-1, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            if _known.get(pid) == "stranger":
                _say("stranger was stopped")
        elif (who := _known.pop(pid, None)) is not None:
            _say(f"{who} ended: {os.waitstatus_to_exitcode(status)}")
        else:
            _say(f"reaped {pid}")


if __name__ == "__main__":
    main()
