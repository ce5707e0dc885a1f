"""Who is let in: nobody but the owner and root, and one of those even when there is nothing left to let him in with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import tempfile

import pytest

from procsup.control.client import Client

INFO = b'{"jsonrpc":"2.0","id":1,"method":"info"}'


def test_without_descriptors_left_one_more_client_is_still_let_in(run, serving, sock):
    """`shutdown` has to work when everything else has run out."""
    go_reading, go_writing = os.pipe()
    told_reading, told_writing = os.pipe()
    asker = os.fork()
    if asker == 0:
        told = b"?"
        try:
            os.read(go_reading, 1)
            with Client.connect(sock) as client:
                told = b"y" if client.call("info") else b"n"
        finally:
            os.write(told_writing, told)
            os._exit(0)

    async def scenario():
        async with serving(sock):
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            taken = []
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
            try:
                with contextlib.suppress(OSError):
                    while True:
                        taken.append(os.dup(0))
                os.write(go_writing, b"x")
                loop = asyncio.get_running_loop()
                assert await asyncio.wait_for(readable(loop, told_reading), 10) == b"y"
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for descriptor in taken:
                    os.close(descriptor)

    try:
        run(scenario)
    finally:
        os.waitpid(asker, 0)
        for descriptor in (go_reading, go_writing, told_reading, told_writing):
            os.close(descriptor)


async def readable(loop: asyncio.AbstractEventLoop, descriptor: int) -> bytes:
    ready = loop.create_future()
    loop.add_reader(descriptor, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
        return os.read(descriptor, 65536)
    finally:
        loop.remove_reader(descriptor)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize("opened", [False, True], ids=["modes as they are", "modes opened to all"])
def test_another_user_is_kept_out_by_the_modes_and_by_who_he_is(run, serving, opened):
    with tempfile.TemporaryDirectory(prefix="ps") as above:
        os.chmod(above, 0o711)  # noqa: S103 - the stranger has to get there
        path = os.path.join(above, "run", "app.sock")
        go_reading, go_writing = os.pipe()
        told_reading, told_writing = os.pipe()
        stranger = os.fork()
        if stranger == 0:
            told = "?"
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                os.read(go_reading, 1)
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(path)
                    with contextlib.suppress(BrokenPipeError):
                        client.sendall(INFO + b"\n")
                    told = client.recv(65536).decode()
            except OSError as error:
                told = type(error).__name__
            finally:
                os.write(told_writing, told.encode())
                os._exit(0)
        called = []

        async def handler(method, params):
            called.append(method)

        async def scenario():
            async with serving(path, handler):
                if opened:
                    os.chmod(os.path.dirname(path), 0o711)  # noqa: S103 - so that only the peer check is left
                    os.chmod(path, 0o666)  # noqa: S103
                os.write(go_writing, b"x")
                told = (await asyncio.wait_for(readable(asyncio.get_running_loop(), told_reading), 10)).decode()
                if opened:
                    assert "takes no commands from user 65534" in told
                else:
                    assert told == "PermissionError"

        try:
            run(scenario)
        finally:
            os.waitpid(stranger, 0)
            for descriptor in (go_reading, go_writing, told_reading, told_writing):
                os.close(descriptor)
        assert called == []
