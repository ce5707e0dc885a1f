"""Where systemd has delegated its part of the control groups to us, the kernel itself ends an instance."""

from __future__ import annotations

import time

from tests.boot.app import App
from tests.boot.machine import Machine
from tests.faults.bombs import RELAY, most_alive
from tests.faults.watching import NOISE, Record, in_words

_USER = 64200
# Without our cookie; by its user the host finds it.
_CONFINED = f"setpriv --reuid={_USER} --regid={_USER} --clear-groups prlimit --nproc=60"
_PROCFILE = f"""\
bomb: exec env -i {_CONFINED} /usr/bin/python3 -I /srv/app/bomb.py
web: echo ready; exec sleep 64200
"""


def _boot(machine: Machine, *service: str) -> App:
    machine.write("/srv/app/bomb.py", RELAY)
    app = App(machine, _PROCFILE, "Delegate=yes", *service, arguments="--grace 0.5")
    machine.boot()
    app.until_running("bomb.1", "web.1")
    app.until(lambda: "full" in app.journal())
    assert most_alive(_USER) > 1
    return app


def test_f25_a_bomb_that_shakes_off_all_our_marks_is_gone_with_its_group(
    machine: Machine, record_property: Record
) -> None:
    app = _boot(machine, "KillMode=mixed")
    assert {path.rpartition("/")[2] for path in app.groups()[1:]} == {"bomb.1", "web.1"}
    begun = time.monotonic()
    assert "stopped bomb.1" in app.procsup("stop", "bomb")
    took = time.monotonic() - begun - 0.5
    assert most_alive(_USER) == 0
    record_property("in a control group: all gone after the grace, later by", in_words(took))
    assert took < NOISE
    assert [path.rpartition("/")[2] for path in app.groups()[1:]] == ["web.1"]
    web = app.instances()["web.1"]
    assert web["state"] == "running"
    [group] = app.groups()[1:]
    assert machine.ok("cat", f"{group}/cgroup.procs").split() == [str(web["pid"])]
    machine.ok("systemctl", "stop", app.unit)
    assert app.groups() == []
    machine.power_off()


def test_f25_the_guardian_ends_such_a_bomb_when_systemd_leaves_it_alone(
    machine: Machine, record_property: Record
) -> None:
    app = _boot(machine, "KillMode=process", "Restart=no")
    assert len(app.groups()) == 3
    begun = time.monotonic()
    machine.ok("systemctl", "kill", "--signal=KILL", "--kill-whom=main", app.unit)
    app.until(lambda: app.groups() == [])
    record_property("by the guardian, after a grace of 0.5 s, in", in_words(time.monotonic() - begun))
    assert most_alive(_USER) == 0
    assert machine.processes("sleep", "64200") == 0
    app.until(lambda: "the supervisor was killed; stopped the" in app.journal())  # it says so when all is done
    machine.power_off()


def test_only_groups_that_are_ours_are_used(machine: Machine) -> None:
    services = {
        "root": ("Delegate=no",),
        "root-delegated": ("Delegate=yes",),
        "user": ("Delegate=no", "User=nobody", "Environment=PROCSUP_STATE_DIR=/tmp/user"),
        "user-delegated": ("Delegate=yes", "User=nobody", "Environment=PROCSUP_STATE_DIR=/tmp/user-delegated"),
        "portable": ("Delegate=yes", "Environment=PROCSUP_PORTABLE=1"),
    }
    apps = {
        name: App(machine, f"web: exec sleep {64210 + number}\n", *lines, name=name)
        for number, (name, lines) in enumerate(services.items())
    }
    machine.boot()
    for number, app in enumerate(apps.values()):
        app.until(lambda number=number: machine.processes("sleep", str(64210 + number)) == 1)
    with_groups = {name for name, app in apps.items() if app.groups()}
    assert with_groups == {"root-delegated", "user-delegated"}
    machine.ok("systemctl", "stop", *(app.unit for app in apps.values()))
    assert not any(app.groups() for app in apps.values())
    machine.power_off()
