"""One row played by all tools: one after the other, or side by side where what is measured is mostly waiting."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from benchmarks.bench import Bench
from benchmarks.gates import Late, limited
from benchmarks.reliability.contenders import Tool
from benchmarks.reliability.scenarios import SCENARIOS
from benchmarks.reliability.stage import Finding, Verdict, adopt_orphans, stage, without

LIMIT = 30.0
CLEARING = 25.0  # what may come on top of it until all that was started is gone
# Seconds of patience here; what the tools do meanwhile does not keep the machine busy.
SIDE_BY_SIDE = {"f05", "f08", "f10", "f16", "f19", "f22", "f26", "f27", "f31", "f32", "f33"}


def play(bench: Bench, row: str, tools: Sequence[Tool], end: float) -> list[Finding]:
    """What was seen on each of them; nothing is begun after `end` (monotonic)."""
    if time.monotonic() > end:
        return [without("no time left") for _ in tools]
    if row not in SIDE_BY_SIDE:
        return [_play(bench, row, tool) for tool in tools]
    fork = multiprocessing.get_context("fork")  # the limit of a scenario needs a main thread, orphans a sub-reaper
    pipes = [fork.Pipe(duplex=False) for _ in tools]
    players = [
        fork.Process(target=_report, args=(bench, row, tool, pipe))
        for tool, (_, pipe) in zip(tools, pipes, strict=True)
    ]
    try:
        for player in players:
            player.start()
        return [ours.recv() if ours.poll(LIMIT + CLEARING) else without("not measured: no end") for ours, _ in pipes]
    finally:
        for player in players:
            if player.pid is not None:
                player.join(0.5)
                player.terminate()
                player.join(CLEARING)
        for pair in pipes:
            for pipe in pair:
                pipe.close()


def _report(bench: Bench, row: str, tool: Tool, pipe: Connection) -> None:
    adopt_orphans()
    pipe.send(_play(bench, row, tool))


def _play(bench: Bench, row: str, tool: Tool) -> Finding:
    """One scenario with one tool; whatever goes wrong with it is a finding, and the others go on."""
    with stage(bench, f"{row}-{tool.name}") as scene:
        try:
            with limited(LIMIT, "not done"):
                return SCENARIOS[row](scene, tool)
        except Late as error:
            return Finding(Verdict.NOT, str(error)[:160])
        except Exception as error:  # a scenario that breaks says nothing about the tool
            return without(f"not measured: {type(error).__name__}: {error}"[:160])
