"""Where a supervisor can be found: the folders of its socket and of its state, for both ends to agree on.

Client and supervisor may be started with different environments (a login shell sets XDG_RUNTIME_DIR, cron and systemd
often do not), so the one that looks goes through all the places the other may have chosen. Imports next to nothing:
it is on the way of every command.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator, Mapping

from procsup.errors import ProcsupError, UsageError

# sun_path holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
LONGEST_PATH = 107 if sys.platform == "linux" else 103
SUFFIX = ".sock"
# A folder for each unit of the system that runs a supervisor; systemd makes it, for the unit's user, while it runs.
SYSTEM_UNITS = "/run/procsup-system"
_LONGEST_APP = 40
_HASH_DIGITS = 16
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def state_folder(environ: Mapping[str, str], uid: int) -> str:
    """What outlives a reboot is kept below this folder, one folder a project."""
    if chosen := environ.get("PROCSUP_STATE_DIR"):
        if not os.path.isabs(chosen):
            raise UsageError(f"PROCSUP_STATE_DIR is {chosen!r}; give it as an absolute path")
        return os.path.normpath(chosen)
    xdg = environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(xdg):  # the specification has relative ones ignored
        return os.path.join(xdg, "procsup")
    if uid == 0:
        return "/var/lib/procsup"
    return os.path.join(_home(environ, uid), ".local", "state", "procsup")


def _home(environ: Mapping[str, str], uid: int) -> str:
    home = environ.get("HOME", "")
    if not home:
        import pwd  # containers run under numbers that have neither HOME nor an entry

        try:
            home = pwd.getpwuid(uid).pw_dir
        except KeyError:
            home = ""
    if not os.path.isabs(home):
        raise UsageError(
            f"user {uid} has no home folder to keep state in; set PROCSUP_STATE_DIR to a folder of its own"
        )
    return home


def project_folder(environ: Mapping[str, str], uid: int, root: str) -> str:
    """The state of one project: its lock and its saved formation."""
    return os.path.join(state_folder(environ, uid), identity(root))


def run_folder(environ: Mapping[str, str], uid: int) -> str:
    """Where a supervisor started now puts its socket."""
    return run_folders(environ, uid)[0]


def run_folders(environ: Mapping[str, str], uid: int) -> tuple[str, ...]:
    """Every folder in which a supervisor of this user may have put its socket, the one for new ones first."""
    return tuple(dict.fromkeys(folder for folder in _places(environ, uid) if _fits(folder)))


def _places(environ: Mapping[str, str], uid: int) -> Iterator[str]:
    for ours in environ.get("RUNTIME_DIRECTORY", "").split(":"):
        if os.path.dirname(ours) == SYSTEM_UNITS and _belongs_to(ours, uid):
            yield ours
    xdg = environ.get("XDG_RUNTIME_DIR", "")
    # `sudo` and `su` like to leave another user's folder there; a socket of ours has no business in it.
    if os.path.isabs(xdg) and _belongs_to(xdg, uid):
        yield os.path.join(xdg, "procsup")
    elsewhere = not environ.get("PROCSUP_STATE_DIR")  # who sets it wants a world apart (and the tests do)
    if uid == 0 and elsewhere:
        yield "/run/procsup"
    yield os.path.join(state_folder(environ, uid), "run")
    if elsewhere and _belongs_to(f"/run/user/{uid}", uid):
        yield f"/run/user/{uid}/procsup"
    if elsewhere:
        yield from _of_system_units(uid)
    yield f"/tmp/procsup-{uid}"  # noqa: S108 - only for want of a path short enough, and only if it is private


def _of_system_units(uid: int) -> Iterator[str]:
    """Those that run as this user; for root all of them."""
    try:
        folders = [f"{SYSTEM_UNITS}/{name}" for name in sorted(os.listdir(SYSTEM_UNITS))]
    except OSError:
        return
    yield from (folder for folder in folders if uid == 0 or _belongs_to(folder, uid))


def _belongs_to(folder: str, uid: int) -> bool:
    try:
        return os.stat(folder).st_uid == uid
    except OSError:
        return False


def _fits(folder: str) -> bool:
    return len(os.fsencode(folder)) + 1 + _HASH_DIGITS + len(SUFFIX) <= LONGEST_PATH


def identity(root: str) -> str:
    """A file name for a project, the same for every path that leads to its root: `myapp-1a2b3c4d5e6f7a8b`."""
    return f"{_app(root)}-{_hash(os.path.realpath(root))}"


def _app(root: str) -> str:
    name = os.path.basename(os.path.realpath(root)) or "root"
    return "".join(letter if letter in _PLAIN else "_" for letter in name)[:_LONGEST_APP]


def _hash(path: str) -> str:
    # FNV-1a. No adversary here (all roots are one user's own), and hashlib would load OpenSSL: 2 ms on every command.
    number = 0xCBF29CE484222325
    for byte in os.fsencode(path):
        number = (number ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{number:0{_HASH_DIGITS}x}"


def socket_path(environ: Mapping[str, str], uid: int, root: str) -> str:
    """Where a supervisor of this project started now listens."""
    return _socket_in(run_folder(environ, uid), root)


def socket_paths(environ: Mapping[str, str], uid: int, root: str) -> tuple[str, ...]:
    """Wherever a supervisor of this project may listen, the likeliest first."""
    return tuple(_socket_in(folder, root) for folder in run_folders(environ, uid))


def _socket_in(folder: str, root: str) -> str:
    path = os.path.join(folder, identity(root) + SUFFIX)
    if len(os.fsencode(path)) > LONGEST_PATH:
        path = os.path.join(folder, _hash(os.path.realpath(root)) + SUFFIX)
    return path


def running(environ: Mapping[str, str], uid: int) -> list[str]:
    """The sockets of this user's supervisors, in no order of meaning; some may be dead."""
    paths = []
    for folder in run_folders(environ, uid):
        try:
            names = sorted(os.listdir(folder))
        except OSError:  # not there, or not ours to read: nobody to be found in it
            continue
        check_private(folder, uid)
        paths += [os.path.join(folder, name) for name in names if name.endswith(SUFFIX)]
    return paths


def check_private(folder: str, uid: int | None = None) -> None:
    """Refuses a folder through which somebody else could pose as us; FileNotFoundError where there is none."""
    owner = os.geteuid() if uid is None else uid
    if owner == 0 and os.path.dirname(folder) == SYSTEM_UNITS:
        owner = os.lstat(folder).st_uid  # root has installed the unit, and has said as whom it runs
    _refuse_unless_private(folder, os.lstat(folder), owner)
    _refuse_unless_safe_above(folder, owner)


def _refuse_unless_safe_above(folder: str, uid: int) -> None:
    """Whoever may replace one of the folders above could put one of his own in the place of ours."""
    # By name, so that links are looked at too, and where they lead to. Not the topmost: its owner has it all anyway.
    for path in dict.fromkeys((folder, os.path.realpath(folder))):
        above = os.path.dirname(path)
        while above != os.path.dirname(above):
            with contextlib.suppress(FileNotFoundError):  # still to be made
                _refuse_unless_safe(above, os.lstat(above), uid)
            above = os.path.dirname(above)


def _refuse_unless_safe(above: str, found: os.stat_result, uid: int) -> None:
    if found.st_uid not in (0, uid):
        raise ProcsupError(
            f"{above} belongs to user {found.st_uid}, who could replace what is in it; "
            f"procsup keeps nothing there: set PROCSUP_STATE_DIR to a folder in a place of your own"
        )
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise ProcsupError(
            f"{above} lets everybody replace what is in it; take that right away with: chmod o-w {above}"
        )


def _refuse_unless_private(folder: str, found: os.stat_result, uid: int) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise ProcsupError(f"{folder} is a symbolic link; procsup wants a folder of its own there: remove the link")
    if not stat.S_ISDIR(found.st_mode):
        raise ProcsupError(f"{folder} is no folder; procsup needs one there: remove it")
    if found.st_uid != uid:
        raise ProcsupError(f"{folder} belongs to user {found.st_uid}, not to {uid}; remove it or set PROCSUP_STATE_DIR")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(found.st_mode)
        raise ProcsupError(
            f"{folder} can be written to by others (mode {mode:04o}); see what is in it, then: chmod 700 {folder}"
        )


def make_private(folder: str) -> None:
    """Makes a folder only its owner can enter, or tightens one of ours; refuses what others could tamper with."""
    try:
        above = os.path.dirname(folder)
        _refuse_unless_safe_above(folder, os.geteuid())  # before anything is left in a place that is refused
        # Never make /run/user/UID ourselves: at the next login a new one is mounted over it and would hide our socket.
        if not above.startswith("/run/user/"):
            _make_folders(above)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        check_private(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # What was checked by name above could have been exchanged since; what is open cannot.
            _refuse_unless_private(folder, os.fstat(descriptor), os.geteuid())
            if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o700:
                os.fchmod(descriptor, 0o700)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ProcsupError(
            f"cannot make the folder {folder}: {error.strerror}; make it possible or set PROCSUP_STATE_DIR"
        ) from error


def _make_folders(folder: str) -> None:
    """Not os.makedirs, which leaves those in between to the umask."""
    if os.path.isdir(folder):
        return
    _make_folders(os.path.dirname(folder))
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
