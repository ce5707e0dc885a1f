"""The floor: nothing but posix_spawn in a loop, then a signal each and a wait each. Run as a program: `bare.py COUNT`.

It prints how long the starts took, waits for a byte on stdin, ends its children and prints how long that took.
"""

from __future__ import annotations

import os
import signal
import sys
import time

SLEEP = "/bin/sleep"


def main() -> None:
    count = int(sys.argv[1])
    began = time.monotonic()
    pids = [os.posix_spawn(SLEEP, ["sleep", "100000"], os.environ) for _ in range(count)]
    print(time.monotonic() - began, flush=True)
    sys.stdin.read(1)
    began = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    for pid in pids:
        os.waitpid(pid, 0)
    print(time.monotonic() - began, flush=True)


if __name__ == "__main__":
    main()
