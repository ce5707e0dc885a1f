"""Tells what an engine cannot say: of each key of procsup.toml that an export leaves out, one sentence by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from procsup.export.model import App

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


def unsaid(app: App, engine: str, cannot: Mapping[str, str]) -> tuple[str, ...]:
    """`cannot`: the keys that this engine has nothing for, each with why, as in "it does not look at a process".

    Only keys that the project uses are told; `false` and the like are not.
    """
    return tuple(_sentences(app, engine, {**_OURS, **cannot}))


def _sentences(app: App, engine: str, cannot: Mapping[str, str]) -> Iterator[str]:
    for who, said in (("", app.said), *((each.name, each.said) for each in app.types)):
        for key, value, place in said:
            if key in cannot and key not in _ALWAYS and value not in ("false", "[]"):
                subject = f"{who}: " if who else ""
                yield f"{subject}{key} = {value} ({place}) is left out: {engine} cannot say it, {cannot[key]}"
