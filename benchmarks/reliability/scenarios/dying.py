"""Children that die, or seem to: killed, gone with others left, gone at once again and again."""

from __future__ import annotations

import signal
import time

from benchmarks import procfs
from benchmarks.reliability.contenders import Tool
from benchmarks.reliability.stage import Finding, Scenario, Stage, judged, kill, until, without
from benchmarks.samples import seconds

ENDS_ALL = "ends all with the first"


def killed(stage: Stage, tool: Tool) -> Finding:
    run = stage.start(tool.prepare(stage, {"a": stage.sleeper("a"), "b": stage.sleeper("b")}))
    stage.ready("a", "b")
    time.sleep(1.2)  # supervisord takes it for started after a second
    kill(stage.pids("a")[0])
    took = until(lambda: len(stage.pids("a")) > 1, 5)
    if took is None:
        ended = until(lambda: run.ended, 8) is not None
        return judged(f"not replaced; {ENDS_ALL if ended else 'the others run on'}", False)
    status = [*(tool.status(stage) or ["true"]), *(["--json"] if tool.name == "procsup" else [])]
    told = "SIGKILL" in stage.ask(status).stdout
    how = "told in `status --json`" if told else "told in its log only" if b"SIGKILL" in run.said else "not told why"
    return judged(f"replaced after {seconds(took)}; {how}", took <= 0.1 and told, partly=True)


def leader_gone(stage: Stage, tool: Tool) -> Finding:
    member = stage.sleeper("member")
    leader = stage.script("leader", f"{stage.says('leader')}\n{member} &\nexit 0\n")
    run = stage.start(tool.prepare(stage, {"a": leader}))
    stage.ready("member")
    most, until_then = 0, time.monotonic() + 3
    while time.monotonic() < until_then:
        most = max(most, len(stage.living("member")))
        time.sleep(0.01)
    starts, gave_up = len(stage.pids("leader")), "FATAL" in stage.ask(tool.status(stage) or ["true"]).stdout
    seen = starts > 1 or tool.saw_end(run, "a")
    run.stop(6)
    left = len(stage.living("member"))
    text = f"{most} at once in 3 s, {starts} starts{', then gave up' if gave_up else ''}"
    text += "" if seen else "; end of the leader not seen"
    text += f"; {left} left after stop" if left else ""
    return judged(text, most == 1 and seen and not left, partly=most == 1 and not left)


def held_output(stage: Stage, tool: Tool) -> Finding:
    holder = stage.script("holder", f"{stage.says('holder')}\ntrap '' TERM\nsleep 0.3\necho late\nexec sleep 100000\n")
    leader = stage.script("leader", f"{holder} &\n{stage.says('leader')}\nexec sleep 100000\n")
    run = stage.start(tool.prepare(stage, {"a": leader}))
    stage.ready("leader", "holder")
    time.sleep(0.2)
    kill(stage.pids("leader")[0], signal.SIGTERM)
    took = until(lambda: tool.saw_end(run, "a"), 4)
    if took is None:
        return judged("end not seen in 4 s, while the other holds stdout", False)
    until(lambda: b"late" in tool.lines(stage, run, "a"), 2)
    late = b"late" in tool.lines(stage, run, "a")
    return judged(f"seen after {seconds(took)}; late line {'kept' if late else 'lost'}", took <= 0.1 and late, late)


def closed_output(stage: Stage, tool: Tool) -> Finding:
    command = stage.script("a", f"exec >/dev/null 2>&1 >&- 2>&-\n{stage.says('a')}\nexec sleep 100000\n")
    run = stage.start(tool.prepare(stage, {"a": command}))
    stage.ready("a")
    time.sleep(1.2)
    own = tool.own(run)
    before = procfs.cpu_seconds(own)
    time.sleep(3)
    share = (procfs.cpu_seconds(own) - before) / 3
    there = len(stage.living("a")) == 1 and len(stage.pids("a")) == 1
    return judged(f"{share:.1%} CPU; {'runs on' if there else 'not the same child any more'}", share < 0.01 and there)


def ends_at_once(stage: Stage, tool: Tool) -> Finding:
    command = stage.script("a", f"{stage.says('a')}\nexit 1\n")
    run = stage.start(tool.prepare(stage, {"a": command, "b": stage.sleeper("b")}))
    if not tool.restarts and until(lambda: run.ended, 10) is not None:
        return without(ENDS_ALL)
    stage.ready("a", "b")
    own, begun = tool.own(run), time.monotonic()
    before = procfs.cpu_seconds(own)
    time.sleep(max(0, begun + 20 - time.monotonic()))
    share = (procfs.cpu_seconds(own) - before) / 20
    said = stage.ask(tool.status(stage) or ["true"]).stdout
    gave_up = "FATAL" in said
    state = "gave up" if gave_up else "says when it tries next" if "next try in" in said else "goes on"
    text = f"{len(stage.pids('a'))} starts in 20 s, {share:.1%} CPU; {state}"
    return judged(text, len(stage.pids("a")) <= 8 and share < 0.02 and not gave_up, partly=share < 0.02)


def many_end_at_once(stage: Stage, tool: Tool) -> Finding:
    status = tool.status(stage)
    if status is None:
        return without(ENDS_ALL)
    count = 200
    command = stage.script("a", f"{stage.says('a')}\nexit 1\n")
    stage.start(tool.prepare(stage, {"a": command}, count=count))
    stage.ready("a", each=count // 2, within=15)
    slowest = 0.0
    for _ in range(8):
        begun = time.monotonic()
        said = stage.ask(status, 5).stdout
        slowest = max(slowest, time.monotonic() - begun)
        time.sleep(0.3)
    fatal = said.count("FATAL")
    text = f"slowest answer of 8: {seconds(slowest)}" + (f"; {fatal} of {count} given up" if fatal else "")
    return judged(text, slowest < 1 and not fatal, partly=slowest < 1)


def not_found(stage: Stage, tool: Tool) -> Finding:
    run = stage.start(tool.prepare(stage, {"bad": "no-such-program --here", "good": stage.sleeper("good")}))
    stage.ready("good")
    time.sleep(2)
    runs = len(stage.living("good")) == 1
    said = run.said.decode(errors="replace") + stage.ask(tool.status(stage) or ["true"]).stdout
    named = any("bad" in line and "no-such-program" in line for line in said.splitlines())
    gave_up = "FATAL" in said
    text = "named with its cause" if named else "cause not named"
    text += "; the other runs" if runs else "; the other was ended"
    text += ", gave up" if gave_up else ""
    return judged(text, named and runs and not gave_up, partly=named and runs)


SCENARIOS: dict[str, Scenario] = {
    "f01": killed,
    "f08": leader_gone,
    "f09": held_output,
    "f10": closed_output,
    "f19": ends_at_once,
    "f20": many_end_at_once,
    "f21": not_found,
}
