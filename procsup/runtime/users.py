"""Whom a process runs as, where procsup.toml says somebody else than procsup does; and where that one may go."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pwd import struct_passwd


class User(NamedTuple):
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def find_user(name: str) -> User | None:
    """None where that is who we are already.

    Raises OSError where there is no such user, or we may not be it; what it says may be shown.
    """
    found = _entry(name)
    if found is None:
        os.close(os.open(os.devnull, os.O_RDONLY))  # nobody is found where no descriptor is left: that is said then
        raise OSError(errno.EINVAL, f'there is no user "{name}"; make it (useradd), or name another')
    if found.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        me = _entry(str(os.geteuid()))
        ours = me.pw_name if me is not None else os.geteuid()
        raise OSError(
            errno.EPERM,
            f'procsup runs as {ours}, and only root can start processes as "{name}"; start it so, or take this out',
        )
    return User(found.pw_name, found.pw_uid, found.pw_gid, tuple(os.getgrouplist(found.pw_name, found.pw_gid)))


def own_variables(name: str) -> dict[str, str]:
    """What a login would set for the user; nothing for one that is not there."""
    found = _entry(name)
    return {"HOME": found.pw_dir, "USER": found.pw_name, "LOGNAME": found.pw_name} if found is not None else {}


def user_name(uid: int) -> str:
    found = _entry(str(uid))
    return found.pw_name if found is not None else str(uid)


def _entry(name: str) -> struct_passwd | None:
    """By name, or by number as the tools of the system take it."""
    import pwd  # only for who asks for another user

    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    try:
        return pwd.getpwuid(int(name)) if name.isascii() and name.isdigit() else None
    except (KeyError, OverflowError):
        return None


def refuse_folder(folder: str, user: User | None) -> None:
    """Raises OSError, fit to be shown, where no process of the user's (ours, for None) can start in the folder."""
    try:
        found = os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise OSError(errno.ENOTDIR, f"there is no folder {folder}; make it, or name another") from None
    except OSError as error:
        raise OSError(error.errno, f"{folder}: {error.strerror}; name another folder") from error
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.ENOTDIR, f"{folder} is no folder; name one")
    if user is not None:
        refuse_way(folder, user, "let it through, or name another folder")
    elif not os.access(folder, os.X_OK):
        raise OSError(errno.EACCES, f"{folder} may not be entered; allow it, or name another folder")


def refuse_way(folder: str, user: User, advice: str) -> None:
    """Raises OSError, fit to be shown, where a folder above, or this one, does not let the user in."""
    path = os.path.realpath(folder)
    way = [path]
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        way.append(path)
    for each in reversed(way):
        if not _may_enter(each, user):
            raise OSError(errno.EACCES, f"user {user.name} may not enter {each}; {advice}")


def _may_enter(folder: str, user: User) -> bool:
    found = os.stat(folder)
    if found.st_uid == user.uid:
        needed = stat.S_IXUSR
    elif found.st_gid in (user.gid, *user.groups):
        needed = stat.S_IXGRP
    else:
        needed = stat.S_IXOTH
    return bool(found.st_mode & needed) or user.uid == 0 or _has_list(folder)


def _has_list(folder: str) -> bool:
    """Whether an access control list may say more than the mode does; then the kernel has the word."""
    try:
        return bool(os.getxattr(folder, "system.posix_acl_access"))
    except (OSError, AttributeError):  # none; or a system that keeps them elsewhere
        return False
