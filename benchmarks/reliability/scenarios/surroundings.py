"""What is inherited, what PID 1 has to do, odd input, and secrets."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

from benchmarks import procfs
from benchmarks.reliability.contenders import Tool
from benchmarks.reliability.stage import Finding, Scenario, Stage, descendants, judged, until, without

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
CANARY = "xk3-canary-81"


def inherited(stage: Stage, tool: Tool) -> Finding:
    command = stage.script(
        "a",
        "cat /proc/self/status > status\nls -l /proc/self/fd > fds\n" + stage.says("a") + "\nexec sleep 100000\n",
    )
    extra = os.open("/dev/null", os.O_RDONLY)

    def spoil() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    try:
        run = stage.start(
            tool.prepare(stage, {"a": command}), pass_fds=(extra,), preexec_fn=spoil, restore_signals=False
        )
    finally:
        os.close(extra)
    stage.ready("a")
    assert run.pid
    told = dict(line.split(":\t", 1) for line in (stage.folder / "status").read_text().splitlines() if ":\t" in line)
    faults = []
    for key, what in (("SigBlk", "blocked"), ("SigIgn", "ignored")):
        mask = int(told[key], 16)
        names = [signal.Signals(n).name for n in range(1, 32) if mask >> (n - 1) & 1]
        faults += [f"{', '.join(names)} {what}"] if names else []
    listed = [line.split()[-3:] for line in (stage.folder / "fds").read_text().splitlines() if "->" in line]
    more = [number for number, _, target in listed if int(number) > 2 and not target.startswith("/proc/")]
    faults += [f"{len(more)} more descriptors"] if more else []
    return judged("; ".join(faults) or "nothing blocked, ignored or open", not faults)


def first_process(stage: Stage, tool: Tool) -> Finding:
    if shutil.which("unshare") is None or subprocess.run([*CONTAINER, "true"], capture_output=True).returncode:
        return without("may not make a PID namespace here")
    orphans = "for i in 1 2 3 4 5\ndo (setsid sleep 0.1 &)\ndone\n"
    command = stage.script("a", f"{orphans}{stage.says('a')}\nexec sleep 100000\n")
    run = stage.start([*CONTAINER, *tool.prepare(stage, {"a": command})])
    stage.ready("a")
    time.sleep(1.5)
    zombies = [pid for pid in descendants(run.pid) if procfs.state(pid) == "Z"]
    inner = procfs.children(run.pid)
    os.kill(inner[0], signal.SIGTERM)
    ended = until(lambda: run.ended, 6) is not None
    text = f"{len(zombies) or 'no'} zombies of 5 after 1.5 s; {'ends on SIGTERM' if ended else 'SIGTERM ignored'}"
    return judged(text, not zombies and ended)


def odd_input(stage: Stage, tool: Tool) -> Finding:
    stage.extra["BIG"] = "b" * 120_000
    long = stage.script("long", "head -c 1000000 /dev/zero | tr '\\0' z\necho\necho big ${#BIG}\nexec sleep 100000\n")
    run = stage.start(tool.prepare(stage, {"long": long}))
    until(lambda: b"big 120000" in tool.lines(stage, run, "long"), 6, 0.05)
    whole = {b"z" * 1_000_000, b"big 120000"} <= set(tool.lines(stage, run, "long"))
    stage.clear()
    run = stage.start(tool.prepare(stage, {"semicolon": 'sh -c "echo one ; echo two ; sleep 1000"'}))
    both = until(lambda: b"two" in tool.lines(stage, run, "semicolon"), 4, 0.05) is not None
    stage.clear()
    run = stage.start(tool.prepare(stage, {"percent": 'sh -c "echo 100% of it; sleep 1000"'}))
    percent = until(lambda: b"100% of it" in tool.lines(stage, run, "percent"), 4, 0.05) is not None
    clear = percent or (run.ended and b"percent" in run.said and b"Traceback" not in run.said)
    text = [
        "variable and long line whole" if whole else "variable or long line cut",
        "`;` kept" if both else "cut at ` ;`",
        "`%` kept" if percent else "refuses a `%` that is not doubled" if clear else "`%` fails",
    ]
    return judged("; ".join(text), whole and both and clear, partly=whole)


def secret(stage: Stage, tool: Tool) -> Finding:
    stage.extra["CANARY_TOKEN"] = CANARY
    reference = "%(ENV_CANARY_TOKEN)s" if tool.name == "supervisord" else "$CANARY_TOKEN"
    commands = {"bad": f"no-such-program {reference}", "a": f"{stage.sleeper('a')} {reference}"}
    run = stage.start(tool.prepare(stage, commands))
    stage.ready("a")
    time.sleep(0.5)
    places = {
        "argv": b"".join(procfs.command_line(pid) for pid in tool.own(run)),
        "status": stage.ask(tool.status(stage) or ["true"]).stdout.encode(errors="replace"),
        "its own words": run.said,
    }
    files = [path for path in stage.folder.rglob("*") if path.is_file() and path.suffix not in (".sh", ".pids")]
    places["its files"] = b"".join(path.read_bytes() for path in files if not path.name.startswith("tool."))
    seen = [name for name, text in places.items() if CANARY.encode() in text]
    return judged(f"seen in {', '.join(seen)}" if seen else "seen nowhere", not seen)


SCENARIOS: dict[str, Scenario] = {"f44": inherited, "f45": first_process, "f49": odd_input, "f50": secret}
