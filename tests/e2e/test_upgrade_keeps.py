"""What instances hold through the supervisor stays theirs when it becomes another version: terminals, sockets, more."""

from __future__ import annotations

import os
import re
import resource
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from procsup.control.search import find_supervisor
from tests.e2e.app import COMMAND, PATIENCE, App, Supervisor
from tests.e2e.refusal import refused
from tests.e2e.screen import Screen
from tests.e2e.services import free_port
from tests.faults.watching import until

ACCEPTING = shlex.join([sys.executable, "-I", str(Path(__file__).with_name("accepting.py"))])
# Says one half of it before SIGUSR1, and the other after.
GETS_READY = {
    "notify": "import os, signal, socket, sys\nfirst, then = b'', b'READY=1'\n"
    "def say(what):\n    link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    "    link.sendto(what, '\\0' + os.environ['NOTIFY_SOCKET'][1:])\n",
    "log here I am": "import os, signal\nfirst, then = b'here I', b' am\\n'\ndef say(what):\n    os.write(1, what)\n",
}
GETTING_READY = """\
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
if first:
    say(first)
os.write(2, b"waiting\\n")
signal.sigwait({signal.SIGUSR1})
say(then)
signal.pause()
"""
MANY = """\
import os
for first in range(0, 500_000, 100):
    os.write(1, b"".join(b"%d\\n" % each for each in range(first, first + 100)))
"""
ECHO = """\
import signal
print("ready", flush=True)
while True:
    print("heard", input(), flush=True)
"""


@pytest.fixture
def screens(app: App) -> Iterator[list[Screen]]:
    opened: list[Screen] = []
    yield opened
    for each in opened:
        each.close()


def test_a_terminal_stays_and_who_is_attached_to_it_too(app: App, screens: list[Screen]) -> None:
    app.write("echo.py", ECHO)
    app.write("Procfile", f"web: {sys.executable} -S echo.py\n")
    supervisor = app.start("--tty", "web")
    supervisor.wait_for("ready")
    terminal = Screen(app, *COMMAND, "attach", "web.1")
    screens.append(terminal)
    terminal.type("one\n")
    terminal.wait_for("heard one")
    before = app.instances()["web.1"]["pid"]
    app.ok("upgrade")
    terminal.type("two\n")
    terminal.wait_for("heard two")
    assert terminal.text.count("heard one") == 1
    newcomer = Screen(app, *COMMAND, "attach", "web.1", size=(30, 90))
    screens.append(newcomer)
    newcomer.wait_for("heard one")
    newcomer.wait_for("heard two")
    assert app.instances()["web.1"]["pid"] == before
    for each in screens:
        each.type("\x1d")
        assert each.end() == 0
        assert each.as_before()
    supervisor.wait_for(r"web\.1 +\| heard two$")
    assert supervisor.stop() == 0


def test_who_looks_at_it_on_a_terminal_sees_it_go_on(app: App, screens: list[Screen]) -> None:
    app.write("Procfile", "web: sh -c 'echo ready; exec sleep 1000'\nworker: sleep 1000\n")
    terminal = Screen(app, *COMMAND, "start")
    screens.append(terminal)
    terminal.wait_for("ready")
    app.until_running("web.1", "worker.1")
    app.ok("upgrade")
    terminal.wait_for(r"upgraded from(?s:.*)web ●1  worker ●1")
    app.ok("scale", "web=2", "--wait")
    terminal.wait_for("ready", 2)
    terminal.wait_for("web ●2")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "0 left" in terminal.text


def test_who_has_our_own_terminal_is_not_disturbed(app: App, screens: list[Screen]) -> None:
    app.write("echo.py", ECHO)
    app.write("Procfile", f"web: {sys.executable} -S echo.py\n")
    terminal = Screen(app, *COMMAND, "start", "--focus", "web")
    screens.append(terminal)
    terminal.wait_for("ready")
    assert "web.1 has this terminal; Ctrl-] gives it back" in refused(app.run("upgrade"), 1)
    terminal.type("one\n")
    terminal.wait_for("heard one")
    terminal.type("\x1d")
    terminal.wait_for(r"procsup \| ")
    app.ok("upgrade")
    terminal.wait_for("upgraded from")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert terminal.as_before()


def test_a_socket_stays_open_and_the_next_copy_gets_the_same(app: App) -> None:
    port = free_port()
    app.write("Procfile", f"web: {ACCEPTING}\n")
    app.write("procsup.toml", f'[processes.web]\nsocket = "127.0.0.1:{port}"\n')
    supervisor = app.start()
    supervisor.wait_for("ready")

    def of(pid: int) -> str:
        return os.readlink(f"/proc/{pid}/fd/3")

    before = app.until_running("web.1")["web.1"]["pid"]
    held = of(before)
    app.ok("upgrade")
    assert app.instances()["web.1"]["pid"] == before
    app.ok("restart", "web")
    after = app.until_running("web.1")["web.1"]["pid"]
    assert after != before
    supervisor.wait_for("ready", 2)
    assert of(after) == held
    assert supervisor.stop() == 0


@pytest.mark.parametrize("ready", GETS_READY)
def test_who_gets_ready_in_between_is_heard(app: App, ready: str) -> None:
    app.write("web.py", GETS_READY[ready] + GETTING_READY)
    app.write("Procfile", f"web: {sys.executable} -S web.py\n")
    app.write("procsup.toml", f'[processes.web]\nready = "{ready}"\n')
    supervisor = app.start()
    supervisor.wait_for("waiting")
    before = app.until(lambda found: found["web.1"]["state"] == "starting")["web.1"]
    app.ok("upgrade")
    after = app.instances()["web.1"]
    assert (after["state"], after["pid"]) == ("starting", before["pid"])
    os.kill(after["pid"], signal.SIGUSR1)
    app.until_running("web.1")
    assert supervisor.stop() == 0


def _until_it_is_stuck(pid: int) -> None:
    """It writes, and nobody takes it."""
    before, now = -1, 0
    while before != now or not now:
        time.sleep(0.2)  # what it would need for far more
        before, now = now, int(re.findall(r"wchar: (\d+)", Path(f"/proc/{pid}/io").read_text())[0])


def test_what_a_reader_has_not_read_yet_comes_later(app: App) -> None:
    app.write("many.py", MANY)
    app.write("Procfile", f"web: {sys.executable} -S many.py\n")
    command = [*COMMAND, "start", "--restart", "on-failure", "--no-prefix"]
    with subprocess.Popen(command, cwd=app.folder, env=app.environment, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        pid = app.until_running("web.1")["web.1"]["pid"]
        _until_it_is_stuck(pid)
        for _ in range(3):
            app.ok("upgrade")
        said = supervisor.stdout.read().decode()
    assert supervisor.returncode == 0
    told = [line for line in said.splitlines() if line.isdigit()]
    assert told == [str(each) for each in range(500_000)]


def test_a_syslog_receiver_gets_every_line_once_over_one_connection(app: App) -> None:
    app.write(
        "many.py",
        "import os, time\nfor n in range(4_000):\n    os.write(1, b'n%d.\\n' % n)\n    n % 4 or time.sleep(0.001)\n"
        "while not os.path.exists('enough'): time.sleep(0.01)\n",
    )
    app.write("Procfile", f"web: {sys.executable} -S many.py\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        # All of it is less than procsup keeps for a receiver that does not read, and more than the kernel keeps for it.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        supervisor = app.start("--restart", "on-failure", "--quiet", "web", "--syslog", address)
        receiver, _ = server.accept()
        with receiver:
            for _ in range(3):
                app.ok("upgrade")
            app.write("enough", "")
            said = b""
            while chunk := receiver.recv(1 << 16):
                said += chunk
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert supervisor.end() == 0
    assert [int(each) for each in re.findall(rb"\] n(\d+)\.", said)] == list(range(4_000))
    at = 0
    while at < len(said):
        space = said.index(b" ", at)
        at = space + 1 + int(said[at:space])
    assert at == len(said), "messages are torn"


def test_changes_of_files_are_seen_as_before(app: App) -> None:
    pytest.importorskip("watchfiles")
    app.write("Procfile", "web: sh -c 'echo ready; exec sleep 1000'\n")
    app.write("procsup.toml", '[processes.web]\nwatch = ["*.py"]\n')
    supervisor = app.start()
    supervisor.wait_for("ready")
    app.ok("upgrade")
    until(lambda: "_rust_notify" in Path(f"/proc/{supervisor.pid}/maps").read_text())

    def changed() -> bool:
        app.write("web.py", f"# {time.monotonic()}\n")
        return supervisor.text.count("ready") > 1

    until(changed)
    assert supervisor.stop() == 0


def test_nothing_but_what_was_theirs_comes_to_those_who_are_started_later(app: App) -> None:
    probe = shlex.join([sys.executable, "-I", str(Path(__file__).with_name("probe.py"))])
    app.write("Procfile", f"web: {probe}\n")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    supervisor = app.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard)))
    before = supervisor.probe()
    assert before["open_files"] == [512, hard]
    with subprocess.Popen(
        [*COMMAND, "logs", "-f"], cwd=app.folder, env=app.environment, stdout=subprocess.DEVNULL
    ) as follower:
        for _ in range(2):
            app.ok("upgrade")
        app.ok("restart", "web")
        after = supervisor.probe(times=2)
        assert supervisor.stop() == 0
    assert follower.returncode == 0
    told = ("cwd", "SigBlk", "SigIgn", "umask", "open_files", "core", "parent", "stdin_has_something_to_read")
    assert [after[key] for key in told] == [before[key] for key in told]
    assert sorted(after["fds"]) == sorted(before["fds"]) == ["0", "1", "2"]
    assert after["fds"]["0"] == before["fds"]["0"]
    assert {**after["env"], "PROCSUP_COOKIE": ""} == {**before["env"], "PROCSUP_COOKIE": ""}


def test_descriptors_and_memory_do_not_pile_up(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start("-m", "web=3")
    app.until_running("web.1", "web.2", "web.3")

    def held() -> int:
        return len(os.listdir(f"/proc/{supervisor.pid}/fd"))

    app.ok("upgrade")
    before = held()
    for _ in range(4):
        app.ok("upgrade")
    until(lambda: held() <= before)  # the command is gone before its connection is
    assert supervisor.stop() == 0


def test_who_reads_the_logs_in_the_middle_of_it_gets_the_rest_and_the_end(app: App) -> None:
    app.write("Procfile", "web: sh -c 'seq 1 300000; echo said; exec sleep 1000'\n")
    supervisor = app.start("--history", "11M", "-q", "web")
    app.until_running("web.1")
    until(lambda: "said" in app.ok("logs", "web", "-n", "1"))
    command = [*COMMAND, "logs", "web", "-n", "1000000", "--no-prefix"]
    with subprocess.Popen(command, cwd=app.folder, env=app.environment, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        first = os.read(reader.stdout.fileno(), 1)
        for _ in range(2):
            app.ok("upgrade")
        try:
            rest = reader.communicate(timeout=PATIENCE)[0]
        finally:
            reader.kill()
    assert reader.returncode == 0
    assert (first + rest).decode().split() == [*map(str, range(1, 300_001)), "said"]
    assert supervisor.stop() == 0


def test_who_follows_and_is_behind_is_told_that_something_is_missing(app: App) -> None:
    # Far more than the history and a socket hold, but soon said: who reads nothing for long is cut off.
    app.write("Procfile", "web: sh -c 'echo ready; read x < go; seq 1 300000; echo said; exec sleep 1000'\n")
    os.mkfifo(app.folder / "go")
    supervisor = app.start("-q", "web")
    app.until_running("web.1")
    follower = Supervisor(("logs", "web", "-f", "--no-prefix"), app.folder, app.environment)
    app.started.append(follower)
    follower.wait_for("ready")
    follower.send(signal.SIGSTOP)
    try:
        (app.folder / "go").write_text("now\n")
        until(lambda: "said" in app.ok("logs", "web", "-n", "1"))
        app.ok("upgrade")
    finally:
        follower.send(signal.SIGCONT)
    follower.wait_for("^procsup: some bytes of web.1 are missing here$")
    follower.wait_for("^said$")
    assert supervisor.stop() == 0
    assert follower.end() == 0


def test_a_place_on_one_copys_terminal_is_none_on_the_next_ones(app: App) -> None:
    app.write("Procfile", "web: sh web\n")
    app.write(
        "web",
        f"if [ -e first ]; then read y < go; echo hello; else : > first; echo {'x' * 200}; fi; exec sleep 1000\n",
    )
    os.mkfifo(app.folder / "go")
    supervisor = app.start("--tty", "web")
    supervisor.wait_for("xxx")
    with find_supervisor(app.environment, os.geteuid(), str(app.folder)) as client:
        told: list[tuple[str, dict[str, Any]]] = []

        def hear(kind: str, text: str = "") -> None:
            while not any(method == kind and text in told_then.get("text", "") for method, told_then in told):
                assert select.select([client], [], [], PATIENCE)[0], told
                told.extend(client.receive())

        client.begin("attach", name="web.1")
        hear("screen", "xxx")
        told.clear()
        app.ok("restart", "web")
        hear("here")
        app.ok("upgrade")
        (app.folder / "go").write_text("now\n")
        supervisor.wait_for("hello")
        hear("screen", "hello")
    assert supervisor.stop() == 0


def test_who_waits_is_answered_at_the_time_that_was_said(app: App) -> None:
    timeout, most = 6.0, 3.0
    app.write("Procfile", "late: sleep 1000\n")
    app.write("procsup.toml", "[processes.late]\nready = 'log never'\n")
    supervisor = app.start()
    app.until(lambda found: found["late.1"]["state"] == "starting")
    with ThreadPoolExecutor(1) as pool:
        begun = time.monotonic()
        waiting = pool.submit(app.ask, "wait", names=[], ready=True, timeout=timeout)
        while (last := time.monotonic()) < begun + most:
            app.ask("upgrade", python=None)
        app.ask("upgrade", python=None)
        [failed] = waiting.result()["failed"]
        over = time.monotonic()
    assert "not ready yet" in failed["why"]
    assert begun + timeout - 0.1 < over < last + timeout
    assert supervisor.stop() == 0
