"""Too few descriptors, too few processes, and very many children."""

from __future__ import annotations

import os
import resource
import shutil
import time

from benchmarks import procfs
from benchmarks.reliability.contenders import Argv, Tool
from benchmarks.reliability.stage import Finding, Running, Scenario, Stage, judged, without
from benchmarks.samples import seconds

NOBODY = 64_521  # nobody else's: RLIMIT_NPROC counts all processes of a user


def few_descriptors(stage: Stage, tool: Tool) -> Finding:
    count = 60
    argv = tool.prepare(stage, {"a": stage.sleeper("a")}, count=count, settings={"minfds": 64})
    run = stage.start(argv, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    return _as_many_as_fit(stage, tool, run, count)


def few_processes(stage: Stage, tool: Tool) -> Finding:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return without("needs root, to be another user")
    count = 40
    command = stage.sleeper("a")
    argv = tool.prepare(stage, {"a": command}, count=count, settings={"minprocs": 20, "user": None})
    for folder, _, files in os.walk(stage.folder):
        for name in (folder, *(os.path.join(folder, file) for file in files)):
            os.chown(name, NOBODY, NOBODY)
    stage.bench.folder.chmod(0o755)
    # The tools may be installed where only root may read: this capability lets the other user in, and does no more.
    other: Argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=+dac_override"]
    other += ["--ambient-caps=+dac_override"]
    run = stage.start([*other, "prlimit", "--nproc=30", *argv])
    return _as_many_as_fit(stage, tool, run, count, other)


def _as_many_as_fit(stage: Stage, tool: Tool, run: Running, count: int, who: Argv | None = None) -> Finding:
    time.sleep(8)  # supervisord gives up after some six
    there = len(stage.living("a"))
    if run.ended:
        return judged(f"ended with {run.process.returncode}; {there} children left", False)
    status = tool.status(stage)
    if status is None:
        broken = b"Traceback" in run.said
        return judged(
            f"{there} of {count} run{', traceback' if broken else ''}", False, partly=there > 0 and not broken
        )
    begun = time.monotonic()
    answer = stage.ask([*(who or []), *status])
    took = time.monotonic() - begun
    said, good = answer.stdout, answer.stdout.lower().count("running") > 0
    fatal = said.count("FATAL")
    rest = f"{fatal} given up" if fatal else "the rest waits and says why" if "next try" in said else "the rest waits"
    text = f"{there} of {count} run, {rest}; {f'answers in {seconds(took)}' if good else 'no answer'}"
    return judged(text, good and not fatal and there > 0, partly=there > 0)


def very_many(stage: Stage, tool: Tool) -> Finding:
    count = 300
    run = stage.start(tool.prepare(stage, {"a": stage.sleeper("a")}, count=count))
    stage.ready("a", each=count, within=20)
    time.sleep(1.5)
    own = tool.own(run)
    before = procfs.cpu_seconds(own)
    time.sleep(4)
    share = (procfs.cpu_seconds(own) - before) / 4
    took = run.stop(8)
    left = len(stage.living("a"))
    stop = "not stopped after 8 s" if took is None else f"stop {seconds(took)}"
    text = f"{count}: {share:.2%} CPU, {stop}{f', {left} left' if left else ''}"
    return judged(text, share < 0.005 and took is not None and took < 5 and not left, partly=not left)


SCENARIOS: dict[str, Scenario] = {"f22": few_descriptors, "f23": few_processes, "f41": very_many}
