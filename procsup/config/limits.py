"""What the instances of each process type may use, and in which words that is said."""

from __future__ import annotations

from procsup.config.project import Project
from procsup.config.settings import Limits
from procsup.config.sizes import in_words

UNLIMITED = Limits()


def limits_of(project: Project) -> dict[str, Limits]:
    """Of the types that have any."""
    found = {each.name: project.settings.limits(each.name) for each in project.types}
    return {name: limits for name, limits in found.items() if limits != UNLIMITED}


def describe(limits: Limits) -> str:
    """`memory 256 MiB, cpu 0.5`."""
    parts = [f"memory {in_words(limits.memory)}"] if limits.memory is not None else []
    parts += [f"cpu {limits.cpu:g}"] if limits.cpu is not None else []
    return ", ".join(parts) or "none"


def explained(project: Project, name: str) -> str | None:
    """With where each comes from: `memory 256 MiB, cpu 1 (size S, procsup.toml:3; cpu, procsup.toml:4)`."""
    limits, own = project.settings.limits(name), project.settings.of(name)
    if limits == UNLIMITED:
        return None
    given = {"memory": own.memory, "cpu": own.cpu}
    keys = [("size", f"size {own.size}")] if own.size is not None else []
    keys += [(key, key) for key, value in given.items() if value is not None]
    return f"{describe(limits)} ({'; '.join(f'{word}, {project.settings.place(name, key)}' for key, word in keys)})"
