"""Tells what an engine cannot say: of each key of procsup.toml that an export leaves out, one sentence by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from procsup.export.model import App, Type
from procsup.export.shell import shown

_Said = tuple[str, str, str]  # a key, its value and its place, as in the picture

# What is said in the picture itself, by numbers or variables, and so by every engine.
_ALWAYS = frozenset(
    {"count", "cwd", "env_file", "relationships", "restart", "restart_window", "release", "grace", "app", "sizes"}
    | {"max_processes", "ready_timeout", "live_interval"}
)
# What belongs to procsup's own console or to a developer's machine.
_OURS: Mapping[str, str] = {
    "watch": "only procsup restarts on a change of files",
    "quiet": "only procsup's own console has it",
    "surge": "only procsup's own rolling restart has it",
    "tty": "it has no terminals to attach to",
    "log_dir": "it keeps the output in its own way",
    "log_size": "it keeps the output in its own way",
    "log_count": "it keeps the output in its own way",
    "syslog": "it keeps the output in its own way",
}


def unsaid(
    app: App, engine: str, cannot: Mapping[str, str], says: Callable[[Type, str], bool] | None = None
) -> tuple[str, ...]:
    """`cannot`: the keys that this engine has nothing for, each with why, as in "it does not look at a process".

    `says`: whether it has something for this one of them in the case of this type. Only keys that the project uses are
    told; `false` and the like are not.
    """
    found = [("", each) for each in app.said]
    for of in app.types:
        found += [(f"{of.name}: ", each) for each in of.said if says is None or not says(of, each.key)]
    return tuple(_sentences(found, engine, {**_OURS, **cannot}))


def lost_sentence(variable: str, types: Sequence[str], why: str) -> str:
    return f"the variable {shown(variable)} of {', '.join(types)} is left out: {why}"


def is_text(value: str) -> bool:
    """Whether it can be written down where there are no other bytes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _sentences(said: Iterable[tuple[str, _Said]], engine: str, cannot: Mapping[str, str]) -> Iterator[str]:
    for subject, (key, value, place) in said:
        if key in cannot and key not in _ALWAYS and value not in ("false", "[]"):
            yield f"{subject}{key} = {value} ({place}) is left out: {engine} cannot say it, {cannot[key]}"
