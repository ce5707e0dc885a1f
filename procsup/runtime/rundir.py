"""One supervisor a project, held by flock: the kernel lets go of it whatever way the holder ends.

The lock file lies in the user's own state folder; the root folder itself is locked as well, for another user has
another state folder, and a state folder can be cleared away under a running supervisor.

So no file that was left behind ever blocks a start. The pid in the lock file is for people; it is never signalled.
"""

from __future__ import annotations

import fcntl
import os

from procsup.control.address import make_private
from procsup.errors import AlreadyRunning, ProcsupError
from procsup.value import Value

_LOCK = "lock"
_TURN = "turn"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class RootLock:
    """The right to supervise one root. `folder` is the project's own state folder, made private if need be."""

    def __init__(self, folder: str, root: str) -> None:
        self._folder = folder
        self._root = root
        self._descriptor: int | None = None
        self._root_descriptor: int | None = None
        self.left_over = False  # the last holder has not said that all is down: it may have left processes

    def acquire(self) -> None:
        """Raises AlreadyRunning, naming the holder's pid, or ProcsupError where no lock can be had."""
        if self._descriptor is not None:
            return
        make_private(self._folder)
        try:
            self._acquire()
            self._lock_root()
        except OSError as error:
            raise ProcsupError(
                f"cannot lock {self._path(_LOCK)}: {error.strerror or error}; set PROCSUP_STATE_DIR to another folder"
            ) from error

    def all_is_down(self) -> None:
        """Nothing of ours is left: the next start need not look for it."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)

    def release(self) -> None:
        if self._root_descriptor is not None:
            os.close(self._root_descriptor)
            self._root_descriptor = None
        if self._descriptor is not None:
            os.close(self._descriptor)  # the file stays: whoever removes a lock file makes two locks of one
            self._descriptor = None

    def _lock_root(self) -> None:
        try:
            self._root_descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._root_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise AlreadyRunning(
                f"a supervisor that is not to be found runs already for {self._root}: of another user, or its state"
                f" folder was removed; whoever has the folder open can be seen with: fuser -v {self._root}"
            ) from None
        except OSError:
            return  # not ours to read, or on a network file system that has no such locks: the lock file has to do

    def _acquire(self) -> None:
        # Taking the lock and writing the pid is one step to the others, who wait for their turn; a loser that read in
        # between would name the holder before, whose pid may be anybody's by now.
        turn = os.open(self._path(_TURN), _FLAGS, 0o600)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
            while self._descriptor is None:
                self._try()
        finally:
            os.close(turn)

    def _try(self) -> None:
        descriptor = os.open(self._path(_LOCK), _FLAGS, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._still_there(descriptor):
                os.close(descriptor)  # somebody cleared the folder away meanwhile: a lock on no file is none
                return
            self.left_over = os.fstat(descriptor).st_size > 0
            note = b'{"pid": %d}\n' % os.getpid()  # as JSON has it, without what loading that costs
            # In this order: a full disk that takes no note must not make us forget that something may have been left.
            os.pwrite(descriptor, note, 0)
            os.ftruncate(descriptor, len(note))
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise AlreadyRunning(
                f"a supervisor runs already for {self._root} ({holder}); end it with: procsup shutdown"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _still_there(self, descriptor: int) -> bool:
        try:
            named = os.stat(self._path(_LOCK), follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(descriptor), named)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)


class Claim(Value):
    """What a supervisor holds of its project: its state folder, where its socket is to be, and the lock.

    The cookies of its instances begin with `cookie`, those of all its predecessors' too with `any_cookie`.
    """

    any_cookie: str
    cookie: str
    folder: str
    socket: str
    lock: RootLock


def _holder(descriptor: int) -> str:
    import json  # not on the way to the first child

    try:
        pid = json.loads(os.pread(descriptor, 65536, 0))["pid"]
    except (ValueError, LookupError, TypeError, RecursionError):
        pid = None
    return f"pid {pid}" if type(pid) is int else "pid not known"
