"""docs/settings.md has every key of procsup.toml, each with an example that is understood."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from procsup.config.settings_file import parse_settings
from procsup.config.settings_keys import OF_A_TYPE, OF_THE_APP

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "settings.md").read_text()
GROUPS = "\n[relationships]\nrabbitmq = ['RABBITMQ_*']\n"


def rows(heading: str) -> dict[str, str]:
    """The keys of the table under a heading, each with its example."""
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `([^|]*)` \| .+ \|$", part, re.MULTILINE))


def test_every_key_has_its_row() -> None:
    assert set(rows("Keys of a process type")) == set(OF_A_TYPE)
    assert set(rows("Keys of the app")) == set(OF_THE_APP)


@pytest.mark.parametrize("key", OF_A_TYPE)
def test_the_example_of_a_key_of_a_type_is_understood(key: str) -> None:
    example = rows("Keys of a process type")[key]
    text = f"{GROUPS if key == 'relationships' else ''}[processes.worker]\n{example}\n"
    settings = parse_settings(text.encode(), ("web", "worker"), "Procfile")
    assert settings.place("worker", key)


@pytest.mark.parametrize("key", OF_THE_APP)
def test_the_example_of_a_key_of_the_app_is_understood(key: str) -> None:
    settings = parse_settings(rows("Keys of the app")[key].encode(), ("web",), "Procfile")
    assert ("", key) in settings.places


def test_the_files_that_it_shows_are_right() -> None:
    shown = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(shown) >= 2
    for text in shown:
        parse_settings(text.encode(), ("web", "queue", "mail"), "Procfile")
