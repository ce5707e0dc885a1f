"""Starting one process: what it is given, what becomes of what cannot be started, on both ways of starting it."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from procsup.runtime.child import Child, SpawnCall, Spawner, popen_spawn, posix_spawn

ENVIRONMENT = {"PATH": os.environ["PATH"], "ONLY": "this"}


@pytest.fixture(params=[posix_spawn, popen_spawn])
def spawner(request: pytest.FixtureRequest, nothing_left_behind: None) -> Iterator[Spawner]:
    spawn: SpawnCall = request.param
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    spawner = Spawner(spawn)
    yield spawner
    spawner.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def start(spawner: Spawner, *argv: str, **environment: str) -> Child:
    return spawner.start(argv[0], argv, ENVIRONMENT | environment)


def stdout_of(child: Child) -> int:
    return dict(child.outputs)["stdout"]


def end(child: Child) -> tuple[int, bytes, bytes]:
    """Its exit code, and all it has said."""
    said = []
    for _, descriptor in child.outputs:
        os.set_blocking(descriptor, True)
        with open(descriptor, "rb") as stream:
            said.append(stream.read())
    if child.pidfd is not None:
        os.close(child.pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]), said[0], said[1]


def test_it_gets_argv_and_environment_as_they_are(spawner: Spawner) -> None:
    argv = ("/usr/bin/env", "-0", "A=two words", "B=$HOME `x`\n")
    code, out, _ = end(start(spawner, *argv))
    assert code == 0
    assert set(out.split(b"\0")) - {b""} >= {b"ONLY=this", b"A=two words", b"B=$HOME `x`\n"}


def test_stdout_and_stderr_are_apart_and_do_not_block_us(spawner: Spawner) -> None:
    child = start(spawner, "/bin/sh", "-c", "echo out; echo err >&2; kill -TERM $$")
    assert [name for name, _ in child.outputs] == ["stdout", "stderr"]
    assert not any(os.get_blocking(descriptor) for _, descriptor in child.outputs)
    assert end(child) == (-signal.SIGTERM, b"out\n", b"err\n")


def test_it_leads_a_session_of_its_own(spawner: Spawner) -> None:
    child = start(spawner, "/bin/sh", "-c", "echo $$; cut -d' ' -f5,6 /proc/$$/stat")
    pid = str(child.pid)
    assert end(child)[1].decode().split() == [pid, pid, pid]


def test_a_stopped_group_is_reached_by_signals_to_it(spawner: Spawner) -> None:
    child = start(spawner, "/bin/sh", "-c", "sleep 1000 & sleep 1000 & echo up; wait")
    os.set_blocking(stdout_of(child), True)
    assert os.read(stdout_of(child), 10) == b"up\n"
    os.killpg(child.pid, signal.SIGTERM)
    assert end(child)[0] == -signal.SIGTERM  # and the end of its output means that the others are gone as well


def test_all_children_share_one_stdin_that_never_ends(spawner: Spawner) -> None:
    first, second = (start(spawner, "/bin/sh", "-c", "readlink /proc/$$/fd/0") for _ in range(2))
    assert end(first)[1] == end(second)[1]
    reader = start(spawner, "/bin/cat")
    assert os.waitpid(reader.pid, os.WNOHANG) == (0, 0)
    os.kill(reader.pid, signal.SIGKILL)
    assert end(reader)[0] == -signal.SIGKILL


def test_a_script_without_a_first_line_is_the_shells(spawner: Spawner, tmp_path: os.PathLike[str]) -> None:
    script = os.path.join(tmp_path, "script")
    with open(script, "w") as file:
        file.write("echo $0 $1\n")
    os.chmod(script, 0o700)
    assert end(start(spawner, script, "here"))[1].decode().split() == [script, "here"]


@pytest.mark.parametrize(
    ("path", "code"), [("/no/such/program", errno.ENOENT), ("/etc/passwd", errno.EACCES), ("/", errno.EACCES)]
)
def test_what_cannot_be_started_is_an_error_and_leaves_no_descriptor(spawner: Spawner, path: str, code: int) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError) as failed:
        start(spawner, path)
    assert failed.value.errno == code
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_an_environment_that_is_too_large_is_an_error(spawner: Spawner) -> None:
    with pytest.raises(OSError) as failed:
        start(spawner, "/bin/true", HUGE="x" * 200_000)
    assert failed.value.errno == errno.E2BIG


IN_NARROW_LIMITS = """
import json, os, resource, sys
from procsup.runtime.child import Spawner, popen_spawn, posix_spawn
resource.setrlimit(resource.RLIMIT_NOFILE, (40, int(sys.argv[2])))
spawner = Spawner({"popen": popen_spawn, "posix": posix_spawn}[sys.argv[1]])
children, error = [], None
try:
    while len(children) < 60:
        children.append(spawner.start("/bin/sh", ("/bin/sh", "-c", "ulimit -n; read line"), {}))
except OSError as failed:
    error = [failed.errno, str(failed)]
said = set()
for child in children:
    stdout = dict(child.outputs)["stdout"]
    os.set_blocking(stdout, True)
    said.add(os.read(stdout, 20).decode().strip())
    os.killpg(child.pid, 9)
    os.waitpid(child.pid, 0)
print(json.dumps([len(children), sorted(said), error]))
"""


def narrow(way: str, hard: int) -> tuple[int, list[str], tuple[int, str] | None]:
    done = subprocess.run(
        [sys.executable, "-c", IN_NARROW_LIMITS, way, str(hard)], capture_output=True, text=True, check=True, timeout=30
    )
    count, said, error = json.loads(done.stdout)
    return count, said, error


@pytest.mark.parametrize("way", ["posix", "popen"])
def test_more_children_than_the_soft_limit_fit_and_each_has_the_soft_limit(way: str) -> None:
    assert narrow(way, 4096) == (60, ["40"], None)


@pytest.mark.parametrize("way", ["posix", "popen"])
def test_at_the_hard_limit_some_descriptors_are_left_and_the_error_says_which_limit_it_is(way: str) -> None:
    count, said, error = narrow(way, 40)
    assert 1 <= count <= 10
    assert said == ["40"]
    assert error is not None
    assert error[0] == errno.EMFILE
    assert "the limit is 40: ulimit -n" in error[1]
