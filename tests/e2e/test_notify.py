"""`ready = "notify"`: who may say that a process is ready, and what becomes of the messages."""

from __future__ import annotations

import array
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App, Supervisor
from tests.e2e.somebody import ANOTHER, SOMEBODY, open_app, root_only
from tests.e2e.versions import Gap
from tests.faults.needs import needs, works
from tests.faults.watching import descriptors, until

SLOW = Path(__file__).with_name("slow.py")
NOTIFY = 'ready = "notify"\n'
# Says it and ends at once: `says.py ADDRESS TEXT`.
SAYS = """\
import os, socket, sys
if len(sys.argv) > 3:
    os.setgroups([]), os.setgid(int(sys.argv[3])), os.setuid(int(sys.argv[3]))
link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
link.sendto(sys.argv[2].encode(), sys.argv[1].replace("@", "\\0", 1))
"""
pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="Linux only")
needs_its_program = needs(works("systemd-notify", "--version"), "there is no systemd-notify")
somebodys_app = open_app


def start(app: App, kind: str, settings: str = NOTIFY, *arguments: str) -> Supervisor:
    """A copy of `slow.py` that is not ready yet."""
    app.write("slow.py", SLOW.read_text()).chmod(0o644)
    app.write("Procfile", f"web: exec {shlex.join([sys.executable, '-IS', 'slow.py', kind])}\n")
    app.write("procsup.toml", settings)
    supervisor = app.start(*arguments)
    supervisor.wait_for(r"\| booting$")
    app.until(lambda found: "loading" in (found["web.1"]["why"] or ""))
    return supervisor


def start_as_somebody(app: App) -> Supervisor:
    """In a shell: a Python of ours may be out of another user's reach."""
    app.folder.chmod(0o777)
    say = "systemd-notify --no-block"
    app.write(
        "web",
        f"{say} --status=loading\nuntil test -e go; do sleep 0.01; done\n{say} --ready\ntouch sent\nexec sleep 1000\n",
    ).chmod(0o644)
    app.write("Procfile", "web: sh web\n")
    app.write("procsup.toml", f'{NOTIFY}user = "nobody"\n')
    supervisor = app.start()
    app.until(lambda found: "loading" in (found["web.1"]["why"] or ""))
    return supervisor


def address(app: App) -> str:
    variables = Path(f"/proc/{app.instances()['web.1']['pid']}/environ").read_text().split("\0")
    return next(each for each in variables if each.startswith("NOTIFY_SOCKET=")).partition("=")[2]


@contextmanager
def connected(to: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.connect(to.replace("@", "\0", 1))
        yield link


@contextmanager
def asleep(supervisor: Supervisor) -> Iterator[None]:
    """It hears only afterwards what happens meanwhile."""
    supervisor.send(signal.SIGSTOP)
    try:
        until(lambda: _state(supervisor.pid) == "T")
        yield
    finally:
        supervisor.send(signal.SIGCONT)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until_heard(to: str) -> None:
    """Until all that was sent so far was."""
    reader, writer = os.pipe()
    with open(reader, "rb") as barrier, connected(to) as link:
        socket.send_fds(link, [b"BARRIER=1"], [writer])
        os.close(writer)
        assert select.select([barrier], [], [], PATIENCE)[0], "nobody is let go"


def says(to: str, text: str, *user: int) -> None:
    subprocess.run([sys.executable, "-IS", "-c", SAYS, to, text, *map(str, user)], check=True, timeout=PATIENCE)


# Who may


@pytest.mark.parametrize("portable", ["", "1"], ids=["pidfd", "portable"])
def test_who_has_said_it_may_be_gone_at_once(app: App, portable: str) -> None:
    app.environment["PROCSUP_PORTABLE"] = portable
    supervisor = start(app, "gone")
    with asleep(supervisor):
        app.write("go", "")
        until((app.folder / "sent").exists)
    assert app.until_running("web.1")["web.1"]["why"] == "says: serving"
    assert supervisor.stop() == 0


@needs_its_program
@pytest.mark.parametrize("how", ["", " --no-block"], ids=["waits until it is heard", "does not wait"])
def test_a_script_says_it_with_the_program_of_systemd(app: App, how: str) -> None:
    app.write("Procfile", f"web: systemd-notify{how} --ready --status='all is well'; exec sleep 1000\n")
    app.write("procsup.toml", NOTIFY)
    supervisor = app.start("-m", "web=3")
    found = app.until_running("web.1", "web.2", "web.3")
    assert {each["why"] for each in found.values()} == {"says: all is well"}
    assert supervisor.stop() == 0


def test_one_who_has_cleared_its_environment_may_too(app: App) -> None:
    app.write("say.py", f"{SAYS}import signal\nsignal.pause()\n")
    app.write("Procfile", f"web: exec env -i {sys.executable} -IS say.py $NOTIFY_SOCKET READY=1\n")
    app.write("procsup.toml", NOTIFY)
    supervisor = app.start()
    app.until_running("web.1")
    assert supervisor.stop() == 0


def test_a_stranger_cannot_say_that_it_is_ready(app: App) -> None:
    supervisor = start(app, "notify")
    with connected(address(app)) as stranger:
        for text in (b"READY=1", b"STATUS=hacked", b"\xff\0=\n\n=", b"x" * 10_000):
            stranger.send(text)
    until_heard(address(app))
    told = app.instances()["web.1"]
    assert told["state"] == "starting"
    assert "loading" in told["why"]
    app.write("go", "")
    assert app.until_running("web.1")["web.1"]["why"] == "says: serving"
    assert supervisor.stop() == 0


def test_another_instance_that_lives_cannot_either(app: App) -> None:
    supervisor = start(app, "notify")
    app.write("say.py", f"{SAYS}import signal\nprint('said', flush=True)\nsignal.pause()\n")
    app.write("Procfile", (app.folder / "Procfile").read_text() + "other: sh other\n")
    app.write("other", f"exec {sys.executable} -IS say.py {address(app)} READY=1\n")
    app.ok("reload")
    app.ok("scale", "other=1")
    supervisor.wait_for("said")
    until_heard(address(app))
    assert app.instances()["web.1"]["state"] == "starting"
    assert supervisor.stop() == 0


@root_only
@needs_its_program
def test_a_stranger_that_is_gone_is_known_by_its_user(somebodys_app: App) -> None:
    app = somebodys_app
    supervisor = start_as_somebody(app)
    where = address(app)
    with asleep(supervisor):
        says(where, "READY=1\nSTATUS=hacked", ANOTHER.pw_uid)
    until_heard(where)
    assert app.instances()["web.1"]["state"] == "starting"
    assert "loading" in app.instances()["web.1"]["why"]
    with asleep(supervisor):
        says(where, "READY=1\nSTATUS=its own user", SOMEBODY.pw_uid)
    assert app.until_running("web.1")["web.1"]["why"] == "says: its own user"
    assert supervisor.stop() == 0


@root_only
@needs_its_program
def test_one_of_another_user_says_it_and_is_gone(somebodys_app: App) -> None:
    app = somebodys_app
    supervisor = start_as_somebody(app)
    with asleep(supervisor):
        app.write("go", "")
        until((app.folder / "sent").exists)
    app.until_running("web.1")
    assert supervisor.stop() == 0


# What becomes of it


def test_what_it_says_of_itself_is_shown_without_its_colours(app: App) -> None:
    start(app, "notify")
    app.until(lambda found: "not ready yet: loading [31m the model;" in (found["web.1"]["why"] or ""))


def test_one_that_waits_until_its_word_was_heard_is_let_go(app: App) -> None:
    supervisor = start(app, "barrier")
    app.write("go", "")
    supervisor.wait_for(r"web\.1 +\| let go$")
    app.until_running("web.1")


def test_only_who_asked_for_it_gets_a_notify_socket_and_each_its_own(app: App) -> None:
    app.write("Procfile", "web: echo $NOTIFY_SOCKET; sleep 1000\nother: echo other=$NOTIFY_SOCKET; sleep 1000\n")
    app.write("procsup.toml", f"[processes.web]\n{NOTIFY}")
    supervisor = app.start("-m", "web=2,other=1")
    given = {supervisor.wait_for(rf"web\.{each} +\| (@procsup-notify-.+)$")[1] for each in (1, 2)}
    assert len(given) == 2
    supervisor.wait_for(r"other\.1 +\| other=$")


def test_descriptors_that_come_with_messages_are_all_closed(app: App) -> None:
    supervisor = start(app, "notify")
    where = address(app)
    until_heard(where)
    before = descriptors(supervisor.pid)
    with connected(where) as link:
        for _ in range(20):
            rights = array.array("i", [0] * 253)  # as many as the kernel takes
            link.sendmsg([b"FDSTORE=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    until_heard(where)
    assert descriptors(supervisor.pid) <= before
    app.write("go", "")
    app.until_running("web.1")
    assert supervisor.stop() == 0


def test_a_late_word_of_one_copy_is_none_of_the_next_ones(app: App) -> None:
    app.write("say.py", SAYS)
    app.write("first", "")
    app.write(
        "web",
        "if ! rm first; then echo again; exec sleep 1000; fi\necho up\nuntil test -e go; do sleep 0.01; done\n"
        f"{sys.executable} -IS say.py $NOTIFY_SOCKET READY=1\ntouch sent\nexit 3\n",
    )
    app.write("Procfile", "web: sh web 2>/dev/null\n")
    app.write("procsup.toml", NOTIFY)
    supervisor = app.start()
    supervisor.wait_for(r"\| up$")
    before = address(app)
    with asleep(supervisor):
        app.write("go", "")
        until((app.folder / "sent").exists)
    supervisor.wait_for(r"\| again$")
    app.until(lambda found: found["web.1"]["restarts"] == 1 and found["web.1"]["state"] == "starting")
    with pytest.raises(ConnectionRefusedError), connected(before):
        pass
    until_heard(address(app))
    assert app.instances()["web.1"]["state"] == "starting"
    assert supervisor.stop() == 0


def test_sockets_do_not_pile_up(app: App) -> None:
    app.write("go", "")
    app.write("Procfile", f"web: exec {shlex.join([sys.executable, '-IS', str(SLOW), 'notify'])}\n")
    app.write("procsup.toml", NOTIFY)
    supervisor = app.start("-m", "web=2")
    app.until_running("web.1", "web.2")

    def opened() -> int:
        return Path("/proc/net/unix").read_text().count(f"@procsup-notify-{supervisor.pid}-")

    assert opened() == 2
    for _ in range(3):
        app.ok("restart", "web")
    app.ok("scale", "web=4", "--wait")
    app.ok("scale", "web=2", "--wait")
    assert opened() == 2
    app.ok("stop", "web")
    assert opened() == 0
    assert supervisor.stop() == 0


def test_over_an_upgrade_nothing_of_it_is_missed(app: App, tmp_path: Path) -> None:
    gap = Gap(tmp_path)
    supervisor = start(app, "gone")
    where = address(app)
    command = [*COMMAND, "upgrade", "--python", str(gap.python)]
    with subprocess.Popen(command, cwd=app.folder, env=app.environment, stdout=subprocess.DEVNULL) as upgrading:
        gap.wait()
        app.write("go", "")
        until((app.folder / "sent").exists)
        gap.end()
        assert upgrading.wait(PATIENCE) == 0
    assert app.until_running("web.1")["web.1"]["why"] == "says: serving"
    (app.folder / "go").unlink()
    app.write("procsup.toml", f"{NOTIFY}ready_timeout = 1000\n")
    app.ok("reload")
    with subprocess.Popen([*COMMAND, "restart", "web"], cwd=app.folder, stdout=subprocess.DEVNULL) as restarting:
        supervisor.wait_for(r"\| booting$", 2)
        with pytest.raises(ConnectionRefusedError), connected(where):
            pass
        app.write("go", "")
        assert restarting.wait(PATIENCE) == 0
    assert supervisor.stop() == 0
