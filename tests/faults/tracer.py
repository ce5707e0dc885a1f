"""A debugger that holds a process fast: `python tracer.py PID at-exit|as-zombie`, until it is killed itself.

At its exit: SIGKILL has reached the process, and it is stopped half-way out, like one that hangs in the kernel. As a
zombie: it is dead, but its parent is not told before the tracer has taken note, which this one never does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PTRACE_SEIZE = 0x4206
_PTRACE_O_TRACEEXIT = 1 << 6


def main(pid: int, how: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_long)
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(_PTRACE_SEIZE, pid, 0, _PTRACE_O_TRACEEXIT if how == "at-exit" else 0):
        sys.exit(os.strerror(ctypes.get_errno()))
    print("holds it", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
