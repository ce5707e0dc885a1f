from __future__ import annotations

import pytest

from tests.e2e.app import App


@pytest.fixture
def running(app: App) -> App:
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")
    app.start("-p", "6000")
    app.until_running("web.1", "worker.1")
    return app
