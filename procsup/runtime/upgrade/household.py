"""Who belongs to a running supervisor: together they are what is handed over when it becomes another version."""

from __future__ import annotations

from collections.abc import Mapping

from procsup.config.reader import ProjectReader
from procsup.control.server import ControlServer
from procsup.output.console import Console
from procsup.output.history import History
from procsup.output.pump import Pump
from procsup.runtime.beginning import Beginning
from procsup.runtime.daemon import Daemon
from procsup.runtime.guardian import Guardian
from procsup.runtime.options import RunOptions
from procsup.runtime.outlets import Outlets
from procsup.value import Value


class Household(Value):
    environ: Mapping[str, str]  # ours; in it may be what the app does not get
    read: ProjectReader
    options: RunOptions
    beginning: Beginning
    guardian: Guardian | None
    daemon: Daemon
    console: Console
    pump: Pump
    history: History
    outlets: Outlets
    server: ControlServer
