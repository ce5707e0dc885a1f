"""How instances are held to their limits.

The control groups here are a folder of plain files that stands in for the kernel's: they show what is written, in which
order, and what is made of what is read. The kernel's own part is in tests/boot/test_limits.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from procsup.config.project import Project, ProjectOptions, load_project
from procsup.core.model import InstanceName
from procsup.runtime.limits import controllers
from procsup.runtime.limits.cgroups import Cgroups
from procsup.runtime.limits.confinement import Confinement
from procsup.runtime.trees.census import COOKIE
from procsup.runtime.trees.weight import weigh
from tests.faults.watching import Record, in_words

MIB = 1 << 20
WEB = InstanceName("web", 1)
HOLD = """\
import os, signal, sys
held = bytearray(int(sys.argv[1]) << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
children = int(sys.argv[2])
if children < 0:
    os.setsid()
for _ in range(abs(children)):
    if os.fork() == 0:
        if children < 0:
            os.setsid()
        break
else:
    print("ready", flush=True)
signal.pause()
"""


class FakeGroups:
    """Plain files where the kernel's would be; nothing is enforced, and nobody is moved."""

    def __init__(self, folder: Path, available: str = "cpu memory pids") -> None:
        self.above = folder / "unit"
        self.own = self.above / "procsup-app"
        self.leaf = self.own / "supervisor"
        for each in (self.above, self.own, self.leaf):
            self.make(each)
        (self.above / "cgroup.controllers").write_text(f"{available}\n")
        (self.above / "cgroup.procs").write_text(f"{os.getpid()}\n")
        self.web = self.make(self.own / "web.1")

    def make(self, folder: Path) -> Path:
        folder.mkdir()
        for name in ("cgroup.subtree_control", "cgroup.procs", "cgroup.controllers", "memory.max", "memory.swap.max"):
            (folder / name).touch()
        for name in ("memory.oom.group", "memory.current", "memory.events", "cpu.max"):
            (folder / name).touch()
        return folder

    def switched_on(self, *names: str) -> None:
        """The kernel would list what was switched on."""
        (self.own / "cgroup.subtree_control").write_text(" ".join(names))

    def obey(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
        """Do as the kernel does with controllers; the list gets what is written, in its order."""
        written: list[tuple[str, str]] = []

        def write(path: str, what: int | str) -> None:
            written.append((os.path.relpath(path, self.above), str(what)))
            Path(path).write_text(str(what).removeprefix("+"))

        monkeypatch.setattr(controllers, "write", write)
        return written

    def events(self, oom: int, killed: int) -> None:
        (self.web / "memory.events").write_text(f"low 0\nhigh 0\nmax 9\noom {oom}\noom_kill {killed}\n")


@pytest.fixture
def fake(tmp_path: Path) -> FakeGroups:
    return FakeGroups(tmp_path)


def project(folder: Path, settings: str) -> Project:
    folder.mkdir(exist_ok=True)
    (folder / "Procfile").write_text("web: sleep 1\nworker: sleep 1\n")
    (folder / "procsup.toml").write_text(settings)
    return load_project(ProjectOptions(), {}, str(folder), bytes)


def entered(confinement: Confinement, cgroups: Cgroups, fake: FakeGroups) -> None:
    """As a new copy does."""
    assert cgroups.prepare is not None
    cgroups.prepare(WEB, str(fake.web))


def test_all_of_ours_leave_the_group_before_its_controllers_are_switched_on(
    fake: FakeGroups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = fake.obey(monkeypatch)
    confinement = Confinement(Cgroups(str(fake.own)))
    confinement.read(project(tmp_path / "app", 'memory = "64M"'))
    assert written == [
        ("procsup-app/supervisor/cgroup.procs", str(os.getpid())),
        ("cgroup.subtree_control", "+memory"),
        ("procsup-app/cgroup.subtree_control", "+memory"),
    ]
    assert confinement.hard == {"memory"}


def test_where_somebody_else_is_in_the_group_nobody_is_moved_and_memory_is_watched(
    fake: FakeGroups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake.above / "cgroup.procs").write_text(f"{os.getpid()}\n1\n")
    written = fake.obey(monkeypatch)
    confinement = Confinement(Cgroups(str(fake.own)))
    warnings = confinement.read(project(tmp_path / "app", 'size = "S"'))
    assert confinement.hard == frozenset()
    assert written == []
    assert confinement.watched == {"web": 256 * MIB, "worker": 256 * MIB}
    [warning] = warnings
    assert warning.startswith("cpu of web, worker is not limited: ")
    assert not confinement.change(project(tmp_path / "more", 'memory = "64M"'), WEB, alive=True).restart


def test_without_groups_of_ours_memory_is_watched_and_the_warning_comes_once(tmp_path: Path) -> None:
    confinement = Confinement(Cgroups())
    app = project(tmp_path / "app", '[processes.web]\nsize = "S"\n')
    assert len(confinement.read(app)) == 1
    assert confinement.read(app) == []
    assert confinement.watched == {"web": 256 * MIB}
    assert confinement.of(WEB) == {"memory": 256 * MIB, "cpu": 0.5, "enforced": []}
    assert confinement.of(InstanceName("worker", 1)) is None


def test_without_any_limit_no_controller_is_touched(fake: FakeGroups, tmp_path: Path) -> None:
    cgroups = Cgroups(str(fake.own))
    confinement = Confinement(cgroups)
    assert confinement.read(project(tmp_path / "app", "")) == []
    assert cgroups.prepare is None
    assert confinement.watched == {}
    assert (fake.leaf / "cgroup.procs").read_text() == ""


def test_the_limits_are_written_before_a_copy_enters_its_group(fake: FakeGroups, tmp_path: Path) -> None:
    fake.switched_on("cpu", "memory")
    cgroups = Cgroups(str(fake.own))
    confinement = Confinement(cgroups)
    assert confinement.read(project(tmp_path / "app", 'memory = "64M"\ncpu = 0.25')) == []
    entered(confinement, cgroups, fake)
    written = {name: (fake.web / name).read_text() for name in ("memory.max", "memory.swap.max", "cpu.max")}
    assert written == {"memory.max": str(64 * MIB), "memory.swap.max": "0", "cpu.max": "25000 100000"}
    assert (fake.web / "memory.oom.group").read_text() == "1"
    assert confinement.watched == {}
    assert confinement.of(WEB) == {"memory": 64 * MIB, "cpu": 0.25, "enforced": ["memory", "cpu"]}


def test_a_kill_for_want_of_memory_is_told_apart_by_the_counters(fake: FakeGroups, tmp_path: Path) -> None:
    fake.switched_on("memory")
    cgroups = Cgroups(str(fake.own))
    confinement = Confinement(cgroups)
    confinement.read(project(tmp_path / "app", 'memory = "64M"'))
    fake.events(oom=2, killed=1)  # an earlier copy's
    entered(confinement, cgroups, fake)
    assert confinement.why_ended(WEB) is None
    entered(confinement, cgroups, fake)
    fake.events(oom=3, killed=2)
    assert confinement.why_ended(WEB) == "out of memory, limit 64 MiB"
    entered(confinement, cgroups, fake)
    fake.events(oom=3, killed=3)
    assert confinement.why_ended(WEB) == "out of memory, not at its own limit"


def test_a_reload_holds_who_runs_to_new_limits_at_once_where_nobody_would_be_killed(
    fake: FakeGroups, tmp_path: Path
) -> None:
    fake.switched_on("cpu", "memory")
    cgroups = Cgroups(str(fake.own))
    confinement = Confinement(cgroups)
    confinement.read(project(tmp_path / "app", 'memory = "64M"\ncpu = 1'))
    entered(confinement, cgroups, fake)
    (fake.web / "memory.current").write_text(f"{40 * MIB}\n")
    smaller = project(tmp_path / "smaller", 'memory = "32M"\ncpu = 1')
    larger = project(tmp_path / "larger", 'memory = "48M"\ncpu = 2')
    assert confinement.differing(larger) == ["web", "worker"]
    change = confinement.change(smaller, WEB, alive=True)
    assert change.restart
    assert change.why == "its limits change: memory 64 MiB, cpu 1 → memory 32 MiB, cpu 1, and it has 40 MiB"
    change = confinement.change(larger, WEB, alive=True)
    assert not change.restart
    assert change.why.endswith("memory 48 MiB, cpu 2, at once")
    confinement.read(larger)
    confinement.apply(WEB)
    assert (fake.web / "memory.max").read_text().startswith(str(48 * MIB))
    assert (fake.web / "cpu.max").read_text().startswith("200000 ")


def test_who_runs_since_before_memory_was_counted_is_held_to_it_by_a_new_start(
    fake: FakeGroups, tmp_path: Path
) -> None:
    confinement = Confinement(Cgroups(str(fake.own)))
    confinement.read(project(tmp_path / "app", ""))
    assert confinement.change(project(tmp_path / "new", 'memory = "64M"'), WEB, alive=True).restart
    assert not confinement.change(project(tmp_path / "other", "cpu = 1"), WEB, alive=True).restart
    assert not confinement.change(project(tmp_path / "new", 'memory = "64M"'), WEB, alive=False).restart


def test_switching_off_leaves_alone_what_another_project_needs(fake: FakeGroups) -> None:
    (fake.above / "procsup-other").mkdir()
    fake.switched_on("memory")
    (fake.above / "cgroup.subtree_control").write_text("memory")
    controllers.switch_off(str(fake.own))
    assert (fake.own / "cgroup.subtree_control").read_text() == "-memory"
    assert (fake.above / "cgroup.subtree_control").read_text() == "memory"


# --- without control groups: real processes ---


@pytest.fixture
def holders() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    try:
        yield started
    finally:
        for each in started:
            os.killpg(each.pid, 9)
            each.wait()
            assert each.stdout is not None
            each.stdout.close()


def hold(holders: list[subprocess.Popen[bytes]], mib: int, children: int = 0) -> int:
    holder = subprocess.Popen(
        [sys.executable, "-I", "-c", HOLD, str(mib), str(children)],
        stdout=subprocess.PIPE,
        env={**os.environ, COOKIE: "tests:web.1;"},
        start_new_session=children >= 0,
    )
    holders.append(holder)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    return holder.pid


def over(pid: int, mib: int) -> int | None:
    found = weigh({pid: WEB}, {"web": mib * MIB}, lambda name: f"tests:{name};").get(WEB)
    return None if found is None else found // MIB


def test_a_tree_is_over_its_limit_only_with_what_it_really_takes(holders: list[subprocess.Popen[bytes]]) -> None:
    pid = hold(holders, 40, children=3)
    taken = over(pid, 30)
    assert taken is not None
    assert 40 <= taken < 100, "what a fork shares with its parent was counted more than once"
    assert over(pid, 100) is None


def test_the_memory_of_children_counts_also_in_sessions_of_their_own(holders: list[subprocess.Popen[bytes]]) -> None:
    program = "import os; os.setpgid(0, 0); " + HOLD.replace("os.setsid()", "pass", 1)
    holder = subprocess.Popen(
        [sys.executable, "-I", "-c", program, "40", "-1"], stdout=subprocess.PIPE, start_new_session=False
    )
    holders.append(holder)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    assert over(holder.pid, 30) is not None
    [child] = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    try:
        assert (over(holder.pid, 1) or 0) >= 40
    finally:
        os.kill(int(child), 9)


def test_looking_at_a_hundred_instances_costs_little(record_property: Record) -> None:
    sleepers = [subprocess.Popen(["sleep", "1000"], start_new_session=True) for _ in range(100)]
    try:
        leaders = {each.pid: InstanceName("web", number) for number, each in enumerate(sleepers, 1)}
        begun, spent = time.monotonic(), time.process_time()
        for _ in range(10):
            assert weigh(leaders, {"web": 500 * MIB}, str) == {}
        record_property("a look at 100 instances", in_words((time.monotonic() - begun) / 10))
        record_property("of it our processor time", in_words((time.process_time() - spent) / 10))
        assert time.process_time() - spent < 5
    finally:
        for each in sleepers:
            each.kill()
            each.wait()
