"""A worker with a number of its own, which finishes what it has begun before it ends."""

from __future__ import annotations

import argparse
import signal
import threading


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, required=True)
    number = parser.parse_args().number
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    print(f"worker number {number} is ready")
    asked.wait()
    print(f"worker number {number} has finished its work")


if __name__ == "__main__":
    main()
