"""What `start` would make of a project, for the commands that only look."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from procsup.cli.options import environment

if TYPE_CHECKING:
    from procsup.config.project import Project
    from procsup.runtime.expected import Expectation


def expectation(project: Project) -> Expectation:
    """With what was scaled earlier. Raises UsageError for a formation that is not possible."""
    from procsup.control.address import project_folder
    from procsup.errors import ProcsupError
    from procsup.runtime.expected import Expectation
    from procsup.runtime.formation_store import load

    state, kept = "", {}
    with suppress(ProcsupError):  # not the project's own trouble: `start` says what it is
        state = project_folder(environment(), os.geteuid(), project.root)
        kept = load(state)
    return Expectation(project, kept, state)
