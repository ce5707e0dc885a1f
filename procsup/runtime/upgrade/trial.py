"""Whether another version could take over: it is run with the memory it would get, and says what it makes of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping

from procsup.errors import ProcsupError
from procsup.runtime.child import SpawnCall, Stdio

PATIENCE = 20.0  # seconds
_LAST_WORDS = 8 * 1024  # bytes
_SOON = 0.005  # seconds between looks at one who has closed its output, and so is about to end
_LOOKS = 400


def command(python: str, *arguments: str) -> tuple[str, ...]:
    """-P: the project's own folder, where we are, may have modules by the same names as ours."""
    return (python, "-P", "-m", "procsup", *arguments)


class Trial:
    """`others` are the children that nobody else may reap."""

    def __init__(self, spawn: SpawnCall, others: set[int], environ: Mapping[str, str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._spawn = spawn
        self._others = others
        self._environ = environ

    async def run(self, python: str, document: int) -> None:
        """`document` is a file with the memory. Raises ProcsupError, with the other's last words, if it could not."""
        ours, theirs = os.pipe()
        try:
            try:
                pid = self._spawn(command(python, "--try", "0"), python, self._environ, Stdio(document, theirs, theirs))
            finally:
                os.close(theirs)
            self._others.add(pid)
            try:
                said = await self._listen(ours)
            except TimeoutError:
                raise ProcsupError(f"{python} was tried and said nothing for {PATIENCE:.0f} s") from None
            finally:
                code = await self._bury(pid)
        except OSError as error:
            raise ProcsupError(f"{python} cannot be started: {error.strerror or error}") from error
        finally:
            os.close(ours)
        _judge(python, pid, code, said)

    async def _listen(self, pipe: int) -> bytes:
        """Until its end. Raises TimeoutError."""
        said, over = bytearray(), self._loop.create_future()

        def readable() -> None:
            try:
                chunk = os.read(pipe, 65536)
            except BlockingIOError:
                return
            said.extend(chunk)
            del said[:-_LAST_WORDS]
            if not chunk and not over.done():
                over.set_result(None)

        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, readable)
        try:
            async with asyncio.timeout(PATIENCE):
                await over
        finally:
            self._loop.remove_reader(pipe)
        return bytes(said)

    async def _bury(self, pid: int) -> int:
        """It should be about to end; if not, it is made to."""
        found, status = None, 0
        try:
            for _ in range(_LOOKS):
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    break
                await asyncio.sleep(_SOON)
        finally:
            self._others.discard(pid)
            if found == 0:
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)


def _judge(python: str, pid: int, code: int, said: bytes) -> None:
    """Raises ProcsupError."""
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    if code == 0 and lines:
        try:
            its_pid = json.loads(lines[-1])["pid"]
        except (ValueError, LookupError, TypeError):
            pass
        else:
            if its_pid != pid:
                raise ProcsupError(f"{python} starts another process in its place, and would take over nothing")
            return
    if any(line.lower().startswith("unknown option") for line in lines):
        raise ProcsupError(f"{python} is older than Python 3.11, which procsup needs")
    # Of a traceback the last line says most, of whatever else somebody else's program says, the first.
    told = lines[-1] if any(line.startswith("Traceback") for line in lines) else (lines or [_silence(code)])[0]
    told = told.strip().removeprefix("procsup: ")
    raise ProcsupError(f"{python} was tried, and cannot take over: {told}")


def _silence(code: int) -> str:
    return f"it said nothing, and ended with exit code {code}"
