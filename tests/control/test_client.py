from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import pytest

from procsup.control import address, search
from procsup.control.client import Client, SupervisorGone
from procsup.control.protocol import Notification
from procsup.control.search import find_supervisor, list_running
from procsup.errors import AlreadyRunning, NotRunning, ProcsupError, UsageError

ME = os.geteuid()


@pytest.fixture
def environ(tmp_path):
    return {"PROCSUP_STATE_DIR": str(tmp_path / "s")}


def about(root: str):
    async def handler(method, params):
        return {"app": os.path.basename(root), "root": root, "pid": os.getpid()}

    return handler


def in_thread(call, *args):
    return asyncio.wait_for(asyncio.to_thread(call, *args), 20)


def test_a_call_returns_the_result_and_the_next_one_its_own(run, serving, sock):
    def talk() -> None:
        with Client.connect(sock) as client:
            assert client.call("stop", names=["web"]) == {"method": "stop", "params": {"names": ["web"]}}
            assert client.call("reload") == {"method": "reload", "params": {"plan": False}}

    async def scenario():
        async with serving(sock):
            await in_thread(talk)

    run(scenario)


def test_bytes_that_follow_a_notification_come_with_it_however_they_arrive(run, serving, sock):
    said = [b"", b"\n", b'{"jsonrpc":"2.0"}\n', b"\xff\x00" * 300_000]

    async def stream():
        for each in said:
            yield Notification("output", {"instance": "web.1"}, each)

    async def handler(method, params):
        return stream() if method == "logs" else None

    def talk() -> None:
        heard = []
        with Client.connect(sock) as client:
            client.begin("logs", raw=True)
            while not client.ended:
                heard += client.receive()
            assert heard == [("output", {"instance": "web.1", "raw": each}) for each in said]
            assert client.call("info") is None

    async def scenario():
        async with serving(sock, handler):
            await in_thread(talk)

    run(scenario)


@pytest.mark.parametrize("size", ["-1", "1048577", "true", "1.5", '"1"'])
def test_bytes_that_follow_have_a_length_that_makes_sense(sock, size):
    wrong = b'{"method":"output","params":{"raw":%s}}\n' % size.encode()
    with played(sock, INFO, wrong), Client.connect(sock) as client:
        client.begin("logs", raw=True)
        with pytest.raises(ProcsupError, match="is no supervisor: its answer is not understood"):
            client.receive()


@pytest.mark.parametrize("kind", [ProcsupError, UsageError, AlreadyRunning])
def test_an_error_comes_back_with_its_exit_code(run, serving, sock, kind):
    async def handler(method, params):
        if method != "info":
            raise kind("because")

    def talk() -> None:
        with Client.connect(sock) as client, pytest.raises(ProcsupError, match=r"^because$") as caught:
            client.call("reload")
        assert caught.value.exit_code == kind.exit_code

    async def scenario():
        async with serving(sock, handler):
            await in_thread(talk)

    run(scenario)


def test_wrong_parameters_end_in_the_exit_code_for_usage_and_unknown_methods_say_why(run, serving, sock):
    def talk() -> None:
        with Client.connect(sock) as client:
            with pytest.raises(UsageError, match="names must be a list"):
                client.call("stop", names=5)
            with pytest.raises(ProcsupError, match="of another version"):
                client.call("fly")
            with pytest.raises(UsageError, match="too much"):
                client.call("stop", names=["x" * 2_000_000])
            assert client.call("info")

    async def scenario():
        async with serving(sock):
            await in_thread(talk)

    run(scenario)


def test_an_answer_of_many_mebibytes_arrives_whole(run, serving, sock):
    big = [{"name": f"worker.{number}", "why": 'said "ü\\"', "pid": number} for number in range(60_000)]

    async def handler(method, params):
        return big

    def talk() -> None:
        with Client.connect(sock) as client:
            assert client.call("status") == big
            assert client.call("status") == big

    async def scenario():
        async with serving(sock, handler):
            await in_thread(talk)

    run(scenario)


def test_a_slow_command_is_waited_for_longer_than_the_connection_was(run, serving, sock):
    finish = threading.Event()

    async def handler(method, params):
        if method != "info":
            await asyncio.to_thread(finish.wait)
        return "done"

    def talk() -> None:
        with Client.connect(sock, patience=1) as client:
            threading.Timer(1.2, finish.set).start()
            assert client.call("reload") == "done"

    async def scenario():
        async with serving(sock, handler):
            await in_thread(talk)

    run(scenario)


def listener(path: str, backlog: int = 8) -> socket.socket:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(backlog)
    return listening


INFO = b'{"jsonrpc":"2.0","id":1,"result":{"app":"shop"}}' + b"\n"


@contextlib.contextmanager
def played(path: str, *answers: bytes) -> Iterator[list[bytes]]:
    """What listens there gives these answers, one to each thing it hears, and goes. Yields what it has heard."""
    heard: list[bytes] = []

    def serve() -> None:
        conversation, _ = listening.accept()
        with conversation, contextlib.suppress(OSError):
            for answer in answers:
                heard.append(conversation.recv(65536))
                conversation.sendall(answer)

    with listener(path) as listening:
        server = threading.Thread(target=serve)
        server.start()
        yield heard
        server.join()
    os.unlink(path)


def test_a_supervisor_that_is_stopped_is_told_nothing_and_the_client_says_which_it_is(sock):
    """The queue takes the connection and the words, although nobody will read them for as long as it is stopped."""
    with listener(sock) as listening:
        with pytest.raises(
            ProcsupError, match=rf"pid {os.getpid()}, .*does not answer.*kill -CONT {os.getpid()}"
        ) as caught:
            Client.connect(sock, patience=0.1)
        assert caught.value.exit_code == 1
        conversation, _ = listening.accept()  # it goes on
        with conversation, conversation.makefile("rb") as file:
            assert [json.loads(line)["method"] for line in file] == ["info"]
    os.unlink(sock)


def test_where_the_queue_is_full_it_waits_for_its_turn_but_not_for_ever(sock):
    with listener(sock, 0) as listening, socket.socket(socket.AF_UNIX) as first:
        first.connect(sock)
        with pytest.raises(ProcsupError, match="does not answer"):
            Client.connect(sock, patience=0.1)

        def serve() -> None:
            listening.accept()[0].close()
            conversation, _ = listening.accept()
            with conversation:
                conversation.recv(65536)
                conversation.sendall(INFO)

        server = threading.Timer(0.1, serve)  # by then the client stands in the queue
        server.start()
        with Client.connect(sock, patience=10) as client:
            assert client.info == {"app": "shop"}
        server.join()
    os.unlink(sock)


def test_a_supervisor_that_ends_before_it_has_said_anything_is_none(sock):
    with played(sock, b""), pytest.raises(NotRunning, match="no supervisor listens at"):
        Client.connect(sock)


NO_ANSWERS = [
    (b"", SupervisorGone, "ended before it answered"),
    (b'{"jsonrpc":"2.0","id":2,"res', SupervisorGone, "ended before it answered"),
    (b"hello\n", ProcsupError, "is no supervisor"),
    (b"[" * 200_000 + b"\n", ProcsupError, "is no supervisor"),
    (b"x" * 1_100_000, ProcsupError, "has no end"),
    (b'{"id":7,"result":1}\n{"method":"news"}\n"x"\n{"id":2,"error":{}}\n', SupervisorGone, "ended before"),
]


@pytest.mark.parametrize(("answer", "kind", "said"), NO_ANSWERS)
def test_whatever_listens_there_a_client_ends_with_a_sentence(sock, answer, kind, said):
    with played(sock, INFO, answer), Client.connect(sock) as client, pytest.raises(kind, match=said):
        client.call("reload")


@pytest.mark.parametrize(("answer", "kind", "said"), NO_ANSWERS)
def test_and_so_it_does_where_it_is_not_even_greeted(sock, answer, kind, said):
    if kind is SupervisorGone:
        kind, said = NotRunning, "no supervisor listens"
    with played(sock, answer), pytest.raises(kind, match=said):
        Client.connect(sock)


def test_notifications_between_are_no_answers(sock):
    answer = b'{"jsonrpc":"2.0","method":"event","params":{}}\n{"jsonrpc":"2.0","id":2,"result":5}\n'
    with played(sock, INFO, answer) as heard, Client.connect(sock) as client:
        assert client.call("reload") == 5
    assert [json.loads(each)["method"] for each in heard] == ["info", "reload"]


def test_a_folder_others_can_write_to_is_not_connected_through(sock):
    with listener(sock):
        os.chmod(os.path.dirname(sock), 0o777)  # noqa: S103 - the harm this is about
        with pytest.raises(ProcsupError, match="can be written to by others"):
            Client.connect(sock)
    os.unlink(sock)


def test_a_supervisor_is_found_from_its_root_and_from_any_folder_below(run, serving, environ, tmp_path):
    root = tmp_path / "shop"
    (root / "a" / "b").mkdir(parents=True)
    path = address.socket_path(environ, ME, str(root))

    def talk() -> None:
        for cwd, given in ((root, None), (root / "a" / "b", None), (tmp_path, "shop"), (tmp_path, str(root))):
            with find_supervisor(environ, ME, str(cwd), root=given) as client:
                assert client.call("info")["root"] == str(root)
        with pytest.raises(NotRunning, match=f"no supervisor is running for {root}/a; start it with: procsup start"):
            find_supervisor(environ, ME, str(tmp_path), root=str(root / "a"))
        (root / "a" / "Procfile").write_text("web: x\n")
        with pytest.raises(NotRunning, match=f"for {root}/a;") as caught:
            find_supervisor(environ, ME, str(root / "a" / "b"))
        assert caught.value.exit_code == 3

    async def scenario():
        async with serving(path, about(str(root))):
            await in_thread(talk)

    run(scenario)


def test_where_nothing_runs_it_says_so_and_what_to_do(environ, tmp_path):
    with pytest.raises(NotRunning, match=f"no supervisor is running for {tmp_path}; start it with: procsup start"):
        find_supervisor(environ, ME, str(tmp_path))


def test_a_dead_socket_is_nobody_and_stays_where_it_is(environ, tmp_path):
    path = address.socket_path(environ, ME, str(tmp_path))
    listener(path).close()
    with pytest.raises(NotRunning, match="no supervisor is running for"):
        find_supervisor(environ, ME, str(tmp_path))
    assert list_running(environ, ME) == []
    assert os.path.exists(path)


def test_by_name_it_is_found_from_anywhere_and_two_of_a_name_are_told_apart(run, serving, environ, tmp_path):
    roots = [str(tmp_path / place / "shop") for place in ("a", "b")] + [str(tmp_path / "blog")]
    first, second, third = (address.socket_path(environ, ME, root) for root in roots)

    def talk() -> None:
        with find_supervisor(environ, ME, "/", app="blog") as client:
            assert client.call("info")["root"] == roots[2]
        with pytest.raises(UsageError, match=f"{roots[0]}, {roots[1]}"):
            find_supervisor(environ, ME, "/", app="shop")
        with pytest.raises(NotRunning, match=r'"nope".*procsup list'):
            find_supervisor(environ, ME, "/", app="nope")
        assert sorted(str(info["root"]) for info in list_running(environ, ME)) == sorted(roots)

    async def scenario():
        async with serving(first, about(roots[0])), serving(second, about(roots[1])), serving(third, about(roots[2])):
            await in_thread(talk)

    run(scenario)


def test_one_that_keeps_silent_is_listed_as_such(environ, tmp_path, monkeypatch):
    monkeypatch.setattr(search, "_LIST_PATIENCE", 0.1)
    path = address.socket_path(environ, ME, str(tmp_path))
    with listener(path):
        [info] = list_running(environ, ME)
    assert info["socket"] == path
    assert "does not answer" in str(info["why"])
    os.unlink(path)


def test_by_name_one_that_keeps_silent_is_no_missing_one_and_nobody_else_is_taken_for_it(
    run, serving, environ, tmp_path, monkeypatch
):
    monkeypatch.setattr(search, "_LIST_PATIENCE", 0.1)
    silent, awake = str(tmp_path / "a" / "shop"), str(tmp_path / "b" / "shop")
    path = address.socket_path(environ, ME, silent)

    def talk(error, said) -> None:
        with listener(path), pytest.raises(error, match=said) as caught:
            find_supervisor(environ, ME, "/", app="shop")
        assert not isinstance(caught.value, NotRunning)
        os.unlink(path)

    async def scenario():
        async with serving(address.socket_path(environ, ME, awake), about(awake)):
            await in_thread(talk, UsageError, f"{awake}, {path}")

    talk(ProcsupError, f"does not answer.*kill -CONT {os.getpid()}")
    with monkeypatch.context() as patient:
        patient.setattr(search, "_LIST_PATIENCE", 1.0)  # the one that is awake must have its time to answer
        run(scenario)
    with listener(path), pytest.raises(ProcsupError, match=r'"blog".*\n.*does not answer'):
        find_supervisor(environ, ME, "/", app="blog")
    os.unlink(path)


def test_importing_the_client_costs_next_to_nothing():
    script = """\
        from __future__ import annotations
        import contextlib, json, socket, typing, sys  # typing brought contextlib up to 3.12, and click always does
        before = set(sys.modules)
        import procsup.control.search
        print(json.dumps(sorted(set(sys.modules) - before)))
    """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, text=True)
    assert [name for name in json.loads(told.stdout) if not name.startswith("procsup")] == []
