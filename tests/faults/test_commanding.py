"""Many commands, clients of every kind, two supervisors, a socket that vanishes, and a lock that lies."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App, Supervisor, alive
from tests.faults.watching import DEAF, NOISE, READY, Record, in_words, memory, sockets, until, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

_MIB = 1024 * 1024
_STATUS = b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"usage":false}}\n'


def _timed(app: App, *arguments: str) -> float:
    with within(PATIENCE) as took:
        app.ok(*arguments)
    return took.seconds


def test_f34_ten_commands_at_once_are_all_obeyed(app: App, record_property: Record) -> None:
    app.write("Procfile", f"web: {READY}\nworker: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready", 2)
    with ThreadPoolExecutor(10) as ten:
        commands = [(name, number) for name in ("web", "worker") for number in range(5)]
        took = list(ten.map(lambda command: _timed(app, "scale", f"{command[0]}=+1", "--wait"), commands))
    app.until_running(*(f"{name}.{number}" for name in ("web", "worker") for number in range(1, 7)))
    record_property("slowest of 10 commands at once", in_words(max(took)))
    assert supervisor.stop() == 0


@pytest.mark.parametrize("command", ["restart", "stop"])
def test_f34_the_job_of_a_killed_client_is_done_to_its_end(app: App, command: str, record_property: Record) -> None:
    app.write("Procfile", f"deaf: {DEAF}\nweb: {READY}\n")
    supervisor = app.start("--grace", "2")
    supervisor.wait_for("ready", 2)
    with subprocess.Popen([*COMMAND, command, "deaf"], cwd=app.folder, env=app.environment) as client:
        supervisor.wait_for(r"deaf\.1 stopping")
        client.kill()
    with within(1.5) as took:  # and less than the grace
        assert app.instances()["web.1"]["state"] == "running"  # nobody waits for it
    record_property("the next one's answer meanwhile", str(took))
    if command == "restart":
        supervisor.wait_for("ready", 3)
        app.until_running("deaf.1", "web.1")
    else:
        app.until(lambda found: found["deaf.1"]["state"] == "stopped")
    record_property(f"the job of a killed {command}", "done")
    assert supervisor.stop() == 0


@contextmanager
def _client(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        yield client


def _fill(client: socket.socket, what: bytes, most: int) -> int:
    """Say it over and over until nobody takes it any more, and read nothing."""
    client.setblocking(False)
    sent, refused = 0, 0
    while sent < most and refused < 20:
        try:
            sent += client.send(what)
            refused = 0
        except BlockingIOError:
            refused += 1
            time.sleep(0.01)  # the pace of asking
        except OSError:
            break
    return sent


@contextmanager
def _one_byte_a_second(client: socket.socket) -> Iterator[None]:
    """Begins a request, and when the others are done says the rest of it and reads the answer."""
    over = threading.Event()
    rest = list(_STATUS)

    def dribble() -> None:
        while not over.is_set() and len(rest) > 1:
            client.sendall(bytes([rest.pop(0)]))
            over.wait(1.0)

    slow = threading.Thread(target=dribble)
    slow.start()
    try:
        yield
    finally:
        over.set()
        slow.join()
    client.sendall(bytes(rest))
    assert client.recv(65536).startswith(b'{"jsonrpc":"2.0","id":1,"result":')


def test_f34_nobody_waits_for_clients_that_do_not_read_talk_nonsense_or_take_their_time(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start("-m", "web=20")
    supervisor.wait_for("ready", 20)
    app.ok("status")  # with all that it imports
    [path], before = sockets(), memory(supervisor.pid)
    dice = random.Random(34)  # noqa: S311
    with _client(path) as deaf, _client(path) as nonsense, _client(path) as endless, _client(path) as slow:
        with _one_byte_a_second(slow):
            _fill(deaf, _STATUS * 100, 5 * _MIB)
            assert _fill(nonsense, dice.randbytes(1_000_000), _MIB) > 0
            assert _fill(endless, b"x" * 65536, 10 * _MIB) < 3 * _MIB, "a line without end is read without end"
            took = [_timed(app, "status") for _ in range(5)]
            took.append(_timed(app, "scale", "web=21", "--wait"))
            took.append(_timed(app, "restart", "web.1"))
            answers = []
            for _ in range(100):
                with within(PATIENCE) as answer:
                    app.instances()
                answers.append(answer.seconds)
        _fill(deaf, _STATUS * 100, _MIB)  # there may be room again if it was slow when this was begun
        assert _fill(deaf, _STATUS * 100, _MIB) < 65536, "the server reads on though nobody takes its answers"
        more = memory(supervisor.pid) - before
        assert app.instances()["web.21"]["state"] == "running"
        with within(1 + NOISE) as stop:
            assert supervisor.stop() == 0
    assert more <= 32 * _MIB
    assert max(took) <= 1 + NOISE
    record_property("slowest command beside hostile clients", in_words(max(took)))
    record_property("slowest answer through the socket", in_words(max(answers)))
    record_property("memory for hostile clients", f"{max(more, 0) / _MIB:.1f} MiB")
    record_property("stopped beside hostile clients after", str(stop))
    assert "Traceback" not in supervisor.text


def _first_to_end(supervisors: list[Supervisor]) -> list[Supervisor]:
    def ended() -> list[Supervisor]:
        return [each for each in supervisors if each.process.poll() is not None]

    until(lambda: bool(ended()))
    return ended()


@pytest.mark.timeout(300)
def test_f35_of_two_starts_at_once_one_wins_and_the_other_names_it(app: App, record_property: Record) -> None:
    def take_turns(lane: int) -> int:
        own = App(app.folder / str(lane))
        own.write("Procfile", f"web: {READY}\n")
        try:
            return sum(_one_of_two_wins(own) for _ in range(lane, 50, 3))
        finally:
            own.clean_up()

    with ThreadPoolExecutor(3) as lanes:
        winners = sum(lanes.map(take_turns, range(3)))
    record_property("winners in 50 times two", str(winners))
    assert winners == 50


def _one_of_two_wins(app: App) -> bool:
    both = [app.start(), app.start()]
    [loser] = _first_to_end(both)
    [winner] = [each for each in both if each is not loser]
    assert loser.end() == 3, loser.text
    assert str(winner.pid) in loser.text
    assert str(app.folder) in loser.text
    assert "started" not in loser.text
    winner.wait_for("ready")
    assert winner.stop() == 0
    return winner.text.count("web.1 started") == 1


@pytest.mark.parametrize("gone", ["the socket", "the runtime folder", "the whole state folder"])
def test_f36_a_socket_that_was_removed_is_made_again(app: App, gone: str, record_property: Record) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    pid = app.until_running("web.1")["web.1"]["pid"]
    [path] = sockets()
    with within(5 + NOISE) as took:
        if gone == "the socket":
            path.unlink()
        else:
            shutil.rmtree(path.parent if gone == "the runtime folder" else path.parent.parent)
        until(path.exists)
        assert app.until_running("web.1")["web.1"]["pid"] == pid
    record_property(f"{gone} removed: it answers again after", str(took))
    app.ok("shutdown")
    assert supervisor.end() == 0


def test_f36_a_shutdown_is_possible_at_once_when_the_socket_is_gone(app: App, record_property: Record) -> None:
    app.write("Procfile", f"web: {READY}\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    app.until_running("web.1")
    with within(5 + NOISE) as took:
        sockets()[0].unlink()
        while app.run("shutdown").returncode != 0:
            assert took.seconds <= 5 + NOISE
        assert supervisor.end() == 0
    record_property("removed, shut down and gone after", str(took))


# Whatever of all this it hears, it writes down; of SIGKILL and SIGSTOP it shows by its state.
_WITNESS = "for each in TERM INT HUP QUIT USR1 USR2 CONT; do trap 'echo heard >> heard' $each; done; echo up; read line"


def test_f37_a_lock_with_the_pid_of_somebody_else_is_no_obstacle_and_he_is_left_alone(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"web: {READY}\n")
    first = app.start()
    first.wait_for("ready")
    first.send(signal.SIGKILL)
    first.end()
    [lock] = [path for path in Path(os.environ["PROCSUP_STATE_DIR"]).rglob("*lock*") if path.is_file()]
    text = lock.read_text()
    assert str(first.pid) in text
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(["sh", "-c", _WITNESS], cwd=app.folder, **pipes) as somebody:
        try:
            assert somebody.stdout is not None
            assert somebody.stdout.readline() == b"up\n"
            for pid in (somebody.pid, 1, -1, 0, "nobody"):
                lock.write_text(text.replace(str(first.pid), str(pid)))
                again = app.start()
                again.wait_for("ready")
                assert app.status()["pid"] == again.pid
                assert again.stop() == 0
                assert again.text.count("web.1 started") == 1
            assert alive(somebody.pid)
        finally:
            with suppress(BrokenPipeError):
                somebody.communicate(b"\n", PATIENCE)
    assert not (app.folder / "heard").exists()
    assert somebody.returncode == 0
    record_property("signals to the program that has the pid now", "0")
