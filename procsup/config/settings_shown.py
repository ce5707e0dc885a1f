"""What procsup.toml says, as it may be shown: each key in TOML's own words, with where it stands, and no secret."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from procsup.config.project import Project
from procsup.config.secrets import mask_text, masked
from procsup.config.settings import Check, Limits, Settings, Step, TypeSettings
from procsup.config.settings_keys import OF_A_TYPE, OF_THE_APP
from procsup.config.settings_values import SIZE
from procsup.config.sizes import write_size


class Said(NamedTuple):
    """A key, or `env.NAME`, with its value and its place, as in `procsup.toml:3`."""

    key: str
    value: str
    place: str


def said_of_type(project: Project, name: str) -> Iterator[Said]:
    """What holds for a process type, by its own table or by the top of the file; what nobody has said is left out."""
    settings, secrets = project.settings, project.environments.secrets
    own = settings.of(name)
    for key in OF_A_TYPE:
        if key == "env":
            for variable, value in masked(settings.visible_env(name), secrets).items():
                yield Said(f"env.{variable}", _in_toml(value, secrets), settings.place(name, f"env.{variable}") or "")
        elif (place := _place_of_key(settings, name, key)) is not None:
            yield Said(key, _of_key(own, key, secrets), place)


def said_of_app(project: Project) -> Iterator[Said]:
    settings, secrets = project.settings, project.environments.secrets
    for key in OF_THE_APP:
        value = getattr(settings, key)
        if isinstance(value, dict):
            for inner, each in value.items():
                yield Said(f"{key}.{inner}", _in_toml(each, secrets), settings.places["", f"{key}.{inner}"])
        elif ("", key) in settings.places:
            yield Said(key, _of_key(settings, key, secrets), settings.places["", key])


def _place_of_key(settings: Settings, name: str, key: str) -> str | None:
    """A key that means another thing at the top of the file has no place there."""
    return settings.places.get((name, key)) if key in OF_THE_APP else settings.place(name, key)


def _of_key(values: TypeSettings | Settings, key: str, secrets: Sequence[str]) -> str:
    value = getattr(values, key)
    schema = (OF_A_TYPE if isinstance(values, TypeSettings) else OF_THE_APP)[key].schema
    if schema is SIZE:
        return json.dumps(write_size(value))
    return _in_toml(_stop(value) if key == "stop" else value, secrets)


def _in_toml(value: object, secrets: Sequence[str]) -> str:
    if isinstance(value, str):
        return json.dumps(mask_text(value, secrets), ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_in_toml(each, secrets)}" for key, each in value.items()) + " }"
    if isinstance(value, Limits):
        limits = {"memory": value.memory and write_size(value.memory), "cpu": value.cpu}
        return _in_toml({key: each for key, each in limits.items() if each is not None}, secrets)
    if isinstance(value, Check):
        return _in_toml(str(value), secrets)
    if isinstance(value, tuple):
        return f"[{', '.join(_in_toml(each, secrets) for each in value)}]"
    return str(value)


def _stop(steps: Sequence[Step]) -> str:
    return ", ".join(f"{_signal(each.signal)}{'' if each.wait is None else f', {each.wait:g}'}" for each in steps)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return f"RTMIN+{number - signal.SIGRTMIN}"
