"""How everybody is, in one line: `web ●2  worker ●3  css ✗ exit 1, next try in 4 s`."""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from locale import getpreferredencoding

from procsup.core.model import BackingOff, Instance
from procsup.core.supervisor import Supervisor
from procsup.output.console import Console
from procsup.runtime.wording import ending, seconds, state_word

# What a person looks for first stands last in the line, beside its reason.
_MARKS = {
    "running": "●",
    "starting": "◌",
    "stopping": "◍",
    "stopped": "○",
    "exited": "○",
    "failed": "✗",
    "backoff": "✗",
}
_PLAIN = {
    "running": "+",
    "starting": "~",
    "stopping": "-",
    "stopped": "o",
    "exited": "o",
    "failed": "x",
    "backoff": "x",
}


def overview(formation: Mapping[str, int], instances: Iterable[Instance], now: float) -> str:
    marks = _MARKS if _terminal_speaks_unicode() else _PLAIN
    by_type: dict[str, list[Instance]] = {name: [] for name in formation}
    for instance in instances:
        by_type.setdefault(instance.name.type, []).append(instance)
    return "  ".join(_type(name, each, marks, now) for name, each in by_type.items() if each)


@cache
def _terminal_speaks_unicode() -> bool:
    return "utf" in getpreferredencoding(False).lower()


def _type(name: str, instances: list[Instance], marks: Mapping[str, str], now: float) -> str:
    counts = Counter(state_word(each) for each in instances)
    parts = [
        f"{marks[state]}{counts[state]}" for state in marks if counts[state] and state not in ("backoff", "failed")
    ]
    for state in ("failed", "backoff"):
        if counts[state]:
            worst = next(each for each in instances if state_word(each) == state)
            times = f"{counts[state]} " if counts[state] > 1 else ""
            parts.append(f"{marks[state]} {times}{_reason(worst, now)}")
    return " ".join((name, *parts))


def _reason(instance: Instance, now: float) -> str:
    if isinstance(instance.state, BackingOff):
        return f"{ending(instance.state.exit)}, next try in {seconds(max(1.0, round(instance.state.until - now)))}"
    return f"{ending(instance.last_exit)}, given up" if instance.last_exit is not None else "given up"


class Overview:
    """Keeps the line at the foot of the console's terminal, where there is one: once a second while it counts down."""

    def __init__(self, loop: AbstractEventLoop, console: Console) -> None:
        self._loop = loop
        self._console = console
        self._timer: TimerHandle | None = None

    def show(self, supervisor: Supervisor, now: float) -> None:
        if not self._console.style.status:
            return
        self.close()
        instances = supervisor.instances()
        self._console.show_status(overview(supervisor.formation, instances, now))
        if any(isinstance(each.state, BackingOff) for each in instances):
            self._timer = self._loop.call_later(1, self.show, supervisor, now + 1)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
