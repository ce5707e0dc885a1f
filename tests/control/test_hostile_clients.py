"""What a client may do to us, by accident or on purpose: the next one is answered all the same."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.control import server as server_module
from procsup.control.connection import Connection
from procsup.control.peer import Peer
from procsup.control.protocol import MAX_MESSAGE

INFO = b'{"jsonrpc":"2.0","id":"last","method":"info"}'


@settings(max_examples=60)
@given(garbage=st.binary(max_size=3000), cuts=st.lists(st.integers(1, 400), max_size=10))
def test_garbage_gets_an_error_a_line_and_the_connection_stays_usable(run, serving, connect, tmp_path, garbage, cuts):
    async def scenario():
        async with serving(str(tmp_path / "run" / "app.sock")):
            client = await connect(str(tmp_path / "run" / "app.sock"))
            rest = garbage + b"\n" + INFO + b"\n"
            for cut in cuts:
                await client.say(rest[:cut])
                rest = rest[cut:]
                await asyncio.sleep(0)
            await client.say(rest)
            for _ in [line for line in garbage.split(b"\n") if line.strip()]:
                assert (await client.hear())["error"]["code"] in (-32700, -32600)
            assert (await client.hear())["id"] == "last"
            await client.close()

    run(scenario)


def test_a_message_of_exactly_one_mebibyte_is_taken(run, serving, connect, sock):
    async def scenario():
        async with serving(sock):
            client = await connect(sock)
            await client.say(INFO + b" " * (MAX_MESSAGE - len(INFO) - 1) + b"\n")
            assert "result" in await client.hear()
            await client.close()

    run(scenario)


@pytest.mark.parametrize("end", [b"\n", b""], ids=["a whole line", "a line without end"])
def test_one_byte_more_is_refused_and_the_connection_ends(run, serving, connect, sock, end):
    async def scenario():
        async with serving(sock):
            client = await connect(sock)
            await client.say(INFO + b" " * (MAX_MESSAGE - len(INFO)) + end)
            assert "at most 1048576 bytes" in (await client.hear())["error"]["message"]
            await client.hear_end()
            await client.close()

    run(scenario)


def test_a_request_that_comes_byte_by_byte_is_answered(run, serving, connect, sock):
    async def scenario():
        async with serving(sock):
            client = await connect(sock)
            for byte in INFO + b"\n":
                await client.say(bytes([byte]))
                await asyncio.sleep(0)  # lets the server read it by itself
            assert "result" in await client.hear()
            await client.close()

    run(scenario)


def test_a_client_that_never_reads_stops_only_itself(run, serving, connect, sock):
    calls = 0

    async def handler(method, params):
        nonlocal calls
        calls += 1
        return "x" * 500_000

    async def scenario():
        async with serving(sock, handler):
            deaf = socket.socket(socket.AF_UNIX)
            deaf.setblocking(False)
            await asyncio.get_running_loop().sock_connect(deaf, sock)
            sent = 0
            with contextlib.suppress(BlockingIOError):
                while sent < 100_000_000:
                    sent += deaf.send(INFO + b"\n" * 100)
                    await asyncio.sleep(0)
            assert sent < 5_000_000, "the server reads on though nobody takes its answers"
            assert calls <= 2
            other = await connect(sock)
            assert len((await other.ask("info"))["result"]) == 500_000
            await other.close()
            deaf.close()

    run(scenario)


@pytest.mark.parametrize("flood", [b"x\n" * 5000, b"\n" * 5000], ids=["garbage", "nothing"])
def test_a_flood_gives_way_to_the_others_after_every_line(run, flood):
    lines = turns = 0

    async def serve(connection, line):
        nonlocal lines
        lines += 1
        return []

    async def scenario():
        nonlocal turns
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            theirs.sendall(flood)
            theirs.shutdown(socket.SHUT_WR)
            conversation = asyncio.create_task(Connection(ours, Peer(1, 0), serve).converse())
            while not conversation.done():
                turns += 1
                await asyncio.sleep(0)
            await conversation

    run(scenario)
    assert turns >= 5000
    assert lines in (0, 5000)


def test_a_request_cut_off_in_the_middle_is_not_carried_out(run, serving, connect, sock):
    methods = []

    async def handler(method, params):
        methods.append(method)

    async def scenario():
        async with serving(sock, handler):
            client = await connect(sock)
            client.writer.write(b'{"jsonrpc":"2.0","id":1,"method":"shutdown"}')  # all of it but the newline
            client.writer.write_eof()
            await client.hear_end()
            await client.close()
            other = await connect(sock)
            await other.ask("info")
            await other.close()

    run(scenario)
    assert methods == ["info"]


def test_the_same_id_twice_gets_two_answers_in_order(run, serving, connect, sock):
    async def scenario():
        async with serving(sock):
            client = await connect(sock)
            await client.say(
                b'{"jsonrpc":"2.0","id":1,"method":"info"}\n{"jsonrpc":"2.0","id":1,"method":"formation"}\n'
            )
            assert (await client.hear())["result"]["method"] == "info"
            assert (await client.hear())["result"]["method"] == "formation"
            await client.close()

    run(scenario)


def test_a_batch_is_refused_as_a_whole(run, serving, connect, sock):
    async def scenario():
        async with serving(sock):
            client = await connect(sock)
            await client.say(b"[" + INFO + b"," + INFO + b"]\n" + INFO + b"\n")
            assert "batches" in (await client.hear())["error"]["message"]
            assert (await client.hear())["id"] == "last"
            await client.close()

    run(scenario)


def test_a_hundred_clients_at_once_are_all_answered(run, serving, connect, sock):
    async def scenario():
        async with serving(sock):

            async def one(number: int) -> None:
                client = await connect(sock)
                assert (await client.ask("info", number))["id"] == number
                await client.close()

            await asyncio.gather(*(one(number) for number in range(100)))

    run(scenario)


def test_a_hundred_silent_connections_do_not_lock_the_next_one_out(run, serving, connect, sock, monkeypatch):
    monkeypatch.setattr(server_module, "_NEWCOMER", 0.05)

    async def scenario():
        async with serving(sock):
            silent = [await connect(sock) for _ in range(100)]
            client = await connect(sock)
            assert "result" in await asyncio.wait_for(client.ask("info"), 5)
            await silent[0].hear_end()  # the one silent for longest had to go
            for each in [*silent, client]:
                await each.close()

    run(scenario)


def test_a_hundred_commands_under_way_are_not_given_up_for_newcomers(run, serving, connect, sock):
    async def scenario():
        finish, all_begun = asyncio.Event(), asyncio.Event()
        begun = 0

        async def handler(method, params):
            nonlocal begun
            if method == "restart":
                begun += 1
                if begun == 100:
                    all_begun.set()
                await finish.wait()
            return method

        async with serving(sock, handler):
            waiting, asking = [], []
            for _ in range(100):  # each asks at once: one that is silent for a second may have to go
                waiting.append(await connect(sock))
                asking.append(asyncio.create_task(waiting[-1].ask("restart")))
            await asyncio.wait_for(all_begun.wait(), 10)
            other = await connect(sock)
            assert (await other.ask("info"))["result"] == "info"
            finish.set()
            assert all(answer["result"] == "restart" for answer in await asyncio.gather(*asking))
            for each in [*waiting, other]:
                await each.close()

    run(scenario)


def test_commands_that_pile_up_behind_clients_long_gone_are_bounded(run, serving, connect, sock, monkeypatch):
    monkeypatch.setattr(server_module, "MAX_COMMANDS", 3)

    async def scenario():
        begun = asyncio.Semaphore(0)

        async def handler(method, params):
            begun.release()
            await asyncio.Event().wait()

        async with serving(sock, handler):
            for _ in range(3):
                client = await connect(sock)
                await client.say(INFO + b"\n")
                await begun.acquire()
                client.writer.transport.abort()
            client = await connect(sock)
            assert "under way already" in (await client.ask("info"))["error"]["message"]
            await client.close()

    run(scenario)
