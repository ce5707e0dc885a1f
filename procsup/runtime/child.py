"""Start one child process: own session, silent stdin and two pipes or a terminal, clean signals and descriptors.

`os.posix_spawn` is the fast path (no fork of a large process, no thread); `subprocess` does what that cannot: start in
another folder or as another user, and make a session where the platform's has none. Both hand the child descriptors 0
to 2 only, and as descriptor 3 its socket, where it has one.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from procsup.value import Value

if TYPE_CHECKING:
    from procsup.runtime.users import User

SHELL = "/bin/sh"
# Descriptors that children never get: with these, commands are still answered when the rest is used up.
RESERVED_DESCRIPTORS = 24
_ALL_SIGNALS = tuple(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


class Stdio(Value):
    """What becomes the child's descriptors 0 to 2. All the same `terminal`, where a path is given.

    `socket` becomes its descriptor 3, if there is one.
    """

    stdin: int
    stdout: int
    stderr: int
    terminal: str | None = None
    socket: int | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Which become the child's, counted from 0."""
        three = (self.stdin, self.stdout, self.stderr)
        return three if self.socket is None else (*three, self.socket)


SpawnCall = Callable[[tuple[str, ...], str, Mapping[str, str], Stdio], int]


class Window(Value):
    """The size of a terminal, in characters."""

    rows: int = 24
    columns: int = 80


class Child(Value):
    """A process just started, and our ends of its output by the stream's name: stdout and stderr, or a tty for both.

    The descriptors do not block. `pidfd` stands for the process itself, where the system has such a thing.
    """

    pid: int
    outputs: tuple[tuple[str, int], ...]
    pidfd: int | None = None


class Spawner:
    """Starts children that all share one silent stdin and the limits that procsup itself was started with."""

    def __init__(
        self,
        spawn: SpawnCall | None = None,
        stdin: tuple[int, int] | None = None,
        limit: tuple[int, int] | None = None,
    ) -> None:
        self._spawn = spawn or posix_spawn
        # Open and never written to: a child that reads waits, one that watches for the end of file stays.
        self._stdin, self._stdin_writer = stdin or os.pipe()
        self._inherited_limit = limit or resource.getrlimit(resource.RLIMIT_NOFILE)
        self._own_limit = self._raise_limit()
        self._low = _LowDescriptors(self._stdin, 0 if self._own_limit == self._inherited_limit[0] else _LOW)

    def start(
        self,
        executable: str,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        *,
        window: Window | None = None,
        folder: str | None = None,
        user: User | None = None,
        socket: int | None = None,
    ) -> Child:
        """Run `executable` in this folder or the current one, at a terminal of that size or none, as this user or ours.

        It gets the socket as descriptor 3. Raises OSError where it cannot be started.
        """
        opened: list[int] = []
        try:
            outputs, stdio = self._open_pipes(opened) if window is None else _open_terminal(opened, window)
            if max(opened) > self._own_limit - RESERVED_DESCRIPTORS:
                raise OSError(errno.EMFILE, f"{os.strerror(errno.EMFILE)} (the limit is {self._own_limit}: ulimit -n)")
            stdio = stdio.but(socket=socket)
            for _, descriptor in outputs:
                os.set_blocking(descriptor, False)
            if user is not None:
                _hand_over(stdio, user)
            elsewhere = folder is not None or user is not None
            spawn = partial(popen_spawn, folder=folder, user=user) if elsewhere else self._spawn
            pid = self._in_inherited_limits(spawn, executable, argv, environment, stdio)
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            raise
        for descriptor in {*opened} - {descriptor for _, descriptor in outputs}:
            os.close(descriptor)
        return Child(pid, outputs, self._pidfd_of(pid))

    def _open_pipes(self, opened: list[int]) -> tuple[tuple[tuple[str, int], ...], Stdio]:
        for _ in range(2):
            opened += os.pipe()
        out, out_writer, err, err_writer = opened
        return (("stdout", out), ("stderr", err)), Stdio(self._stdin, out_writer, err_writer)

    def close(self) -> None:
        self._low.free()
        os.close(self._stdin)
        os.close(self._stdin_writer)

    def _pidfd_of(self, pid: int) -> int | None:
        """Opened at once, so that the next start sees how many descriptors are left."""
        if self._spawn is popen_spawn or not hasattr(os, "pidfd_open"):
            return None
        try:
            return os.pidfd_open(pid)
        except OSError:
            return None  # whoever looks after the child tries again, and says so if it fails

    def _in_inherited_limits(
        self, spawn: SpawnCall, executable: str, argv: tuple[str, ...], environment: Mapping[str, str], stdio: Stdio
    ) -> int:
        soft, hard = self._inherited_limit
        if soft == self._own_limit:
            return _run(spawn, executable, argv, environment, stdio)
        crowded = spawn is not posix_spawn or max(stdio.descriptors) >= soft
        low: list[int] = []
        if crowded:
            self._low.free()
            low = [os.dup(each) for each in stdio.descriptors]
            stdio = Stdio(low[0], low[1], low[2], stdio.terminal, low[3] if stdio.socket is not None else None)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        try:
            return _run(spawn, executable, argv, environment, stdio)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._own_limit, hard))
            for descriptor in low:
                os.close(descriptor)
            if crowded:
                self._low.take()

    def _raise_limit(self) -> int:
        """A thousand instances need some three thousand descriptors; the hard limit allows it nearly everywhere."""
        soft, hard = self._inherited_limit
        wanted = max(soft, 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536))
        if soft in (wanted, resource.RLIM_INFINITY):
            return 65536 if soft == resource.RLIM_INFINITY else soft
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
        return wanted


def _run(spawn: SpawnCall, executable: str, argv: tuple[str, ...], environment: Mapping[str, str], stdio: Stdio) -> int:
    try:
        return spawn(argv, executable, environment, stdio)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        # A script without a `#!` line: every shell runs it as a script of its own.
        return spawn((SHELL, executable, *argv[1:]), SHELL, environment, stdio)


_LOW = 8  # four to hand on; `subprocess` opens a pipe to learn of errors, and a folder in the child


class _LowDescriptors:
    """A few low numbers, kept for the moment of a spawn, which takes place under the children's limit: with a thousand
    children all low numbers are long taken, and glibc's posix_spawn refuses (EBADF) to hand on higher ones.
    """

    def __init__(self, any_descriptor: int, count: int) -> None:
        self._any = any_descriptor
        self._count = count
        self._held: list[int] = []
        self.take()

    def take(self) -> None:
        with suppress(OSError):  # none is free now; the next spawn will say so
            while len(self._held) < self._count:
                self._held.append(os.dup(self._any))

    def free(self) -> None:
        while self._held:
            os.close(self._held.pop())


def choose_spawn(portable: bool) -> SpawnCall:
    """`portable` asks for the way that works everywhere."""
    return popen_spawn if portable else posix_spawn


def posix_spawn(argv: tuple[str, ...], executable: str, environment: Mapping[str, str], stdio: Stdio) -> int:
    actions: list[tuple[object, ...]] = [
        (os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(stdio.descriptors)
    ]
    if stdio.terminal is not None:
        # The first terminal that the leader of a new session opens becomes the session's own.
        actions[0] = (os.POSIX_SPAWN_OPEN, 0, stdio.terminal, os.O_RDWR, 0)
    return os.posix_spawn(
        executable, argv, environment, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_ALL_SIGNALS
    )


def popen_spawn(
    argv: tuple[str, ...],
    executable: str,
    environment: Mapping[str, str],
    stdio: Stdio,
    folder: str | None = None,
    user: User | None = None,
) -> int:
    """The same by fork and exec: for platforms whose posix_spawn has no sessions, and for what it cannot do at all."""
    import subprocess

    # The child inherits the handlers it finds at exec: caught ones fall back to the default, ignored ones stay so.
    ignored = [each for each in _ALL_SIGNALS if signal.getsignal(each) is signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            argv,
            executable=executable,
            env=environment,
            stdin=stdio.stdin,
            stdout=stdio.stdout,
            stderr=stdio.stderr,
            start_new_session=True,
            cwd=folder,
            user=user.uid if user is not None else None,
            group=user.gid if user is not None else None,
            extra_groups=user.groups if user is not None else None,
            preexec_fn=partial(_take_over, stdio) if stdio.terminal or stdio.socket is not None else None,
            pass_fds=(3,) if stdio.socket is not None else (),
        )
    finally:
        for each in ignored:
            signal.signal(each, signal.SIG_IGN)
    pid = process.pid
    process.returncode = 0  # the exit is waited for elsewhere; this object must neither wait nor warn
    return pid


def _hand_over(stdio: Stdio, user: User) -> None:
    """The user may open what it already has: /dev/stdout, /dev/stderr, or the terminal. Not stdin, which all share."""
    for descriptor in (stdio.stdout, stdio.stderr):
        with suppress(OSError):  # some systems have no owner for a pipe
            os.fchown(descriptor, user.uid, -1)


def _take_over(stdio: Stdio) -> None:
    """In the child: its standard input, a terminal, becomes its session's own, and the socket its descriptor 3."""
    if stdio.terminal is not None:
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if stdio.socket is not None:
        os.dup2(stdio.socket, 3)


def _open_terminal(opened: list[int], window: Window) -> tuple[tuple[tuple[str, int], ...], Stdio]:
    ours, theirs = os.openpty()
    opened += ours, theirs
    set_window(ours, window)
    return (("tty", ours),), Stdio(theirs, theirs, theirs, os.ttyname(theirs))


def set_window(terminal: int, window: Window) -> None:
    """Give a terminal this size; who runs at it learns of it by SIGWINCH."""
    import termios

    termios.tcsetwinsize(terminal, (window.rows, window.columns))
