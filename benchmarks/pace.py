"""A loud writer, or a quiet one whose lines say when they were written. Run as a program.

    pace.py loud BYTES_A_SECOND GATE
    pace.py quiet SECONDS_BETWEEN GATE

Each waits until the gate is closed and goes on until it is ended.
"""

from __future__ import annotations

import os
import sys
import time

STAMP = b"stamp@"
LINE = b"x" * 99 + b"\n"
TICK = 0.005


def main() -> None:
    kind, amount, gate = sys.argv[1:]
    with open(gate, "rb") as stream:
        stream.read()
    if kind == "loud":
        shout(float(amount))
    else:
        whisper(float(amount))


def shout(speed: float) -> None:
    """That fast, or as fast as it is read."""
    block = LINE * int(speed * TICK / len(LINE))
    due = time.monotonic()
    while True:
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(1, rest) :]
        due = max(due + TICK, time.monotonic() - 10 * TICK)
        time.sleep(max(0.0, due - time.monotonic()))


def whisper(between: float) -> None:
    while True:
        os.write(1, b"%s%d\n" % (STAMP, time.clock_gettime_ns(time.CLOCK_MONOTONIC)))
        time.sleep(between)


if __name__ == "__main__":
    main()
