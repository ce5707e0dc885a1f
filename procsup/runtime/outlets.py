"""Where lines go beside, or in the place of, standard output: log files, a syslog receiver, the journal."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from typing import TYPE_CHECKING

from procsup.output.sink import Sink
from procsup.output.source import Source
from procsup.output.speaker import Audience
from procsup.output.style import Style
from procsup.runtime.child import RESERVED_DESCRIPTORS
from procsup.runtime.options import RunOptions

if TYPE_CHECKING:
    from procsup.output.files import LogFiles
    from procsup.output.syslog import Syslog


def journal_or_stdout(style: Style) -> tuple[Style, Sink | None]:
    """Where the journal is meant: its own socket, or else standard output, which leads there too."""
    if style.format != "journal":
        return style, None
    from procsup.output.journal import open_journal  # only under systemd

    sink = open_journal()
    return style if sink is not None else style.but(format="priorities"), sink


class Outlets:
    """`tell` says a sentence on the console."""

    def __init__(self, app: str, options: RunOptions, tell: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self.files: LogFiles | None = None
        self.syslog: Syslog | None = None
        if options.log_folder is not None:
            from procsup.output.files import LogFiles

            highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_DESCRIPTORS
            self.files = LogFiles(loop, options.log_folder, tell, highest_descriptor=highest)
        if options.syslog is not None:
            from procsup.output.syslog import Syslog

            self.syslog = Syslog(loop, options.syslog, app, tell)

    @property
    def audiences(self) -> list[Audience]:
        return [each for each in (self.files, self.syslog) if each is not None]

    @property
    def troubles(self) -> list[str]:
        """Sentences for the status."""
        return [each.trouble for each in (self.files, self.syslog) if each is not None and each.trouble is not None]

    def take_notice(self, source: Source, lines: bytes) -> None:
        """procsup's own lines; the files belong to the instances alone."""
        if self.syslog is not None:
            self.syslog.lines(source, b"", lines, len(lines))

    def reopen(self) -> None:
        if self.files is not None:
            self.files.reopen()

    async def finish(self, timeout: float) -> list[str]:
        """Bring out what still can be, within the time; what could not, in sentences."""
        complaints = [self.files.close() if self.files is not None else None]
        complaints.append(await self.syslog.finish(timeout) if self.syslog is not None else None)
        return [each for each in complaints if each is not None]
