"""`procsup attach`: an instance's terminal on ours."""

from __future__ import annotations

import os
import selectors
import signal
from typing import TYPE_CHECKING, Any

import click

from procsup.cli.options import Common, project_options, running_names
from procsup.errors import ProcsupError, UsageError

if TYPE_CHECKING:
    from procsup.control.client import Client

_AT_ONCE = 64 * 1024  # bytes typed in one request: as JSON they may be six times as many


@click.command()
@click.argument("instance", shell_complete=running_names)
@project_options(app=True)
def attach(common: Common, instance: str) -> None:
    """Watch an instance's terminal, and type into it.

    For types that have one (`procsup start --tty web`). Several may watch at a time. Ctrl-] leaves; all other keys go
    to the instance, Ctrl-C too. When it is restarted, its next copy takes the place of the last.

    \b
    Examples:
      procsup start --tty web
      procsup attach web.1
    """
    from procsup.output.raw_mode import RawMode

    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError("attach needs a terminal; to only read what the instance says: procsup logs -f NAME")
    with common.connect() as screen, common.connect() as keyboard:
        screen.begin("attach", name=instance)
        first = screen.receive()  # a refusal comes before the terminal is touched
        signal.signal(signal.SIGTERM, _end)  # else the terminal would stay raw
        with RawMode(0):
            _say(f"attached to {instance}; Ctrl-] leaves")
            seat = _Seat(instance, screen, keyboard)
            seat.show(first)
            seat.sit()


class _Seat:
    def __init__(self, name: str, screen: Client, keyboard: Client) -> None:
        self._name = name
        self._screen = screen
        self._keyboard = keyboard
        self._resized, self._resizing = os.pipe()
        self._typed = b""  # what has not been passed on yet
        self._resized_since = False
        self._asked = False  # something was passed on, and its answer is still to come

    def sit(self) -> None:
        """Until Ctrl-], or the end of the instance or its supervisor."""
        from procsup.control.client import SupervisorGone

        os.set_blocking(self._resizing, False)
        signal.set_wakeup_fd(self._resizing, warn_on_full_buffer=False)
        before = signal.signal(signal.SIGWINCH, lambda *_: None)
        try:
            with selectors.DefaultSelector() as selector:
                for readable in (0, self._screen, self._keyboard, self._resized):
                    selector.register(readable, selectors.EVENT_READ)
                while not self._screen.ended:
                    for key, _ in selector.select():
                        if key.fileobj == 0 and not self._type():
                            return
                        if key.fileobj is self._screen:
                            self.show(self._screen.receive())
                        elif key.fileobj is self._keyboard:
                            try:
                                self._answered()
                            except SupervisorGone:  # which the screen tells
                                selector.unregister(self._keyboard)
                        elif key.fileobj == self._resized:
                            os.read(self._resized, 4096)
                            self._resize()
        finally:
            signal.signal(signal.SIGWINCH, before)
            signal.set_wakeup_fd(-1)
            os.close(self._resized)
            os.close(self._resizing)

    def show(self, messages: list[tuple[str, dict[str, Any]]]) -> None:
        for kind, told in messages:
            if kind == "screen":
                _write(told["text"].encode(errors="surrogateescape"))
            elif kind == "gone":
                reason = f": {told['why']}" if told["why"] else ""
                _say(f"{self._name} is {told['state']}{reason}; waiting for its next copy, Ctrl-] leaves")
            elif kind == "here":
                self._resize()

    def _type(self) -> bool:
        """Whether we stay."""
        from procsup.output.raw_mode import LEAVE

        keys = os.read(0, 4096)
        typed, left, _ = keys.partition(LEAVE)
        self._typed += typed
        self._pass_on()
        return bool(keys) and not left

    def _resize(self) -> None:
        self._resized_since = True
        self._pass_on()

    def _pass_on(self) -> None:
        """One request at a time, and not waited for: where nobody reads what is typed, the answer takes seconds."""
        if self._asked:
            return
        size = os.get_terminal_size(1)
        if self._resized_since and size.lines and size.columns:
            self._ask("resize", rows=size.lines, columns=size.columns)
        elif self._typed:
            typed, self._typed = self._typed[:_AT_ONCE], self._typed[_AT_ONCE:]
            self._ask("type", text=typed.decode(errors="surrogateescape"))
        self._resized_since = False

    def _ask(self, method: str, **params: object) -> None:
        self._asked = True
        self._keyboard.begin(method, name=self._name, **params)

    def _answered(self) -> None:
        """Raises SupervisorGone."""
        from procsup.control.client import SupervisorGone

        try:
            self._keyboard.receive()
        except SupervisorGone:
            raise
        except UsageError:
            pass  # it has just ended, which the screen tells
        except ProcsupError as error:
            self._typed = b""
            _say(str(error))
        self._asked = False
        self._pass_on()


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _say(text: str) -> None:
    _write(f"\r\n[procsup: {text}]\r\n".encode())


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
