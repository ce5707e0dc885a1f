"""A process that multiplies without an end, given a user of its own: by that it is found whatever it does."""

from __future__ import annotations

import os

# Each lives for a moment only, in a session of its own: whoever has been found is gone already, and its child goes on.
# None hears SIGTERM. After a minute all are gone anyway.
RELAY = """\
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        break
else:
    print("full", flush=True)
    time.sleep(60)
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        if os.fork():
            os._exit(0)
        os.setsid()
    except OSError:
        time.sleep(0.001)
"""


def most_alive(user: int) -> int:
    """How many there are of the bomb's user; some are hard to meet, so it is the most of many looks."""
    return max(_alive(user) for _ in range(50))


def _alive(user: int) -> int:
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid == user:
                with open(f"/proc/{name}/stat") as stat:
                    found += stat.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            continue
    return found
