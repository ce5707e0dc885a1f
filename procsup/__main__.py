"""Where the `procsup` command and `python -m procsup` begin; loads the rest where Ctrl-C is already looked after."""

from __future__ import annotations

import gc
import os


def main() -> int:
    gc.disable()  # nothing is garbage that early: looking for it costs a twentieth of the start
    try:
        if os.getpid() == 1:
            _let_signals_end_us()
        from procsup.cli.main import run

        return run()
    except KeyboardInterrupt:
        return 130


def _let_signals_end_us() -> None:
    """As the first process of a container: what has no handler yet is not deadly to it, the kernel drops it unheard.

    Nor is SIGINT for certain: the exception that Python makes of it is lost where it meets a callback of an import's.
    """
    import signal

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # who had one ignored, as nohup does, has meant it
            signal.signal(number, lambda number, _frame: os._exit(128 + number))


if __name__ == "__main__":
    raise SystemExit(main())
