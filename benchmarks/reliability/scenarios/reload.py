"""The files change while all runs: one line, then nonsense."""

from __future__ import annotations

import time

from benchmarks.reliability.contenders import Tool
from benchmarks.reliability.stage import Finding, Scenario, Stage, judged, until, without


def changed_files(stage: Stage, tool: Tool) -> Finding:
    reload = tool.reload(stage)
    if reload is None:
        return without("no reload")
    commands = {"a": stage.sleeper("a"), "b": stage.sleeper("b")}
    stage.start(tool.prepare(stage, commands))
    stage.ready("a", "b")
    time.sleep(1.2)
    tool.prepare(stage, {**commands, "b": stage.sleeper("c")})
    stage.ask(reload)
    replaced = until(lambda: len(stage.living("c")) == 1 and not stage.living("b"), 6) is not None
    kept = len(stage.pids("a")) == 1
    config = stage.folder / ("Procfile" if tool.name == "procsup" else "supervisord.conf")
    config.write_text(config.read_text() + "\n<<<<<<< HEAD\n=======\n")
    broken = stage.ask(reload)
    time.sleep(0.5)
    unharmed = len(stage.living("a", "c")) == 2 and len(stage.pids("a")) == 1 == len(stage.pids("c"))
    text = ("only it restarted" if kept else "others restarted too") if replaced else "not taken over"
    text += "; broken file: " + ("refused, all unharmed" if broken.returncode and unharmed else "said nothing")
    holds = replaced and kept and unharmed and broken.returncode != 0
    if tool.name == "supervisord":
        extra = _more_copies(stage, tool)
        return judged(f"{text}; {extra}", holds and "0 of" in extra, partly=replaced and kept)
    return judged(text, holds, partly=replaced and kept)


def _more_copies(stage: Stage, tool: Tool) -> str:
    """What happens to two copies when their group is to have three: supervisord's only way to change a number."""
    stage.clear()
    commands = {"d": stage.sleeper("d")}
    stage.start(tool.prepare(stage, commands, count=2))
    stage.ready("d", each=2)
    time.sleep(1.2)
    first = stage.pids("d")
    tool.prepare(stage, commands, count=3)
    stage.ask(tool.reload(stage) or ["true"])
    until(lambda: len(stage.living("d")) == 3, 6)
    gone = sum(pid not in stage.living("d") for pid in first)
    return f"numprocs 2 → 3 restarts {gone} of 2"


SCENARIOS: dict[str, Scenario] = {"f39": changed_files}
