"""How a stop is said to engines: names of signals, and what those leave out that know one signal and one grace."""

from __future__ import annotations

import signal

from procsup.export.model import App, Type


def signal_name(number: int) -> str:
    """`TERM`; a real-time signal as `RTMIN+3`."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return f"RTMIN+{number - signal.SIGRTMIN}"


def is_named(number: int) -> bool:
    """Whether it has a name that all know: real-time signals have none."""
    return number in (int(each) for each in signal.Signals)


def for_kill(number: int) -> str:
    """As a shell's `kill -s` takes it."""
    return signal_name(number) if is_named(number) else str(number)


def seconds(number: float) -> str:
    """To a microsecond, and without the exponent of `1e+06`, which neither systemd nor every `sleep` reads."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def ending_signal(of: Type) -> int:
    """The one for engines that send one only: the last before SIGKILL. Those before it may only ask for quiet."""
    return of.stop[-1].signal if of.stop else int(signal.SIGKILL)


def other_signals_unsaid(app: App, engine: str) -> tuple[str, ...]:
    """A sentence for each type whose stop has more signals than an engine can send."""
    return tuple(
        f"{each.name}: of its stop, {', '.join(signal_name(step.signal) for step in each.stop)}, only "
        f"{signal_name(ending_signal(each))} is sent, with {seconds(each.grace)} s before SIGKILL: {engine} knows "
        "one signal"
        for each in app.types
        if len(each.stop) > 1
    )
