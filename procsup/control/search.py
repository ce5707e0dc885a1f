"""Finds the supervisor that a command is meant for: by its project's root, from a folder below it, or by name."""

from __future__ import annotations

import os
from collections.abc import Mapping

from procsup.control.address import running, socket_paths
from procsup.control.client import Client
from procsup.errors import NotRunning, ProcsupError, UsageError

_LIST_PATIENCE = 2.0  # seconds


def find_supervisor(
    environ: Mapping[str, str], uid: int, cwd: str, root: str | None = None, app: str | None = None
) -> Client:
    """By application name; or of that root; or of the project that cwd is in. NotRunning if there is none."""
    if app is not None:
        return _find_app(environ, uid, app)
    folder = os.path.realpath(cwd if root is None else os.path.join(cwd, root))
    first = folder
    while True:
        for path in socket_paths(environ, uid, folder):
            if os.path.lexists(path):
                try:
                    return Client.connect(path)
                except NotRunning:
                    continue  # left by one that was killed; the next start clears it away
        # A project that does not run is not stood in for by one that happens to lie around it.
        if root is not None or _has_procfile(folder):
            raise _not_running(folder)
        above = os.path.dirname(folder)
        if above == folder:
            raise _not_running(first)
        folder = above


def _has_procfile(folder: str) -> bool:
    """One of any environment: Procfile, Procfile_NAME, Procfile.NAME."""
    try:
        names = os.listdir(folder)
    except OSError:  # one may pass through a folder that one may not look into
        names = ["Procfile"] if os.path.lexists(os.path.join(folder, "Procfile")) else []
    return any(name == "Procfile" or name.startswith(("Procfile_", "Procfile.")) for name in names)


def _not_running(root: str) -> NotRunning:
    return NotRunning(f"no supervisor is running for {root}; start it with: procsup start")


def _find_app(environ: Mapping[str, str], uid: int, app: str) -> Client:
    everybody = list_running(environ, uid)
    silent = [info for info in everybody if "why" in info]
    found = [info for info in everybody if info.get("app") == app]
    # One that keeps silent cannot say that it is of that name; but its socket is called after its folder.
    found += [info for info in silent if os.path.basename(str(info["socket"])).startswith(f"{app}-")]
    if len(found) > 1:
        roots = ", ".join(sorted(str(info.get("root", info["socket"])) for info in found))
        raise UsageError(f'more than one "{app}" is running; say which by its root with -d: {roots}')
    if found and "why" not in found[0]:
        return Client.connect(str(found[0]["socket"]))
    if found or silent:
        reasons = "\n".join(str(info["why"]) for info in found or silent)
        raise ProcsupError(f'no application "{app}" answers; this may be why:\n{reasons}')
    raise NotRunning(f'no supervisor of an application "{app}" is running; see which are with: procsup list')


def list_running(environ: Mapping[str, str], uid: int) -> list[dict[str, object]]:
    """What each supervisor of this user says of itself, and its `socket`; of one that keeps silent: why."""
    return [info for path in running(environ, uid) if (info := _ask_info(path)) is not None]


def _ask_info(path: str) -> dict[str, object] | None:
    try:
        with Client.connect(path, _LIST_PATIENCE) as client:
            info = client.info
    except NotRunning:
        return None  # dead, and not ours to remove: its successor may just be starting
    except ProcsupError as error:
        return {"socket": path, "why": str(error)}
    return {**info, "socket": path} if isinstance(info, dict) else {"socket": path, "why": "its answer makes no sense"}
