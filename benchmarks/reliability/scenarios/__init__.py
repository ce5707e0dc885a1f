"""The faults, played in real life: each function meets one tool on a stage of its own and says what it saw."""

from benchmarks.reliability.scenarios import commanding, dying, limits, output, reload, stopping, surroundings, terminal
from benchmarks.reliability.stage import Scenario

SCENARIOS: dict[str, Scenario] = dict(
    sorted(
        {
            **dying.SCENARIOS,
            **stopping.SCENARIOS,
            **output.SCENARIOS,
            **terminal.SCENARIOS,
            **commanding.SCENARIOS,
            **reload.SCENARIOS,
            **limits.SCENARIOS,
            **surroundings.SCENARIOS,
        }.items()
    )
)
