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


@pytest.fixture
def running(app: App) -> App:
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")
    app.start("-p", "6000")
    app.until_running("web.1", "worker.1")
    return app
