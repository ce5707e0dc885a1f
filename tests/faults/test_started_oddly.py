"""However procsup itself was started, its instances begin as programs expect to: nothing blocked, ignored or open."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.e2e import app as terminal
from tests.e2e.app import PROBE, App, Supervisor
from tests.faults.needs import needs
from tests.faults.watching import Record

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

# Python itself ignores SIGPIPE and SIGXFSZ in every program it runs, the probe included. 32 and 33 are glibc's own, for
# its threads: its posix_spawn leaves them ignored in every program, and no program can ask for anything else.
_GLIBCS_OWN = 1 << 32 - 1 | 1 << 33 - 1
_PYTHONS_OWN = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1


@pytest.fixture(params=["", "1"], ids=["posix_spawn and pidfds", "fork and SIGCHLD"])
def either_way(request: pytest.FixtureRequest, app: App) -> App:
    app.environment["PROCSUP_PORTABLE"] = request.param
    return app


def _as_nobody_should_start_it() -> None:
    """Runs in procsup's process before it is one: blocked and ignored signals, an odd umask, odd limits."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1})
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o137)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.fixture
def oddly(either_way: App) -> Iterator[Callable[[], Supervisor]]:
    """Starts procsup as nobody should, with a few descriptors open that are none of the children's business."""
    inherited = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]
    inherited.append(os.dup2(inherited[0], 57))
    yield lambda: either_way.start(preexec_fn=_as_nobody_should_start_it, pass_fds=inherited)
    for descriptor in inherited:
        os.close(descriptor)


def _blocked_and_ignored(supervisor: Supervisor) -> tuple[int, int]:
    blocked, ignored = (int(supervisor.wait_for(rf"\| {what}:\s+(\w+)$")[1], 16) for what in ("SigBlk", "SigIgn"))
    return blocked, ignored & ~_GLIBCS_OWN


def test_f44_nothing_is_blocked_or_ignored_whatever_procsup_was_started_with(
    either_way: App, oddly: Callable[[], Supervisor], record_property: Record
) -> None:
    either_way.write("Procfile", "web: cat /proc/self/status\n")  # a program that does not change them, as Python does
    supervisor = oddly()
    blocked, ignored = _blocked_and_ignored(supervisor)
    assert (blocked, ignored) == (0, 0)
    record_property("signals blocked or ignored in a child", "0; where procsup was started 3 were blocked, 4 ignored")
    assert supervisor.stop() == 0  # its own SIGTERM is not blocked any more either


def test_f44_only_descriptors_0_to_2_are_open_and_umask_and_limits_are_as_they_were(
    either_way: App, oddly: Callable[[], Supervisor], record_property: Record
) -> None:
    either_way.write("Procfile", f"web: {PROBE}\n")
    supervisor = oddly()
    told = supervisor.probe()
    assert sorted(told["fds"]) == ["0", "1", "2"]
    record_property("descriptors open in a child", "0, 1 and 2; procsup was started with 3 more")
    assert told["SigIgn"] & ~(_PYTHONS_OWN | _GLIBCS_OWN) == 0
    assert told["umask"] == 0o137
    assert told["open_files"] == [200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]]
    assert told["core"] == [0, 0]
    assert told["session"] == told["group"] == told["pid"]
    os.kill(told["pid"], signal.SIGKILL)  # SIGCHLD was blocked and ignored: the end is seen all the same
    assert supervisor.probe(times=2)["pid"] != told["pid"]
    assert supervisor.stop() == 0


@needs(shutil.which("nohup") is not None, "there is no nohup here")
def test_f44_under_nohup_a_child_hears_a_hangup_and_procsup_does_not(
    either_way: App, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    monkeypatch.setattr(terminal, "COMMAND", ("nohup", *terminal.COMMAND))
    either_way.write("Procfile", "web: grep Sig /proc/self/status; echo ready $$; exec sleep 1000\n")
    supervisor = either_way.start()
    assert _blocked_and_ignored(supervisor) == (0, 0)
    pid = int(supervisor.wait_for(r"ready (\d+)")[1])
    supervisor.send(signal.SIGHUP)
    os.kill(pid, signal.SIGHUP)
    supervisor.wait_for(r"web\.1 ended: killed by SIGHUP")
    supervisor.wait_for("ready", 2)
    record_property("under nohup", "a child hears SIGHUP, procsup does not")
    assert supervisor.stop() == 0
    assert "reloaded" not in supervisor.text
