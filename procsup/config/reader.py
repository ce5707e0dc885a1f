"""Reads the same project again, whenever it is asked to: as it was named when procsup was started."""

from __future__ import annotations

from collections.abc import Mapping

from procsup.config.files import read_standard_input
from procsup.config.location import STDIN_SHOWN
from procsup.config.project import Project, ProjectOptions, load_project


class ProjectReader:
    """From the folder `cwd`, with the environment that procsup was started with; standard input is read once."""

    def __init__(
        self, options: ProjectOptions, environ: Mapping[str, str], cwd: str, stdin: bytes | None = None
    ) -> None:
        self.options = options
        self.environ = environ
        self.cwd = cwd
        self.stdin = stdin

    def __call__(self) -> Project:
        """Raises ConfigError."""
        return load_project(self.options, self.environ, self.cwd, self._standard_input)

    def _standard_input(self) -> bytes:
        if self.stdin is None:
            self.stdin = read_standard_input(STDIN_SHOWN)
        return self.stdin
