"""What is another between a project as it was read before and as it is read now, in words, for one process type."""

from __future__ import annotations

from procsup.config.project import Project
from procsup.config.settings import NEXT_START, QUIET, STARTED_WITH, TypeSettings

# These change the environment, and are told with it.
_OF_ENVIRONMENT = ("env", "env_file", "relationships")
# The count and the limits are told by those who apply them.
_TOLD_ELSEWHERE = ("count", "size", "memory", "cpu")


def why_restart(old: Project, new: Project, name: str) -> str:
    """Empty where a copy that runs was started from the same."""
    if old.fingerprint(name) == new.fingerprint(name):
        return ""
    reasons = []
    if old.type(name).command != new.type(name).command:
        reasons.append("its command changed")
    if variables := _variables(old, new, name):
        keys = [key for key in _OF_ENVIRONMENT if _said(old, name, key, variables) != _said(new, name, key, variables)]
        because = f" ({_and(keys)} in procsup.toml)" if keys else ""
        reasons.append(f"its environment changed: {', '.join(variables)}{because}")
    if keys := [key for key in STARTED_WITH if old.started_with(name, key) != new.started_with(name, key)]:
        reasons.append(f"its {_and(keys)} changed")
    return "; ".join(reasons)


def why_keep(old: Project, new: Project, name: str) -> str:
    """What changed that no copy has to be restarted for; empty where nothing did."""
    before, after = old.settings.of(name), new.settings.of(name)
    others = [key for key in TypeSettings._fields if key not in (*_OF_ENVIRONMENT, *_TOLD_ELSEWHERE, *STARTED_WITH)]
    keys = [key for key in others if getattr(before, key) != getattr(after, key)]
    felt = [key for key in keys if key != QUIET]
    said = [f"its {_and(felt)} changed, which needs no restart"] if felt else []
    said += [f"its {QUIET} changed, which {NEXT_START}"] if QUIET in keys else []
    return "; ".join(said)


def _variables(old: Project, new: Project, name: str) -> list[str]:
    before, after = old.environments.of(name), new.environments.of(name)
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key) and key != "PORT")


def _said(project: Project, name: str, key: str, variables: list[str]) -> object:
    """What a key has to do with these variables: what it sets them to, or, of relationships, which it lets through."""
    settings = project.settings
    if key == "relationships":
        return settings.visible(name, dict.fromkeys(variables, ""))
    if key == "env":
        values = {**settings.defaults.env, **settings.own_env(name)}
    else:
        files = project.type_files.get(name, ())
        values = {each.name: each.value for _, bindings in files for each in bindings}
    return [values.get(each) for each in variables]


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
