"""`start` as systemd runs it: the lines become entries of the journal, and stdout has none of them.

A socket takes the journal's place here. Whether a real one understands what is sent is seen in tests/boot.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App
from tests.e2e.mounts import OWN_MOUNTS, needs_own_mounts
from tests.faults.watching import until


class Journal:
    """What systemd gives to a service: a stream as its output, named in a variable, and maybe the native socket."""

    def __init__(self, path: Path) -> None:
        self.native = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.native.bind(str(path))
        self.path = path
        self.entries: list[dict[str, bytes]] = []
        self.stream = b""

    def run(self, app: App, *arguments: str, native: bool, **variables: str) -> int:
        ours, theirs = socket.socketpair()
        found = os.fstat(theirs.fileno())
        place = "/run/systemd/journal"
        mount = "mount -t tmpfs none /run"  # the machine's own journal would take the lines
        if native:
            mount += f' && mkdir -p {place} && touch {place}/socket && mount --bind "$1" {place}/socket'
        hidden = [*OWN_MOUNTS, "sh", "-c", f'{mount} && shift && exec "$@"', "sh", str(self.path)]
        command = [*hidden, *COMMAND, "start", "--restart", "never", *arguments]
        environment = {**app.environment, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}", **variables}
        readers = [threading.Thread(target=self._read, args=(ours,)), threading.Thread(target=self._receive)]
        process = subprocess.Popen(command, cwd=app.folder, env=environment, stdout=theirs, stderr=theirs)
        theirs.close()
        for reader in readers:
            reader.start()
        code = process.wait(PATIENCE)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.connect(str(self.path))
            end.send(b"")
        for reader in readers:
            reader.join(PATIENCE)
        return code

    def _read(self, ours: socket.socket) -> None:
        with ours:
            while got := ours.recv(65536):
                self.stream += got

    def _receive(self) -> None:
        while entry := self.native.recv(1 << 20):
            fields = [line.partition(b"=") for line in entry.split(b"\n")[:-1]]
            self.entries.append({name.decode(): value for name, _, value in fields})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sock")
    yield journal
    journal.native.close()


@needs_own_mounts
def test_each_line_is_an_entry_with_its_fields_and_stdout_stays_silent(app: App, journal: Journal) -> None:
    app.write("Procfile", "web: sh -c 'echo hello; echo oh >&2; printf \"last words\"'\n")
    assert journal.run(app, native=True, FORCE_COLOR="1") == 0
    said = {each["MESSAGE"]: each for each in journal.entries}
    assert {b"hello", b"oh", b"last words"} < set(said)
    hello = said[b"hello"]
    assert hello["PRIORITY"] == b"6"
    assert hello["SYSLOG_IDENTIFIER"] == b"app/web.1"
    assert hello["PROCSUP_INSTANCE"] == b"web.1"
    assert hello["PROCSUP_TYPE"] == b"web"
    assert hello["PROCSUP_STREAM"] == b"stdout"
    assert said[b"oh"]["PRIORITY"] == b"4"
    assert said[b"oh"]["PROCSUP_STREAM"] == b"stderr"
    own = said[b"web.1 started, pid " + hello["OBJECT_PID"]]
    assert own["PRIORITY"] == b"5"
    assert own["SYSLOG_IDENTIFIER"] == b"app/procsup"
    assert journal.stream == b""


@needs_own_mounts
def test_without_the_native_socket_each_line_has_its_priority(app: App, journal: Journal) -> None:
    app.write("Procfile", "web: sh -c 'echo hello; echo oh >&2'\n")
    assert journal.run(app, native=False, FORCE_COLOR="1") == 0
    lines = journal.stream.decode().splitlines()
    assert "<6>web.1   | hello" in lines
    assert "<4>web.1   | oh" in lines
    assert all(line.startswith(("<6>web.1   | ", "<4>web.1   | ", "<5>procsup | ")) for line in lines)


@needs_own_mounts
@pytest.mark.parametrize("way", ["another format", "another stream"])
def test_lines_look_as_ever_where_the_journal_is_not_meant(app: App, journal: Journal, way: str) -> None:
    app.write("Procfile", "web: echo hello\n")
    if way == "another format":
        assert journal.run(app, "--format", "text", native=False) == 0
    else:
        assert journal.run(app, native=False, JOURNAL_STREAM="1:2") == 0
    assert any(line.endswith(b" web.1   | hello") and line[2:3] == b":" for line in journal.stream.splitlines())


def test_in_the_background_output_goes_to_the_log_as_ever(app: App, journal: Journal) -> None:
    app.write("Procfile", "web: sh -c 'echo hello; exec sleep 1000'\n")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = os.fstat(theirs.fileno())
        environment = {**app.environment, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        command = [*COMMAND, "start", "--detach"]
        done = subprocess.run(command, cwd=app.folder, env=environment, stdout=theirs, timeout=PATIENCE)
    assert done.returncode == 0
    [log] = Path(app.environment["PROCSUP_STATE_DIR"]).rglob("output.log")
    until(lambda: " web.1   | hello" in log.read_text())
    app.ok("shutdown")
