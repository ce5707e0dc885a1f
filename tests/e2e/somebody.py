"""Projects whose processes run as somebody else: where others may go, with children that tell who they are."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import app as terminal
from tests.e2e.app import App, Supervisor
from tests.faults.needs import needs, works

root_only = needs(os.geteuid() == 0, "only root can start processes as somebody else")
SOMEBODY = pwd.getpwnam("nobody")
ANOTHER = pwd.getpwnam("daemon")
# What root has left in most containers.
IN_A_CONTAINER = (
    "setpriv",
    "--inh-caps=-all",
    "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,"
    "+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap",
)
# What a shell is given, told without a program of ours, which another user may be kept from reading.
TELL = (
    "sh -c 'echo uids $(grep ^Uid /proc/$$/status); echo gids $(grep ^Gid /proc/$$/status); echo groups $(id -G); "
    'echo masks $(grep -E "^Sig(Blk|Ign)" /proc/$$/status); echo umask $(umask); printf "fds "; ls -m /proc/$$/fd; '
    'echo files $(ulimit -Sn) $(ulimit -Hn); echo session $$ $(cut -d" " -f5,6 /proc/$$/stat); '
    "echo folder $(pwd -P) $PWD; echo who $HOME,$USER,$LOGNAME; echo told; exec sleep 1000'"
)
in_any_container = pytest.mark.parametrize(
    "before",
    [
        (),
        pytest.param(
            IN_A_CONTAINER, marks=needs(works(*IN_A_CONTAINER, "true"), "setpriv cannot take rights away here")
        ),
    ],
    ids=["all rights", "those of a container"],
)


@pytest.fixture
def open_app(nothing_left_behind: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """In place of `app`, where others may go as well: pytest's own folders are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="procsup-users-", dir="/tmp"))
    folder.chmod(0o755)
    monkeypatch.setenv("PROCSUP_STATE_DIR", str(folder / "state"))
    app = App(folder / "app")
    app.folder.chmod(0o755)
    try:
        yield app
    finally:
        app.clean_up()
        shutil.rmtree(folder)


def start_through(app: App, before: tuple[str, ...], *arguments: str) -> Supervisor:
    """Through another program, which becomes procsup."""
    plain = terminal.COMMAND
    terminal.COMMAND = (*before, *plain)
    try:
        return app.start(*arguments)
    finally:
        terminal.COMMAND = plain


def told(supervisor: Supervisor, name: str = "web.1", times: int = 1) -> dict[str, list[str]]:
    """The lines of TELL by their first word, of the instance's last copy."""
    supervisor.wait_for(rf"{re.escape(name)} +\| told$", times)
    lines = re.findall(rf"{re.escape(name)} +\| (\w+) ?(.*)$", supervisor.text, re.MULTILINE)
    return {key: text.split() for key, text in lines}


def backs_off(app: App, supervisor: Supervisor, *words: str) -> None:
    """web.1 does, for a reason of these words, while other.1 runs; it starts once procsup.toml is right."""
    found = app.until(lambda found: found["web.1"]["state"] == "backoff" and found["other.1"]["state"] == "running")
    for word in (*words, "next try in"):
        assert word in found["web.1"]["why"]
    supervisor.wait_for(r"web\.1 could not be started: \w+ \(procsup\.toml:2\): ")
    app.write("procsup.toml", "")
    app.ok("reload")
    app.until_running("web.1", "other.1")
    assert supervisor.stop() == 0
    assert "Traceback" not in supervisor.text
