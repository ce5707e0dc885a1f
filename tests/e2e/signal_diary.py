"""A child that writes down which signals it gets and when, and ends with the one that its argument names.

Run as a program of its own (`python -I signal_diary.py TERM`), so it imports nothing of ours.
"""

from __future__ import annotations

import signal
import sys
import time


def main() -> None:
    last = sys.argv[1] if len(sys.argv) > 1 else None
    first: list[float] = []

    def note(number: int, _frame: object) -> None:
        now = time.monotonic()
        first.append(now)
        name = signal.Signals(number).name.removeprefix("SIG")
        print(f"got {name} after {now - first[0]:.3f}", flush=True)
        if name == last:
            sys.exit(0)

    for number in (signal.SIGTSTP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGQUIT):
        signal.signal(number, note)
    print("ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
