from __future__ import annotations

import asyncio
import os
import selectors
import stat
from collections import Counter

import pytest

from procsup.control.server import ControlServer
from procsup.errors import AlreadyRunning, ProcsupError, UsageError
from tests.control.conftest import echo


def test_a_request_is_answered_with_what_the_handler_returns(run, serving, connect, sock):
    async def scenario():
        async with serving(sock):
            client = await connect(sock)
            assert await client.ask("stop", 7, names=["web"]) == {
                "jsonrpc": "2.0",
                "id": 7,
                "result": {"method": "stop", "params": {"names": ["web"]}},
            }
            await client.close()

    run(scenario)


def test_the_socket_and_its_folder_are_the_owners_alone_whatever_the_umask(run, serving, sock):
    async def scenario():
        async with serving(sock):
            assert stat.S_IMODE(os.stat(sock).st_mode) == 0o600
            assert stat.S_IMODE(os.stat(os.path.dirname(sock)).st_mode) == 0o700

    before = os.umask(0)
    try:
        run(scenario)
        assert os.umask(0) == 0, "the mask was not put back"
    finally:
        os.umask(before)


def test_an_error_for_people_is_answered_with_its_exit_code_and_text(run, serving, connect, sock):
    async def handler(method, params):
        raise {"stop": UsageError("no worker"), "start": AlreadyRunning("is there"), "info": ProcsupError("no")}[method]

    async def scenario():
        async with serving(sock, handler) as reports:
            client = await connect(sock)
            assert (await client.ask("stop", names=["x"]))["error"] == {"code": 2, "message": "no worker"}
            assert (await client.ask("start", names=["x"]))["error"] == {"code": 3, "message": "is there"}
            assert (await client.ask("info"))["error"] == {"code": 1, "message": "no"}
            assert reports.told == []
            await client.close()

    run(scenario)


@pytest.mark.parametrize("result", [{1, 2}, float("nan"), None])
def test_an_error_of_our_own_is_reported_here_and_not_told_to_the_client(run, serving, connect, sock, result):
    async def handler(method, params):
        if result is None:
            raise RuntimeError("the secret")
        return result

    async def scenario():
        async with serving(sock, handler) as reports:
            client = await connect(sock)
            error = (await client.ask("info"))["error"]
            assert error["code"] == -32603
            assert "secret" not in error["message"]
            assert "Traceback" not in error["message"]
            [(text, raised)] = reports.told
            assert "info" in text
            assert isinstance(raised, RuntimeError | TypeError | ValueError)
            assert "result" in await client.ask("info") or result is not object  # and it goes on
            await client.close()

    run(scenario)


def test_a_command_goes_on_when_its_client_has_gone(run, serving, connect, sock):
    async def scenario():
        begun, finish, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def handler(method, params):
            begun.set()
            await finish.wait()
            done.set()

        async with serving(sock, handler) as reports:
            client = await connect(sock)
            await client.say(b'{"jsonrpc":"2.0","id":1,"method":"info"}\n')
            await begun.wait()
            client.writer.transport.abort()
            finish.set()
            await asyncio.wait_for(done.wait(), 5)
            assert reports.told == []

    run(scenario)


def test_a_slow_command_keeps_nobody_else_waiting(run, serving, connect, sock):
    async def scenario():
        finish = asyncio.Event()

        async def handler(method, params):
            if method == "scale":
                await finish.wait()
            return method

        async with serving(sock, handler):
            slow, quick = await connect(sock), await connect(sock)
            change = {"type": "web", "relative": False, "count": 1}
            asking = asyncio.create_task(slow.ask("scale", changes=[change], wait=True))
            assert (await quick.ask("info"))["result"] == "info"
            assert not asking.done()
            finish.set()
            assert (await asking)["result"] == "scale"
            await slow.close()
            await quick.close()

    run(scenario)


def test_a_notification_is_carried_out_and_not_answered(run, serving, connect, sock):
    calls = Counter()

    async def handler(method, params):
        calls[method] += 1
        if method == "shutdown":
            raise UsageError("never told")

    async def scenario():
        async with serving(sock, handler):
            client = await connect(sock)
            await client.say(b'{"jsonrpc":"2.0","method":"formation"}\n{"jsonrpc":"2.0","method":"shutdown"}\n')
            assert (await client.ask("info", "after"))["id"] == "after"
            assert calls == {"formation": 1, "shutdown": 1, "info": 1}
            await client.close()

    run(scenario)


def test_closing_ends_commands_and_tells_those_who_wait_for_them(run, serving, connect, sock):
    async def scenario():
        begun, ended = asyncio.Event(), asyncio.Event()

        async def handler(method, params):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with serving(sock, handler):
            client, idle = await connect(sock), await connect(sock)
            await client.say(b'{"jsonrpc":"2.0","id":1,"method":"info"}\n')
            await begun.wait()
        assert ended.is_set()
        assert "ended before it was done with info" in (await client.hear())["error"]["message"]
        await client.hear_end()
        await idle.hear_end()
        await client.close()
        await idle.close()

    run(scenario)


def test_the_answer_to_a_command_that_brings_the_end_still_leaves(run, connect, sock):
    async def scenario():
        down = asyncio.Event()

        async def handler(method, params):
            await down.wait()
            return "all is down"

        server = ControlServer(sock, handler, print)
        await server.start()
        client = await connect(sock)
        asking = asyncio.create_task(client.ask("shutdown"))
        while not server._commands:  # a turn of the loop each
            await asyncio.sleep(0)
        down.set()
        await server.close()
        assert (await asking)["result"] == "all is down"
        await client.close()

    run(scenario)


def test_closing_twice_or_before_starting_does_no_harm(run, sock):
    async def scenario():
        server = ControlServer(sock, None, None)
        await server.close()
        await server.start()
        await server.close()
        await server.close()

    run(scenario)


def test_a_dead_socket_is_replaced_and_a_live_one_refused(run, serving, connect, sock):
    import socket

    os.mkdir(os.path.dirname(sock), 0o700)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(sock)
    dead.close()

    async def scenario():
        async with serving(sock):
            with pytest.raises(AlreadyRunning, match="another supervisor listens"):
                await ControlServer(sock, None, None).start()
            client = await connect(sock)
            assert "result" in await client.ask("info")
            await client.close()

    run(scenario)


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_of_ours_is_never_removed(run, sock, kind):
    folder = os.path.dirname(sock)
    os.mkdir(folder, 0o700)
    there = os.path.join(folder, "app.sock")
    {
        "file": lambda: open(there, "w").close(),
        "folder": lambda: os.mkdir(there),
        "link": lambda: os.symlink("x", there),
    }[kind]()

    async def scenario():
        with pytest.raises(ProcsupError, match="is in the way of the control socket"):
            await ControlServer(sock, None, None).start()

    run(scenario)
    assert os.path.lexists(there)
    os.rename(there, os.path.join(folder, "seen"))


def test_nothing_here_ever_sets_a_timer_while_all_is_well(sock):
    class Waits(selectors.DefaultSelector):
        def __init__(self) -> None:
            super().__init__()
            self.timeouts: list[float | None] = []

        def select(self, timeout=None):
            self.timeouts.append(timeout)
            return super().select(timeout)

    async def handler(method, params):
        return None

    async def scenario():
        server = ControlServer(sock, handler, print)
        await server.start()
        reader, writer = await asyncio.open_unix_connection(sock)
        for _ in range(10):
            writer.write(b'{"jsonrpc":"2.0","id":1,"method":"info"}\n')
            await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert set(waits.timeouts) == {None, 0}, "it would have woken up by itself"
        await server.close()

    waits = Waits()
    loop = asyncio.SelectorEventLoop(waits)
    try:
        loop.run_until_complete(scenario())
    finally:
        loop.close()


def test_of_its_connections_none_is_closed_at_any_moment(run, connect, sock):
    """An upgrade may begin at any: it hands their descriptors over."""

    async def scenario():
        server = ControlServer(sock, echo, lambda _text, _error: None)
        await server.start()
        try:
            client = await connect(sock)
            await client.ask("info")
            [connection] = server.connections
            await client.close()
            while connection.client.fileno() >= 0:
                assert list(server.connections) == [connection]
                await asyncio.sleep(0)
            assert list(server.connections) == []
        finally:
            await server.close()

    run(scenario)
