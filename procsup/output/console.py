"""procsup's standard output: decides who speaks and whose line is still unfinished, so that lines never mix.

Between the children's pipes (pump.py), how lines look (formats.py) and bytes that leave (writer.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from procsup.output.formats import make_format, own_source
from procsup.output.sink import Buffer, Sink, open_stdout
from procsup.output.source import Source
from procsup.output.style import Style
from procsup.output.writer import Writer


class Console:
    """`on_broken` is called once when the reader has gone; after that everything said is dropped.

    `on_trouble` is told in a sentence when a file that output goes to cannot be written to, and when it can be again.
    `on_notice` hears procsup's own lines.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        style: Style,
        on_broken: Callable[[], None],
        *,
        on_trouble: Callable[[str], None] = lambda _text: None,
        on_notice: Callable[[Source, bytes], None] = lambda _source, _lines: None,
        clock: Callable[[], float] = time.time,
        sink: Sink | None = None,
    ) -> None:
        self.style = style
        self.on_drained: Callable[[], None] = _nothing  # set by the pump
        self._on_notice = on_notice
        self._aside = False
        self._moment: float | None = None
        self._clock = clock
        self._writer = Writer(loop, sink or open_stdout(fd), self._drained, on_broken, on_trouble)
        self._format = make_format(style)
        self._own = own_source()
        self._foot: Foot | None = None
        if style.status:
            from procsup.output.foot import Foot

            self._foot = Foot(loop, fd, self._writer.write, self._may_show_foot)
        self._unfinished: Source | None = None  # whose line stands at the end of the output, without a newline

    # One program alone has the terminal

    def step_aside(self, rows: int) -> int:
        """From now on nobody's lines are shown, until `come_back`; how many of the terminal's rows we keep."""
        if not self._aside:
            self.end_line()
        self._aside = True
        if self._foot is None or rows < 2:
            return 0
        self._foot.pin(rows)
        return 1

    def pass_through(self, data: bytes) -> None:
        """As it is: what the one program says, or what is no part of the output."""
        self._write(data)

    def come_back(self) -> None:
        if self._foot is not None:
            self._foot.unpin()
        self._aside = False
        self._writer.write(b"\r\n")

    def as_of(self, moment: float | None) -> None:
        """What is said now was said then; None goes back to the clock."""
        self._moment = moment

    def _now(self) -> float:
        return self._clock() if self._moment is None else self._moment

    # The line at the foot

    def show_status(self, text: str) -> None:
        """The line at the foot of the terminal, where there is one."""
        if self._foot is not None:
            self._foot.show(text)

    def resized(self) -> None:
        if self._foot is not None:
            self._foot.redraw()

    def set_names(self, names: Iterable[str], types: Iterable[str]) -> None:
        """What to make room for, and the order of the colours; again whenever the formation changes."""
        self._format.set_names(names, types)

    @property
    def full(self) -> bool:
        """More than enough is waiting to be read; whoever reads from children should leave it for now."""
        return self._writer.full

    @property
    def trouble(self) -> str | None:
        """Why what is said does not arrive, as a sentence for people; None while all is well."""
        return self._writer.trouble

    def lines(self, source: Source, head: bytes, data: bytes, end: int) -> None:
        """Whole lines: `head`, which has no newline, then `data` up to `end`, just after its last newline."""
        if source.cut:
            source.cut = False
            if not head and data.startswith(b"\n"):
                # All that was missing from the line was its end, and the one who came between has written that.
                data, end = data[1:], end - 1
                if not end:
                    return
        if self._aside:
            return
        continues = self._take_over(source)
        self._unfinished = None
        self._write(*self._format.lines(source, head, data, end, self._now(), continues))

    def partial(self, source: Source, text: bytes) -> None:
        """The next part of an unfinished line."""
        if self._aside:
            return
        source.cut = False
        continues = self._take_over(source)
        self._unfinished = source
        self._write(self._format.piece(source, text, self._now(), continues))

    def ended(self, source: Source, rest: bytes, newline: bytes) -> None:
        """Nobody will end its line any more: we do."""
        if rest or self._unfinished is source:
            self.lines(source, rest, newline, len(newline))

    def notice(self, text: str) -> None:
        """Lines of procsup's own; never held back, even when the console is full."""
        data = text.encode(errors="surrogateescape").rstrip(b"\n") + b"\n"
        self._on_notice(self._own, data)
        if self.style.terminal:
            from procsup.output.sanitize import Sanitizer

            data = Sanitizer().feed(data)  # it may quote a command or a process name, which others chose
        self.lines(self._own, b"", data, len(data))

    def end_line(self) -> None:
        """What comes next begins a line, whoever's line is unfinished."""
        if self._unfinished is not None:
            self._break_line(self._unfinished)

    def make_room(self) -> None:
        """The line at the foot goes, until there is something new to show."""
        if self._foot is not None:
            self._writer.write(self._foot.wipe())

    async def flush_pending(self, timeout: float) -> bool:
        """Ends an unfinished line and waits until all is written; False if that took longer than `timeout`."""
        if self._foot is not None:
            self._foot.close()
        self.end_line()
        return await self._writer.flush(timeout)

    def close(self) -> None:
        if self._foot is not None:
            self._foot.close()
        self._writer.close()

    def _write(self, *buffers: Buffer) -> None:
        if self._foot is not None:
            buffers = (self._foot.wipe(), *buffers)
        self._writer.write(*buffers)

    def _may_show_foot(self) -> bool:
        return (self._unfinished is None or self._aside) and not self._writer.full

    def _take_over(self, source: Source) -> bool:
        """Whether the source goes on in its own unfinished line; anybody else's is ended."""
        if self._unfinished is None:
            return False
        if self._unfinished is source:
            return True
        self._break_line(self._unfinished)
        return False

    def _break_line(self, source: Source) -> None:
        self._unfinished = None
        ending = self._format.line_end(source)
        if ending:
            source.cut = True
            self._write(ending)

    def _drained(self) -> None:
        if self._foot is not None:
            self._foot.redraw()
        self.on_drained()


def _nothing() -> None:
    pass
