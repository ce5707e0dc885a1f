"""Figures taken in turns (A B A B …), so that a change of the machine's mood meets all contenders alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Samples:
    """The figures of one contender for one thing; `failure` says why there are none."""

    values: list[float] = field(default_factory=list)
    failure: str | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def show(self, unit: Callable[[float], str]) -> str:
        """Median (min-max), or the failure."""
        if not self.values:
            return self.failure or "not measured"
        text = unit(self.median)
        if len(self.values) > 1:
            text += f" ({unit(min(self.values))} to {unit(max(self.values))})"
        return text if self.failure is None else f"{text}; then {self.failure}"


def interleave(contenders: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1) -> dict[str, Samples]:
    """Run all contenders once a round; the first `warm_up` rounds fill caches and are forgotten.

    A contender that fails once is left out from there on: its reason is a result too, and the others go on.
    """
    taken = {name: Samples() for name in contenders}
    for turn in range(-warm_up, rounds):
        for name, measure in contenders.items():
            if taken[name].failure is not None:
                continue
            try:
                value = measure()
            except Exception as error:  # any failure of a contender is its result
                taken[name].failure = f"failed: {error}"
                continue
            if turn >= 0:
                taken[name].values.append(value)
    return taken


def seconds(value: float) -> str:
    """A time for people: 0.42 ms, 12.3 ms, 1.23 s."""
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.{2 if value < 0.01 else 1}f} ms"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:.1f} MiB"


def ratio(ours: Samples, theirs: Samples) -> float | None:
    """Ratio of the medians; None where one of them is missing."""
    return ours.median / theirs.median if ours.values and theirs.values else None


@dataclass(frozen=True)
class Row:
    """A line of the table: `against` holds (who, figure) pairs, `met` is None where procsup was not measured."""

    what: str
    reach: str
    ours: str
    against: tuple[tuple[str, str], ...]
    result: str
    met: bool | None
