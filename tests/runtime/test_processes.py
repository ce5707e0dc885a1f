"""Real processes under the runtime: how their ends are learnt, what outlives a leader, whom a signal reaches."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from procsup.core.events import Fact, LeaderExited, Spawned, SpawnFailed, TreeVanished
from procsup.core.model import Exit, InstanceName
from procsup.runtime import processes
from procsup.runtime.child import Child, Spawner, popen_spawn
from procsup.runtime.exits import ExitWatch, PidfdWatch, SigchldWatch, choose_watch
from procsup.runtime.processes import Processes
from procsup.runtime.trees.census import COOKIE, Census, Member, instance_cookie, read_member
from procsup.runtime.trees.remains import Remains

WEB = InstanceName("web", 1)
COOKIE_OF_RUN = "tests:0123:"
WATCHES = pytest.mark.parametrize("portable", [False, True], ids=["pidfds", "SIGCHLD"])


def environment(name: InstanceName) -> dict[str, str]:
    return {**os.environ, COOKIE: instance_cookie(COOKIE_OF_RUN, name)}


def members_of(group: int) -> list[Member]:
    return Census().family("nobody has this", group)


class Ears:
    """In place of the pump: what children say is the clock of these tests."""

    def __init__(self) -> None:
        self._descriptors: dict[tuple[str, str], int] = {}
        self._said: dict[str, bytes] = {}
        self.drained: list[str] = []

    def attach(self, name: str, _type: str, stream: str, _pid: int, fd: int, _watch: object = None) -> None:
        old = self._descriptors.get((name, stream))
        if old is not None:
            os.close(old)
        self._descriptors[name, stream] = fd

    def drain(self, name: str) -> None:
        self.drained.append(name)

    async def hear(self, pattern: bytes, name: str = "web.1") -> re.Match[bytes]:
        descriptor = self._descriptors[name, "stdout"]
        loop = asyncio.get_running_loop()
        said = b""
        async with asyncio.timeout(20):
            while not (found := re.search(pattern, said)):
                readable = asyncio.Event()
                loop.add_reader(descriptor, readable.set)
                await readable.wait()
                loop.remove_reader(descriptor)
                said += os.read(descriptor, 4096)
        return found

    def close(self) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)


class Stage:
    def __init__(self, portable: bool) -> None:
        self.facts: asyncio.Queue[Fact] = asyncio.Queue()
        self.ears = Ears()
        self.spawner = Spawner(popen_spawn if portable else None)
        self.processes = Processes(
            asyncio.get_running_loop(), self.ears, COOKIE_OF_RUN, self.facts.put_nowait, portable=portable
        )

    def launch(self, name: InstanceName, how: Callable[[Spawner], Child]) -> None:
        self.processes.start([(name, lambda: how(self.spawner))])

    async def start(self, script: str, name: InstanceName = WEB) -> int:
        self.launch(name, lambda spawner: spawner.start("/bin/sh", ("sh", "-c", script), environment(name)))
        fact = await self.next()
        assert isinstance(fact, Spawned), fact
        return fact.pid

    async def next(self) -> Fact:
        async with asyncio.timeout(20):
            return await self.facts.get()


@asynccontextmanager
async def stage(portable: bool) -> AsyncIterator[Stage]:
    stage = Stage(portable)
    try:
        yield stage
    finally:
        stage.processes.kill_all()
        stage.processes.close()
        stage.ears.close()
        stage.spawner.close()


def play(portable: bool, scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        async with stage(portable) as here:
            await scene(here)

    asyncio.run(run())


# How they end


@WATCHES
@pytest.mark.parametrize(
    ("script", "exit_"),
    [
        ("exit 0", Exit(0)),
        ("exit 3", Exit(3)),
        ("exit 255", Exit(255)),
        ("kill -9 $$", Exit(137, signal=9)),
        ("kill -TERM $$", Exit(143, signal=15)),
        ("kill -TERM $$; sleep 1000", Exit(143, signal=15)),
    ],
)
def test_the_end_is_told_with_exit_code_or_signal(portable: bool, script: str, exit_: Exit) -> None:
    async def scene(here: Stage) -> None:
        await here.start(script)
        assert await here.next() == LeaderExited(WEB, exit_, False)
        assert here.ears.drained == ["web.1"]

    play(portable, scene)


@WATCHES
def test_the_ends_of_a_hundred_at_once_are_all_told_once(portable: bool) -> None:
    async def scene(here: Stage) -> None:
        names = [InstanceName("web", number) for number in range(1, 101)]
        for name in names:
            await here.start("read line", name)
        for name in names:
            here.processes.signal(name, signal.SIGTERM)
        ended = [await here.next() for _ in names]
        assert sorted(fact.name for fact in ended if isinstance(fact, LeaderExited)) == names
        assert here.facts.empty()

    play(portable, scene)


@WATCHES
def test_one_that_ended_before_anybody_watched_is_told_all_the_same(portable: bool) -> None:
    async def scene() -> None:
        told: asyncio.Queue[tuple[int, Exit]] = asyncio.Queue()
        watch: ExitWatch = choose_watch(
            asyncio.get_running_loop(), lambda pid, exit_: told.put_nowait((pid, exit_)), portable
        )
        assert type(watch) is (SigchldWatch if portable else PidfdWatch)
        pid = os.posix_spawn("/bin/sh", ("sh", "-c", "exit 7"), {})
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still there to be reaped
        watch.watch(pid)
        async with asyncio.timeout(20):
            assert await told.get() == (pid, Exit(7))
        watch.close()
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, 0)

    asyncio.run(scene())


@WATCHES
def test_what_cannot_be_started_is_told_with_the_shells_code(portable: bool) -> None:
    async def scene(here: Stage) -> None:
        for path, code in (("/no/such", 127), ("/etc/passwd", 126)):

            def launch(spawner: Spawner, path: str = path) -> Child:
                return spawner.start(path, (path,), {})

            here.launch(WEB, launch)
            fact = await here.next()
            assert isinstance(fact, SpawnFailed)
            assert fact.exit.code == code
            assert path in str(fact.exit.error)

    play(portable, scene)


def test_one_that_cannot_be_watched_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(here: Stage) -> None:
        class Blind:
            def watch(self, pid: int, pidfd: int | None = None) -> None:
                assert pidfd is not None
                os.close(pidfd)  # as if it had never been had
                self.pid = pid
                raise OSError(24, "Too many open files")

            def close(self) -> None:
                pass

        sighted, here.processes._watch = here.processes._watch, (blind := Blind())
        before = sorted(os.listdir("/proc/self/fd"))
        here.launch(WEB, lambda spawner: spawner.start("/bin/sh", ("sh", "-c", "sleep 1000 & wait"), environment(WEB)))
        fact = await here.next()
        assert isinstance(fact, SpawnFailed)
        assert "Too many open files" in str(fact.exit.error)
        assert read_member(blind.pid) is None
        assert sorted(os.listdir("/proc/self/fd")) == before
        here.processes._watch = sighted

    play(False, scene)


# What outlives a leader


@WATCHES
def test_members_of_its_group_that_outlive_the_leader_are_told_and_again_when_the_last_is_gone(portable: bool) -> None:
    async def scene(here: Stage) -> None:
        leader = await here.start("sleep 1000 & echo a $!; sleep 1000 & echo b $!; echo up; exit 5")
        heard = await here.ears.hear(rb"a (\d+)\nb (\d+)\nup\n")
        assert await here.next() == LeaderExited(WEB, Exit(5), True)
        pids = {int(heard[1]), int(heard[2])}
        assert {member.pid for member in members_of(leader)} == pids
        os.kill(min(pids), signal.SIGKILL)
        assert here.facts.empty()
        here.processes.signal(WEB, signal.SIGTERM)
        assert await here.next() == TreeVanished(WEB)
        assert members_of(leader) == []

    play(portable, scene)


@WATCHES
def test_a_deaf_and_stopped_member_ends_at_sigkill(portable: bool) -> None:
    async def scene(here: Stage) -> None:
        leader = await here.start(
            "(trap '' TERM; echo up; kill -STOP $(exec sh -c 'echo $PPID'); sleep 1000) & sleep 0.1"
        )
        await here.ears.hear(rb"up\n")
        assert await here.next() == LeaderExited(WEB, Exit(0), True)
        here.processes.signal(WEB, signal.SIGTERM)  # SIGCONT comes with it
        here.processes.kill(WEB)
        assert await here.next() == TreeVanished(WEB)
        assert members_of(leader) == []

    play(portable, scene)


def test_where_members_cannot_be_looked_up_nobody_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        gone = asyncio.Event()
        leader = os.posix_spawn("/bin/sh", ("sh", "-c", "read line"), dict(os.environ), setsid=True)
        full = True

        def listdir(_path: str) -> list[str]:
            if full:
                raise OSError(24, "Too many open files")
            return [str(leader)]

        monkeypatch.setattr("procsup.runtime.trees.census.os.listdir", listdir)
        remains = Remains(asyncio.get_running_loop(), leader, "nobody has this", Census, gone.set)
        remains.send(signal.SIGURG)  # nobody can be held, which is no reason to fail
        assert not gone.is_set()
        full = False
        os.kill(leader, signal.SIGKILL)
        os.waitpid(leader, 0)
        async with asyncio.timeout(20):
            await gone.wait()
        remains.close()

    asyncio.run(scene())


# Signals


@WATCHES
def test_a_signal_reaches_the_whole_group_and_wakes_what_is_stopped(portable: bool) -> None:
    async def scene(here: Stage) -> None:
        script = (
            "trap 'echo leader' USR1; (trap 'echo member' USR1; echo up; while :; do sleep 0.01; done) & wait; wait"
        )
        pid = await here.start(script)
        await here.ears.hear(rb"up\n")
        os.kill(pid, signal.SIGSTOP)
        here.processes.signal(WEB, signal.SIGUSR1)
        await here.ears.hear(rb"leader\n(.*\n)*member\n|member\n(.*\n)*leader\n")
        here.processes.kill(WEB)
        fact = await here.next()
        assert isinstance(fact, LeaderExited)
        if fact.remaining:
            assert await here.next() == TreeVanished(WEB)

    play(portable, scene)


@WATCHES
def test_nobody_is_signalled_by_the_pid_of_one_that_is_gone(portable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(here: Stage) -> None:
        await here.start("exit 0")
        await here.next()
        sent: list[tuple[int, int]] = []
        with monkeypatch.context() as patch:
            patch.setattr(processes.os, "killpg", lambda group, number: sent.append((group, number)))
            here.processes.signal(WEB, signal.SIGTERM)
            here.processes.kill(WEB)
            here.processes.kill_all()
        assert sent == []

    play(portable, scene)


def test_a_process_name_may_contain_anything(tmp_path: os.PathLike[str]) -> None:
    program = os.path.join(tmp_path, "a) S (b\n")
    os.symlink("/bin/sleep", program)
    pid = os.posix_spawn(program, (program, "1000"), dict(os.environ), setsid=True)
    try:
        member = read_member(pid)
        assert member is not None
        assert (member.name, member.group) == ("a) S (b\n", pid)
        assert [each.pid for each in members_of(pid)] == [pid]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert read_member(pid) is None
