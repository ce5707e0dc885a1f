"""The faults that real users of such tools met, and what must hold when they happen: the rows of the table."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """One row: what happens, and what must hold."""

    happens: str
    must: str


FAULTS: dict[str, Fault] = {
    "f01": Fault("a child is killed with -9", "a new one runs within 100 ms; the status says SIGKILL"),
    "f02": Fault(
        "the supervisor is killed with -9", "all stopped within 1 s + grace; no copy twice after the next start"
    ),
    "f03": Fault(
        "supervisor and its helpers killed, a `setsid` grandchild lives", "the next start finds and stops it first"
    ),
    "f04": Fault("a child ignores SIGTERM", "killed at grace + 0.5 s at most, and told; nobody else waits"),
    "f05": Fault("20 children ignore SIGTERM", "all gone within grace + 1 s"),
    "f06": Fault('`sh -c "a & b"`, then stop', "nothing left"),
    "f07": Fault("double fork, own session, all closed; then stop", "nothing left"),
    "f08": Fault("a leader ends, one of its group lives on", "it counts as a whole; never twice"),
    "f09": Fault("a child ends, its grandchild holds stdout", "end seen within 100 ms; late lines keep their name"),
    "f10": Fault("a child closes its stdout and stderr", "it runs on, and that costs no CPU"),
    "f11": Fault("20,000 lines at once, the last without newline, `_exit`", "every byte, in order"),
    "f12": Fault("very much without a newline (row: 1 GB)", "memory + 32 MiB at most; every byte passes"),
    "f13": Fault("broken UTF-8, NUL, a character cut in two", "byte for byte; all that reads it goes on"),
    "f14": Fault("ESC, OSC, CR, `[/red]` in the output", "only colours reach a terminal; the rest is text"),
    "f15": Fault("nobody reads the supervisor's stdout", "restarts and SIGTERM still work"),
    "f16": Fault("the supervisor's stdout is closed", "a clean end, no traceback, nothing left"),
    "f17": Fault("disk full for logs or state", "children run on; said once; recovers"),
    "f18": Fault("the log file is removed", "made again at the next write"),
    "f19": Fault("a child ends at once, for ever", "10 starts in 60 s at most; CPU < 2 %; never gives up"),
    "f20": Fault("200 of them together", "commands are answered within 1 s"),
    "f21": Fault("command not found", "named with its cause; the others run"),
    "f22": Fault("too few descriptors (`ulimit -n 64`, 60 children)", "alive; the rest waits and says why; answers"),
    "f23": Fault("fork refused (RLIMIT_NPROC)", "the same"),
    "f24": Fault("MemoryError in the loop", "children stopped or kept as documented"),
    "f25": Fault("a fork bomb inside a limit", "stop ends it"),
    "f26": Fault("a SIGSTOPped child, then stop", "gone within 1 s"),
    "f27": Fault("the supervisor itself stopped, then continued", "no false time-outs, no burst"),
    "f28": Fault("a child that nothing can kill", "told; the rest ends; out at grace + 5 s"),
    "f29": Fault("the wall clock jumps", "nothing happens"),
    "f30": Fault("suspend and resume", "nothing happens"),
    "f31": Fault("SIGTERM to all at once, children up to 150 ms earlier", "nobody started again"),
    "f32": Fault("a second SIGTERM", "SIGKILL now, out within 1 s"),
    "f33": Fault("the terminal window is closed", "documented; no child left"),
    "f34": Fault("clients that hang or send 1 MB of nonsense", "nobody waits for them"),
    "f35": Fault("two starts at once", "one wins, the other says who"),
    "f36": Fault("the control socket is removed", "made again within 5 s"),
    "f37": Fault("a stale pid file names a stranger", "he is left alone; starts"),
    "f38": Fault("scaled 3 → 10 → 1 → 0 → 3 at once", "the last word counts; never two copies"),
    "f39": Fault("one line changed, then reload; a broken file", "only that one restarts; broken changes nothing"),
    "f40": Fault("rolling restart, the new one never ready", "the old one stays"),
    "f41": Fault("very many × `sleep` (row: 1,000)", "idle CPU < 0.5 %; stop < 5 s"),
    "f42": Fault("one writes 100 MB/s, another seldom", "the seldom line within 50 ms (p99)"),
    "f43": Fault("pids are used again", "no stranger is ever signalled"),
    "f44": Fault("started with blocked and ignored signals, extra fds", "children inherit none of it"),
    "f45": Fault("as PID 1, adopted zombies", "none older than 1 s"),
    "f46": Fault("under systemd: reboot, kill -9, OOM, blocked loop", "back; nothing doubled"),
    "f47": Fault("kill -9 at any moment of a state write", "the old or the new state"),
    "f48": Fault("upgrade in place under load", "pids kept, no byte lost"),
    "f49": Fault("`;` and `%` in a command, 120 kB variable, long line", "it works, or a clear error; nothing cut"),
    "f50": Fault("a secret in the environment", "in no log, status or argv of the supervisor"),
}

# Why no scenario plays it; procsup's own tests do, by means that fit only procsup.
UNPLAYED: dict[str, str] = {
    "f17": "not tried on the others",
    "f24": "inside procsup",
    "f25": "not tried on the others",
    "f28": "not tried on the others",
    "f29": "not tried on the others",
    "f30": "not tried on the others",
    "f40": "no rolling restart",
    "f43": "not tried on the others",
    "f46": "not tried on the others",
    "f47": "no state file",
    "f48": "no upgrade in place",
}
