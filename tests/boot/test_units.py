"""Under systemd, as a plain unit: whatever happens to the supervisor or the machine, it is back, and nothing twice."""

from __future__ import annotations

import time

import pytest

from tests.boot.app import App
from tests.boot.machine import Machine
from tests.faults.watching import Record, in_words

_PROCFILE = "web: exec sleep 64300\nworker: exec sleep 64301\n"
_NAMES = ("web.1", "worker.1", "worker.2", "worker.3")
_COPIES = {"64300": 1, "64301": 3}


@pytest.fixture
def app(machine: Machine) -> App:
    app = App(machine, _PROCFILE, "Restart=always", "RestartSec=0", "KillMode=mixed", "Delegate=yes")
    machine.boot()
    app.until_running("web.1", "worker.1")
    app.procsup("scale", "worker=3", "--wait")
    return app


def test_f46_a_killed_supervisor_is_back_with_all_of_them_once(app: App, record_property: Record) -> None:
    for turn in range(3):
        killed = app.main_pid()
        before = {each["pid"] for each in app.until_running(*_NAMES).values()}
        begun = time.monotonic()
        app.machine.ok("systemctl", "kill", "--signal=KILL", "--kill-whom=main", app.unit)
        after = {each["pid"] for each in app.until_running(*_NAMES, other_than=killed).values()}
        if turn == 0:
            record_property("after kill -9 of the main process all run again in", in_words(time.monotonic() - begun))
        assert not before & after
        app.has_copies(_COPIES)
    app.machine.power_off()
    assert not any(app.machine.processes("sleep", seconds) for seconds in _COPIES)


def test_f46_after_a_reboot_all_are_up_again_and_the_scale_is_kept(app: App, record_property: Record) -> None:
    begun = time.monotonic()
    app.machine.reboot()
    app.until_running(*_NAMES)
    record_property("reboot, until all run again", in_words(time.monotonic() - begun))
    app.has_copies(_COPIES)
    assert len(app.machine.ok("journalctl", "--list-boots", "--quiet", "--no-pager").strip().splitlines()) >= 2
    app.machine.power_off()
