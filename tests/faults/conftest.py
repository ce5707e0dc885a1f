from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.app import App


@pytest.fixture
def app(tmp_path: Path, nothing_left_behind: None) -> Iterator[App]:
    app = App(tmp_path / "app")
    try:
        yield app
    finally:
        app.clean_up()
