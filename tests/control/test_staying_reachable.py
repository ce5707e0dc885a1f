"""Whatever happens to the socket's file or its folder, the supervisor can be reached again within five seconds."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys

import pytest

from procsup.control import listener, server, watch

pytestmark = pytest.mark.usefixtures("quick_poll")


@pytest.fixture
def quick_poll(monkeypatch):
    assert watch.POLL + watch._SETTLE < 5, "the contract gives five seconds"
    monkeypatch.setattr(watch, "POLL", 0.05)
    monkeypatch.setattr("procsup.control.server.POLL", 0.05)


def unlink(path: str) -> None:
    os.unlink(path)


def remove_folder(path: str) -> None:
    shutil.rmtree(os.path.dirname(path))


def rename_folder(path: str) -> None:
    os.rename(os.path.dirname(path), os.path.dirname(path) + ".old")


def rename_socket(path: str) -> None:
    os.rename(path, path + ".old")


def remove_from_elsewhere(path: str) -> None:
    subprocess.run(["rm", "-rf", os.path.dirname(path)], check=True)


LINUX = pytest.param(
    False, id="told by the kernel", marks=pytest.mark.skipif(sys.platform != "linux", reason="dnotify")
)


@pytest.mark.parametrize("poll", [LINUX, pytest.param(True, id="looking")])
@pytest.mark.parametrize("harm", [unlink, remove_folder, rename_folder, rename_socket, remove_from_elsewhere])
def test_a_socket_that_was_taken_away_is_made_again(run, serving, connect, sock, harm, poll, monkeypatch):
    if not poll:
        monkeypatch.setattr(watch, "POLL", 3600)  # nothing but the kernel's word can help

    async def scenario():
        async with serving(sock, poll=poll) as reports:
            before = await connect(sock)
            for deed in (harm, unlink, harm, harm):  # each time it is a new socket, perhaps in a new folder
                deed(sock)
                assert "it is there again" in await reports.next()
                after = await connect(sock)
                assert "result" in await after.ask("info")
                await after.close()
                shutil.rmtree(os.path.dirname(sock) + ".old", ignore_errors=True)
            assert "result" in await before.ask("info"), "a conversation under way must not notice"
            await before.close()
            if os.path.lexists(sock + ".old"):
                os.unlink(sock + ".old")

    run(scenario)


def test_who_waited_at_the_old_socket_is_let_in(run, serving, connect, sock):
    async def scenario():
        async with serving(sock, poll=True) as reports:
            early = await connect(sock)
            os.unlink(sock)
            await reports.next()
            assert "result" in await early.ask("info")
            await early.close()

    run(scenario)


@pytest.mark.parametrize("poll", [LINUX, True])
def test_a_place_that_is_not_safe_any_more_is_not_used_until_it_is(
    run, serving, connect, sock, tmp_path, poll, monkeypatch
):
    async def scenario():
        tried_often, tries = asyncio.Event(), itertools.count()

        def counting(path: str) -> object:
            if next(tries) > 4:
                tried_often.set()
            return listener.listen(path)

        monkeypatch.setattr(server, "listen", counting)
        async with serving(sock, poll=poll) as reports:
            os.mkdir(tmp_path / "elsewhere")
            os.unlink(sock)
            os.rmdir(os.path.dirname(sock))
            os.symlink(tmp_path / "elsewhere", os.path.dirname(sock))
            said = await reports.next()
            assert "cannot be made again yet" in said
            assert "symbolic link" in said
            await asyncio.wait_for(tried_often.wait(), 10)
            assert os.listdir(tmp_path / "elsewhere") == []
            os.unlink(os.path.dirname(sock))
            assert "it is there again" in await reports.next()
            assert len(reports.told) == 2, "said once, not at every try"
            client = await connect(sock)
            assert "result" in await client.ask("info")
            await client.close()

    run(scenario)


def test_a_file_put_in_the_sockets_place_is_not_removed(run, serving, sock):
    async def scenario():
        async with serving(sock) as reports:
            os.unlink(sock)
            with open(sock, "w") as file:
                file.write("mine")
            assert "is in the way" in await reports.next()
        with open(sock) as file:
            assert file.read() == "mine"
        os.rename(sock, sock + ".mine")

    run(scenario)


def test_a_late_signal_after_the_end_kills_nobody(run, serving, sock):
    async def scenario():
        try:
            async with serving(sock):
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
                os.unlink(sock)
                assert sys.platform != "linux" or signal.SIGIO in signal.sigpending()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGIO])
        assert signal.getsignal(signal.SIGIO) in (signal.SIG_DFL, signal.SIG_IGN)

    run(scenario)


def test_where_signals_cannot_be_had_it_looks_by_itself(run, serving, connect, sock, monkeypatch):
    def cannot(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(watch.fcntl, "fcntl", cannot)

    async def scenario():
        async with serving(sock) as reports:
            os.unlink(sock)
            assert "it is there again" in await reports.next()

    run(scenario)


def test_started_in_a_thread_it_looks_by_itself(serving, sock):
    async def scenario():
        async with serving(sock) as reports:
            os.unlink(sock)
            assert "it is there again" in await reports.next()

    asyncio.run(asyncio.to_thread(asyncio.run, scenario()))


def test_two_in_one_process_are_both_made_again_and_end_apart(run, serving, sock, tmp_path):
    async def scenario():
        async with serving(sock) as reports:
            async with serving(str(tmp_path / "run" / "other.sock")) as others:
                os.unlink(sock)
                os.unlink(str(tmp_path / "run" / "other.sock"))
                assert "it is there again" in await reports.next()
                assert "it is there again" in await others.next()
            os.unlink(sock)
            assert "it is there again" in await reports.next()

    run(scenario)
