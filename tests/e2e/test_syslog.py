"""`start --syslog` against a real rsyslog, which comes and goes, over all three kinds of sockets."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.app import PATIENCE, App
from tests.e2e.services import free_port
from tests.faults.needs import needs

RSYSLOGD = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
KINDS = ("unix", "udp", "tcp")
STAY = "exec sleep 1000"

pytestmark = needs(RSYSLOGD is not None, "rsyslog is not installed")
every_kind = pytest.mark.parametrize("kind", KINDS)

_CONFIGURATION = """
global(workDirectory="{folder}" parser.escapeControlCharactersOnReceive="off")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
input(type="imuxsock" Socket="{folder}/log.sock" UseSpecialParser="off" ParseHostname="on" UseSysTimeStamp="off")
input(type="imudp" address="127.0.0.1" port="{udp}")
input(type="imtcp" address="127.0.0.1" port="{tcp}")
template(name="all" type="string"
  string="%inputname% %pri% %hostname% %app-name% %procid% %msgid% %structured-data%\t%msg%\n")
if $app-name contains "/" then action(type="omfile" file="{folder}/received" template="all")
"""


class Message(NamedTuple):
    head: list[str]
    text: bytes


class Rsyslog:
    """In the foreground, with a configuration of its own, as a child of the test."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.ports = {"udp": free_port(kind=socket.SOCK_DGRAM), "tcp": free_port()}
        (folder / "conf").write_text(_CONFIGURATION.format(folder=folder, **self.ports))
        # Ubuntu's AppArmor profile, which lets it read nothing of ours, goes by the path of the program.
        self.program = shutil.copy(RSYSLOGD, folder / "rsyslogd")
        self.process: subprocess.Popen[bytes] | None = None

    def address(self, kind: str) -> str:
        return f"unix:{self.folder}/log.sock" if kind == "unix" else f"{kind}://127.0.0.1:{self.ports[kind]}"

    def start(self) -> None:
        command = [self.program, "-n", "-f", str(self.folder / "conf"), "-i", str(self.folder / "pid")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._listens)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None

    def messages(self) -> list[Message]:
        path = self.folder / "received"
        found = path.read_bytes() if path.exists() else b""
        parts = [line.partition(b"\t") for line in found.split(b"\n")[:-1]]
        return [Message(head.decode().split(" "), text) for head, _, text in parts]

    def texts(self, name: str = "web.1") -> list[bytes]:
        return [each.text for each in self.messages() if f'instance="{name}"' in each.head]

    def _listens(self) -> bool:
        try:
            with socket.socket() as tcp, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
                tcp.connect(("127.0.0.1", self.ports["tcp"]))
                unix.connect(f"{self.folder}/log.sock")
        except OSError:
            return False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                udp.bind(("127.0.0.1", self.ports["udp"]))
            except OSError:
                return True
        return False


def until(condition: Callable[[], object], told: Callable[[], object] = lambda: "") -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, told()
        time.sleep(0.01)  # the pace of asking


@pytest.fixture
def rsyslog(tmp_path: Path, nothing_left_behind: None) -> Iterator[Rsyslog]:
    rsyslog = Rsyslog(tmp_path / "rsyslog")
    try:
        yield rsyslog
    finally:
        rsyslog.kill()


@every_kind
def test_every_line_arrives_with_who_said_it_and_how(app: App, rsyslog: Rsyslog, kind: str) -> None:
    rsyslog.start()
    app.write(
        "say.sh", r"""printf 'hello\n\nwith  spaces [x="y"]\n\344\n'; echo grüße; echo oh >&2; printf 'last words'"""
    )
    app.write("Procfile", "web: sh say.sh\nquiet-one: echo hush\n")
    supervisor = app.start("--restart", "never", "--keep-going", "--syslog", rsyslog.address(kind), "-q", "quiet-one")
    pid = supervisor.wait_for(r"web\.1 started, pid (\d+)")[1]
    assert supervisor.end() == 0
    expected = {b"hello", b"", b'with  spaces [x="y"]', b"\xe4", "\ufeffgrüße".encode(), b"oh", b"last words"}
    until(lambda: set(rsyslog.texts()) == expected, rsyslog.messages)
    until(lambda: rsyslog.texts("quiet-one.1") == [b"hush"])
    assert [text for text in rsyslog.texts() if text != b"oh"] == [
        b"hello", b"", b'with  spaces [x="y"]', b"\xe4", "\ufeffgrüße".encode(), b"last words"
    ]  # fmt: skip
    inputs = {"unix": "imuxsock", "udp": "imudp", "tcp": "imtcp"}
    host = socket.gethostname()
    for text, priority, stream in ((b"hello", "14", "stdout"), (b"oh", "12", "stderr")):
        [found] = [each for each in rsyslog.messages() if each.text == text]
        data = f'[procsup@32473 instance="web.1" type="web" stream="{stream}"]'.split(" ")
        assert found.head == [inputs[kind], priority, host, "app/web.1", pid, stream, *data]
    until(lambda: any(b"web.1 ended: exit 0" in text for text in rsyslog.texts("procsup")), rsyslog.messages)


@every_kind
def test_while_the_receiver_is_away_lines_wait_and_arrive_when_it_is_back(
    app: App, rsyslog: Rsyslog, kind: str
) -> None:
    rsyslog.start()
    wait = "while ! test -e %s; do sleep 0.01; done"
    away = "n=0; while test $n -lt 100; do echo away $n; n=$((n+1)); done"
    app.write("say.sh", f"echo before; {wait % 'away'}; {away}; {wait % 'after'}; echo after; {STAY}")
    app.write("Procfile", "web: sh say.sh\n")
    supervisor = app.start("--syslog", rsyslog.address(kind))
    until(lambda: rsyslog.texts() == [b"before"], rsyslog.messages)
    rsyslog.kill()
    app.write("away", "")
    supervisor.wait_for("away 99")
    supervisor.wait_for(
        r"warning: syslog at .* cannot be reached: Connection refused; up to 1024 KiB of lines wait for it$"
    )
    assert "cannot be reached: Connection refused; 0 lines are lost so far" in app.ok("status")
    rsyslog.start()
    supervisor.wait_for(r"warning: syslog at .* takes lines again; nothing is lost")
    app.write("after", "")
    until(lambda: rsyslog.texts()[-1:] == [b"after"], rsyslog.messages)
    assert rsyslog.texts() == [b"before", *[b"away %d" % number for number in range(100)], b"after"]
    assert "warning" not in app.ok("status")
    assert supervisor.stop() == 0


def test_with_nobody_there_all_goes_on_and_the_end_says_what_is_lost(app: App, rsyslog: Rsyslog) -> None:
    app.write("Procfile", "web: sh -c 'for word in one two three; do echo $word; done'\n")
    for kind in KINDS:
        began = time.monotonic()
        supervisor = app.start("--restart", "never", "--syslog", rsyslog.address(kind))
        assert supervisor.end() == 0
        assert time.monotonic() - began < 10
        supervisor.wait_for(rf"^procsup: syslog at {kind}:.* cannot be reached: .*; \d+ lines are lost$")
        assert "three" in supervisor.text


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("localhost", "'localhost' is no address; write unix:PATH, udp://HOST:514 or tcp://HOST:PORT"),
        ("udp://nowhere.invalid", "nowhere.invalid is not known: "),
        (f"udp://{'x' * 300}", "cannot be the name of a host"),
    ],
)
def test_an_address_that_cannot_be_is_an_error_before_anything_starts(app: App, address: str, told: str) -> None:
    app.write("Procfile", "web: touch started\n")
    done = app.run("start", "--syslog", address)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (app.folder / "started").exists()
