"""Stops that meet resistance, supervisors that are killed, and who is left afterwards."""

from __future__ import annotations

import random
import signal
import time

from benchmarks.reliability.contenders import Argv, Tool
from benchmarks.reliability.stage import GRACE, Finding, Scenario, Stage, judged, kill, until
from benchmarks.samples import seconds

DAEMON = """\
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open(sys.argv[1], "a") as pids:
            pids.write(f"{os.getpid()}\\n")
        os.closerange(0, 256)
        time.sleep(100000)
    os._exit(0)
os.wait()
time.sleep(100000)
"""


def supervisor_killed(stage: Stage, tool: Tool) -> Finding:
    argv = tool.prepare(stage, {"a": stage.sleeper("a"), "b": stage.sleeper("b")})
    run = stage.start(argv)
    stage.ready("a", "b")
    time.sleep(0.5)
    kill(run.pid)
    took = until(lambda: not stage.living("a", "b"), 3)
    left = len(stage.living("a", "b"))
    copies = _after_next_start(stage, argv, "a", "b")
    text = f"{left} of 2 left after 3 s" if took is None else f"all stopped after {seconds(took)}"
    return judged(f"{text}; next start: {copies} run instead of 2", took is not None and copies == 2, copies == 2)


def helpers_killed(stage: Stage, tool: Tool) -> Finding:
    hidden = stage.sleeper("hidden")
    parent = stage.script("a", f"setsid {hidden} &\n{stage.says('a')}\nexec sleep 100000\n")
    argv = tool.prepare(stage, {"a": parent})
    run = stage.start(argv)
    stage.ready("a", "hidden")
    for pid in reversed(tool.own(run)):  # helpers first: none may notice
        kill(pid, signal.SIGSTOP)
    for pid in tool.own(run):
        kill(pid)
    copies = _after_next_start(stage, argv, "a", "hidden")
    return judged(f"after the next start {copies} run instead of 2", copies == 2)


def _after_next_start(stage: Stage, argv: Argv, *names: str) -> int:
    before = {name: len(stage.pids(name)) for name in names}
    stage.start(argv)
    until(lambda: all(len(stage.pids(name)) > before[name] for name in names), 8)
    time.sleep(0.3)
    return len(stage.living(*names))


def one_deaf(stage: Stage, tool: Tool) -> Finding:
    run = stage.start(tool.prepare(stage, {"deaf": stage.deaf("deaf"), "good": stage.sleeper("good")}))
    stage.ready("deaf", "good")
    begun = time.monotonic()
    kill(run.pid, signal.SIGTERM)
    other = until(lambda: not stage.living("good"), 15)
    until(lambda: not stage.living("deaf"), 15)
    took = time.monotonic() - begun
    if other is None or stage.living("deaf"):
        return judged("still there after 15 s", False)
    until(lambda: run.ended, 3)
    told = any(b"deaf" in line and b"kill" in line.lower() for line in run.said.splitlines())
    text = f"killed after {seconds(took)}{', told' if told else ''}; the other gone after {seconds(other)}"
    return judged(text, took <= GRACE + 0.5 and other < 1 and told, partly=True)


def many_deaf(stage: Stage, tool: Tool) -> Finding:
    count = 20
    names = [f"deaf{number}" for number in range(count)]
    text, took = _deaf_stop(stage, tool, {name: stage.deaf(name) for name in names}, 1)
    if tool.name == "supervisord":
        stage.clear()
        other, _ = _deaf_stop(stage, tool, {"copies": stage.deaf("copies")}, count)
        text += f" (as one program with numprocs={count}: {other})"
    return judged(text, took is not None and took <= GRACE + 1, partly=took is not None)


def _deaf_stop(stage: Stage, tool: Tool, commands: dict[str, str], count: int) -> tuple[str, float | None]:
    run = stage.start(tool.prepare(stage, commands, count=count))
    stage.ready(*commands, each=count)
    limit = 6.0
    kill(run.pid, signal.SIGTERM)
    took = until(lambda: not stage.living(*commands), limit)
    left = len(stage.living(*commands))
    return (f"{left} of 20 left after {limit:g} s" if took is None else f"all gone after {seconds(took)}"), took


def ampersand(stage: Stage, tool: Tool) -> Finding:
    one, two = stage.sleeper("one"), stage.sleeper("two")
    return _nothing_left(stage, tool, f'sh -c "{one} & {two}"', "one", "two")


def daemonised(stage: Stage, tool: Tool) -> Finding:
    return _nothing_left(stage, tool, f"{stage.program('daemon', DAEMON)} {stage.folder}/daemon.pids", "daemon")


def _nothing_left(stage: Stage, tool: Tool, command: str, *names: str) -> Finding:
    run = stage.start(tool.prepare(stage, {"a": command}))
    stage.ready(*names)
    time.sleep(0.3)
    took = run.stop(GRACE + 5)
    left = len(stage.living(*names))
    ended = f"ended after {seconds(took)}" if took is not None else f"not ended after {GRACE + 5} s"
    return judged(f"{ended}, {left or 'nothing'} left", not left and took is not None)


def suspended(stage: Stage, tool: Tool) -> Finding:
    run = stage.start(tool.prepare(stage, {"a": stage.sleeper("a")}))
    stage.ready("a")
    time.sleep(1.2)
    kill(stage.pids("a")[0], signal.SIGSTOP)
    time.sleep(0.1)
    kill(run.pid, signal.SIGTERM)
    took = until(lambda: not stage.living("a"), 7)
    text = "still there after 7 s" if took is None else f"gone after {seconds(took)}"
    return judged(text, took is not None and took <= 1, partly=took is not None)


def all_signalled(stage: Stage, tool: Tool) -> Finding:
    limit, turns, again, count = time.monotonic() + 10, 0, 0, 5
    argv = tool.prepare(stage, {"a": stage.sleeper("a")}, count=count)
    dice = random.Random(31)
    while time.monotonic() < limit and turns < 20:
        before = len(stage.pids("a"))
        run = stage.start(argv)
        stage.ready("a", each=before + count)
        # What supervisord has not seen up for a second counts as not started; here all are to be running.
        time.sleep(1.1 if tool.name == "supervisord" else 0.1)
        for pid in stage.living("a"):
            kill(pid, signal.SIGTERM)
        time.sleep(dice.uniform(0, 0.15))
        if run.stop(6) is None:
            return judged(f"not ended after 6 s in turn {turns + 1}", False)
        again += len(stage.pids("a")) > before + count
        turns += 1
    text = f"something started again in {again} of {turns} turns"
    return judged(text if tool.restarts else f"{text}: it never restarts", again == 0)


def asked_twice(stage: Stage, tool: Tool) -> Finding:
    run = stage.start(tool.prepare(stage, {"a": stage.deaf("a")}, grace=10))
    stage.ready("a")
    time.sleep(0.3)
    kill(run.pid, signal.SIGTERM)
    time.sleep(0.5)
    took = run.stop(4)
    left = len(stage.living("a"))
    text = "second one ignored for 4 s" if took is None else f"out after {seconds(took)}"
    return judged(f"{text}{f', {left} left' if left else ''}", took is not None and took <= 1 and not left)


def frozen_itself(stage: Stage, tool: Tool) -> Finding:
    flaky = stage.script("b", f"{stage.says('b')}\nsleep 0.5\nexit 1\n")
    commands = {"a": stage.sleeper("a"), **({"b": flaky} if tool.restarts else {})}
    run = stage.start(tool.prepare(stage, commands))
    stage.ready("a")
    time.sleep(1.2)
    own, before = tool.own(run), len(stage.pids("b"))
    for pid in own:
        kill(pid, signal.SIGSTOP)
    time.sleep(5)
    for pid in own:
        kill(pid, signal.SIGCONT)
    time.sleep(0.5)
    burst, same = len(stage.pids("b")) - before, len(stage.pids("a")) == 1 == len(stage.living("a"))
    took = run.stop(GRACE + 3)
    text = "same child" if same else "child not the same"
    text += f", {burst} starts of a failing one just after; " if tool.restarts else "; "
    text += "stop hangs" if took is None else f"stop in {seconds(took)}"
    return judged(text, same and burst <= 1 and took is not None)


SCENARIOS: dict[str, Scenario] = {
    "f02": supervisor_killed,
    "f03": helpers_killed,
    "f04": one_deaf,
    "f05": many_deaf,
    "f06": ampersand,
    "f07": daemonised,
    "f26": suspended,
    "f27": frozen_itself,
    "f31": all_signalled,
    "f32": asked_twice,
}
