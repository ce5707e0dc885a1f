"""A pid of ours becomes somebody else's: in a PID namespace, where one can choose the pid that is given out next."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import app as terminal
from tests.e2e.app import App, Supervisor
from tests.faults.needs import needs, works
from tests.faults.watching import READY, Record

_UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
_LAST_PID = "/proc/sys/kernel/ns_last_pid"
_DEAF = "sh -c 'trap \"\" TERM; echo ready $$; exec sleep 1000'"

pytestmark = needs(
    works(*_UNSHARE, "sh", "-c", f"echo 100 > {_LAST_PID}"), "may not make a PID namespace and choose pids here"
)


class World:
    """A supervisor in a world of its own; all pids are those that it knows itself."""

    def __init__(self, app: App, inside: Supervisor) -> None:
        self.app = app
        self.inside = inside
        app.until_running("web.1")
        inside.wait_for("ready")
        self.supervisor = int(app.ask("info")["pid"])

    def order(self, line: str) -> None:
        assert self.inside.process.stdin is not None
        self.inside.process.stdin.write(f"{line}\n".encode())
        self.inside.process.stdin.flush()

    def kill(self, pid: int, number: int = 9) -> None:
        self.order(f"kill {pid} {number}")

    def give_to_a_stranger(self, pid: int) -> None:
        self.order(f"take {pid}")
        self.inside.wait_for(rf"world: stranger has {pid}$")

    def stop(self) -> None:
        """The supervisor; who got a pid of ours must not have noticed anything, from the beginning to the end."""
        self.kill(int(self.app.ask("info")["pid"]), 15)
        self.inside.wait_for("world: supervisor ended: 0")
        assert "stranger was" not in self.inside.text
        assert "stranger ended" not in self.inside.text


@pytest.fixture(params=["", "1"], ids=["pidfds", "SIGCHLD"])
def world(request: pytest.FixtureRequest, app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    first = str(Path(__file__).with_name("pid_world.py"))
    monkeypatch.setattr(terminal, "COMMAND", (*_UNSHARE, sys.executable, "-I", first, *terminal.COMMAND))
    app.environment["PROCSUP_PORTABLE"] = request.param
    app.write("Procfile", "web: sh web\n")
    app.write("web", f"exec {READY}\n")
    inside = app.start("--grace", "1", stdin=subprocess.PIPE)
    world = World(app, inside)
    try:
        yield world
    finally:
        if inside.process.poll() is None:
            world.order("quit")
        assert inside.process.stdin is not None
        inside.process.stdin.close()


def _pid(world: World, said: str, times: int = 1) -> int:
    return int(world.inside.wait_for(rf"{said} (\d+)$", times)[1])


def test_f43_commands_do_not_reach_who_has_the_pid_of_an_earlier_copy(world: World, record_property: Record) -> None:
    first = _pid(world, "ready")
    world.kill(first)
    second = _pid(world, "ready", 2)
    world.give_to_a_stranger(first)
    world.app.ask("restart", names=["web"], rolling=False)
    world.inside.wait_for("ready", 3)
    world.give_to_a_stranger(second)
    world.app.ask("stop", names=["web"])
    world.app.ask("start", names=["web"])
    world.app.ask("scale", changes=[{"type": "web", "relative": False, "count": 2}], wait=True)
    world.app.ask("scale", changes=[{"type": "web", "relative": False, "count": 1}], wait=True)
    world.stop()
    record_property("signals to strangers with a pid of ours", "0")


def _leader_of(world: World, command: str) -> int:
    """Of a copy that has this in the background, once; the next copy is an ordinary one."""
    world.app.write("web", f"if [ -e once ]; then exec {READY}; fi; touch once; {command} & echo leader $$; wait\n")
    world.app.ask("restart", names=["web"], rolling=False)
    world.inside.wait_for("ready", 2)
    return _pid(world, "leader")


@pytest.mark.parametrize("world", ["1"], ids=["SIGCHLD"], indirect=True)
def test_f43_a_leaders_pid_may_be_a_strangers_while_its_group_is_cleared_away(world: World) -> None:
    leader = _leader_of(world, _DEAF)
    member = _pid(world, "ready", 2)
    world.kill(leader)
    world.inside.wait_for("left processes of its group running")
    world.kill(world.supervisor, 19)  # it sees nothing of all this until the pid is already another's
    world.kill(member)
    world.inside.wait_for(f"world: reaped {member}$")
    world.give_to_a_stranger(leader)
    world.kill(world.supervisor, 18)
    world.inside.wait_for("ready", 3)
    world.stop()


@pytest.mark.parametrize("world", [""], ids=["pidfds"], indirect=True)
def test_f43_one_that_left_the_group_is_killed_and_no_stranger_with_the_groups_number(world: World) -> None:
    leader = _leader_of(world, f"setsid {_DEAF}")
    world.kill(leader)
    world.inside.wait_for("left processes of its group running")
    world.give_to_a_stranger(leader)
    world.inside.wait_for("ready", 3)
    world.stop()


def test_f43_the_guardian_and_the_next_start_spare_who_has_the_pid_of_a_dead_instance(world: World) -> None:
    world.app.write("web", f"[ $PS != web.3 ] || exec {_DEAF}\nexec {READY}\n")
    world.app.ask("scale", changes=[{"type": "web", "relative": False, "count": 3}], wait=True)
    world.inside.wait_for("ready", 3)
    pids = [each["pid"] for each in world.app.instances().values()]
    world.kill(world.supervisor)
    world.inside.wait_for(f"world: reaped {pids[1]}$")
    world.give_to_a_stranger(pids[1])  # while the guardian waits for the third
    world.inside.wait_for("stopped the 3 processes it left")
    world.give_to_a_stranger(pids[2])
    world.give_to_a_stranger(world.supervisor)
    world.order("again")
    world.inside.wait_for("ready", 6)
    world.stop()
