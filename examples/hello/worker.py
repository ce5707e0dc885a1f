"""A worker that takes every Nth job, N being its own number: nobody else alive has it."""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import time


def stop(number: int, _frame: object) -> None:
    print(f"got {signal.Signals(number).name}, bye")
    sys.exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, required=True)
    number = parser.parse_args().number
    signal.signal(signal.SIGTERM, stop)
    print(f"worker number {number} is ready")
    for job in itertools.count(number, 10):
        time.sleep(4)
        print(f"did job {job}")


if __name__ == "__main__":
    main()
