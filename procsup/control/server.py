"""The supervisor's end of the control socket: lets in whom it may, hands requests on, and survives every client.

Nothing here decides what a command does; that is the handler's. A handler runs as a task of its own, so a client that
goes away in the middle takes nothing back. Nothing here waits for a client, and there are no timers while all is well.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping

from procsup.control.connection import STALLED, Connection
from procsup.control.listener import Listener, listen
from procsup.control.peer import peer_of
from procsup.control.protocol import (
    INTERNAL_ERROR,
    Notification,
    Refused,
    Request,
    answer,
    error_answer,
    parse_request,
)
from procsup.control.visitors import Visitor, with_time_left
from procsup.control.watch import POLL, RemovalWatch
from procsup.errors import ProcsupError

Handler = Callable[[str, dict[str, object]], Awaitable[object]]
Report = Callable[[str, BaseException | None], None]
Stream = AsyncGenerator[Notification, None]  # what a handler may return in place of a result

MAX_IDLE = 64  # connections without a command under way; a new one then takes the place of the one silent for longest
MAX_COMMANDS = 256  # under way at once
_NEWCOMER = 1.0  # seconds in which a connection is not yet called silent: a client needs a moment to ask
_LAST_WORDS = 0.5  # seconds at the end for answers to leave


class ControlServer:
    """Listens at a path for as long as it runs, whatever happens to the file.

    The handler gets a method of the table and checked parameters; what it returns is the answer's result. A
    ProcsupError it raises is answered with its exit code and text; any other exception goes to `report`, with a line
    for people, and the client learns no more than that. `poll` forces the way of systems without dnotify.
    """

    def __init__(self, path: str, handler: Handler, report: Report, *, poll: bool = False) -> None:
        self.path = path
        self._handler = handler
        self._report = report
        self._poll = poll
        self._listener: Listener | None = None
        self._watch: RemovalWatch | None = None
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._commands: set[asyncio.Task[list[bytes] | Stream]] = set()
        self._reserve: int | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._complained = False
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()

    async def start(self) -> None:
        """Raises AlreadyRunning if somebody answers at the path, ProcsupError if the place is not safe."""
        self._begin(listen(self.path))

    def take_over(self, listener: Listener, visitors: Iterable[Visitor], outcome: Mapping[str, object] | str) -> None:
        """Go on with another's listener, and with those whom it had let in.

        Who waits for that is told the outcome: a result, or why it is none.
        """
        self._begin(listener)
        for each in visitors:
            client = socket.socket(fileno=each.descriptor)
            words, unread = each.unsent, each.unread
            if each.since is not None:
                unread = with_time_left(unread, self._loop.time() - each.since)
            if each.waits and isinstance(outcome, str):
                words = error_answer(each.number, 1, outcome)
            elif each.waits:
                words = b"".join(answer(each.number, outcome))
            self._welcome(client, words, unread)

    @property
    def listener(self) -> Listener:
        if self._listener is None:
            raise RuntimeError("nobody listens")
        return self._listener

    @property
    def connections(self) -> list[Connection]:
        """All that are open; one whose conversation has ended is closed a moment before it is taken from the books."""
        return [each for each in self._connections.values() if each.client.fileno() >= 0]

    def hold(self, held: bool) -> None:
        """Who asks waits until this is over."""
        if held:
            self._may_go_on.clear()
        else:
            self._may_go_on.set()

    def _begin(self, listener: Listener) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._watch = RemovalWatch(self._look_after_socket, poll=self._poll)
        self._loop.add_reader(self._listener.socket, self._accept)
        self._keep_watch(self._watch)

    async def close(self) -> None:
        """Answers what is done, ends what is not, and leaves no file, descriptor or task behind."""
        self._stop_listening()
        commands, conversations = set(self._commands), set(self._connections)
        if commands:
            await asyncio.wait(commands, timeout=_LAST_WORDS / 5)
        for command in commands:
            command.cancel()
        for task, connection in self._connections.items():
            if not connection.answering:
                task.cancel()
        if conversations:
            await asyncio.wait(conversations, timeout=_LAST_WORDS)
        for task in conversations:
            task.cancel()
        if unfinished := commands | conversations:
            await asyncio.wait(unfinished, timeout=_LAST_WORDS)

    def _stop_listening(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        if self._listener is not None:
            self._loop.remove_reader(self._listener.socket)
            self._listener.close(remove=True)
            self._listener = None
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

    # --- letting in ---

    def _accept(self) -> None:
        while self._listener is not None:
            if not self._has_room():
                return self._pause()
            try:
                client, _ = self._listener.socket.accept()
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE):
                    return None  # nobody there after all
                if self._reserve is None:
                    return self._pause()
                # Out of descriptors: the one kept back for this lets one client in, who may want to stop something.
                os.close(self._reserve)
                self._reserve = None
                continue
            self._welcome(client)
        return None

    def _has_room(self) -> bool:
        idle = [
            (connection.last_moved, task) for task, connection in self._connections.items() if not connection.working
        ]
        if len(idle) < MAX_IDLE:
            return True
        since, silent = min(idle, key=lambda entry: entry[0])
        if since > self._loop.time() - _NEWCOMER:
            return False
        silent.cancel()
        del self._connections[silent]
        return True

    def _pause(self) -> None:
        """Leaves newcomers in the queue until somebody has gone, or may be sent away."""
        if self._listener is not None and self._resume is None:
            self._loop.remove_reader(self._listener.socket)
            self._resume = self._loop.call_later(_NEWCOMER, self._go_on)

    def _go_on(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        if self._listener is not None:
            self._loop.add_reader(self._listener.socket, self._accept)

    def _welcome(self, client: socket.socket, unsent: bytes = b"", unread: bytes = b"") -> None:
        client.setblocking(False)
        try:
            peer = peer_of(client)
        except OSError:
            client.close()
            return
        if peer.uid not in (0, os.geteuid()):
            with contextlib.suppress(OSError):
                client.send(error_answer(None, 1, f"this supervisor takes no commands from user {peer.uid}"))
            client.close()
            return
        connection = Connection(client, peer, self._serve, self._may_go_on, unsent, unread)
        task = self._loop.create_task(connection.converse())
        self._connections[task] = connection
        task.add_done_callback(self._conversation_ended)

    def _conversation_ended(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report("a control connection broke off", error)
        if self._listener is None:
            return
        if self._reserve is None:
            with contextlib.suppress(OSError):
                self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        if self._resume is not None:
            self._go_on()

    # --- carrying out ---

    async def _serve(self, connection: Connection, line: bytes) -> Iterable[bytes]:
        try:
            request = parse_request(line)
        except Refused as refused:
            return [error_answer(refused.request_id, refused.code, refused.message)]
        if len(self._commands) >= MAX_COMMANDS:
            lines = [error_answer(request.id, 1, f"{MAX_COMMANDS} commands are under way already; try again later")]
            return lines if request.wants_answer else []
        command = self._loop.create_task(self._carry_out(request))
        self._commands.add(command)
        command.add_done_callback(self._commands.discard)
        connection.working = True
        # wait() and not the task itself: when this conversation is cut off, the command goes on.
        await asyncio.wait({command})
        if command.cancelled():
            lines = [error_answer(request.id, 1, f"the supervisor ended before it was done with {request.method}")]
        elif isinstance(result := command.result(), list):
            lines = result
        else:
            lines = await self._stream(connection, request, result)
        connection.working = False
        return lines if request.wants_answer else []

    async def _stream(self, connection: Connection, request: Request, stream: Stream) -> list[bytes]:
        messages = (each.encode() async for each in stream)
        try:
            await connection.stream(messages)
        except TimeoutError:
            text = f"pid {connection.peer.pid} asked for {request.method} and took nothing for {STALLED:.0f} s: cut off"
            self._report(text, None)
            raise ConnectionAbortedError(text) from None
        finally:
            await messages.aclose()
            await stream.aclose()
        return list(answer(request.id, None))

    async def _carry_out(self, request: Request) -> list[bytes] | Stream:
        try:
            result = await self._handler(request.method, request.params)
            if isinstance(result, AsyncGenerator):
                return result
            return list(answer(request.id, result))
        except ProcsupError as error:
            return [error_answer(request.id, error.exit_code, str(error))]
        except Exception as error:
            self._report(f"an error inside procsup kept it from carrying out {request.method}", error)
            text = f"an error inside the supervisor kept it from carrying out {request.method}; its output says more"
            return [error_answer(request.id, INTERNAL_ERROR, text)]

    # --- staying reachable ---

    def _keep_watch(self, watch: RemovalWatch) -> None:
        folder = os.path.dirname(self.path)
        # The folder's own name is an entry of the one above. What vanished before the watch began is not told.
        watch.start([folder, os.path.dirname(folder)])
        if self._listener is not None and not self._listener.in_place():
            watch.look_again(0)

    def _look_after_socket(self) -> None:
        if self._listener is None or self._watch is None or self._listener.in_place():
            return
        try:
            fresh = listen(self.path)
        except (ProcsupError, OSError) as error:
            if not self._complained:
                self._report(f"the control socket {self.path} is gone and cannot be made again yet: {error}", None)
            self._complained = True
            self._watch.look_again(POLL)
            return
        self._complained = False
        self._loop.remove_reader(self._listener.socket)
        self._listener.close(remove=False)
        self._listener = fresh
        if self._resume is None:
            self._loop.add_reader(fresh.socket, self._accept)
        self._report(f"the control socket {self.path} had been removed; it is there again", None)
        self._keep_watch(self._watch)
