"""The kernel holds instances to their limits, where systemd has delegated the memory and cpu controllers to us.

Seen in an emulated machine, which boots once for all of this: a minute or more on a busy computer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.boot import emulator, rootfs
from tests.boot.conftest import Installed
from tests.boot.machine import remove_tree
from tests.faults.watching import Record

_PROGRAM = Path(__file__).with_name("limits_program.py")
_MIB = 1 << 20


@pytest.fixture(scope="module")
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    reason = emulator.why_not()
    if reason is not None:
        pytest.skip(reason)
    installed: Installed = request.getfixturevalue("installed")
    folder = tmp_path_factory.mktemp("emulated")
    try:
        rootfs.copy(installed.root, folder / "root")
        told = emulator.run_in_emulator(folder / "root", installed.usr, folder, _PROGRAM.read_text())
    finally:
        remove_tree(folder)
    assert isinstance(told, dict)
    return told


def test_who_is_killed_for_want_of_memory_is_told_apart(seen: dict[str, Any]) -> None:
    assert seen["hog"]["last_exit"]["signal"] == "SIGKILL"
    assert seen["hog"]["last_exit"]["because"] == "out of memory, limit 64 MiB"
    assert "out of memory, limit 64 MiB" in seen["hog"]["why"]
    notices = [line for line in seen["journal"] if line.startswith("hog.1 ended: killed by SIGKILL: ")]
    assert notices
    assert all("out of memory, limit 64 MiB" in line for line in notices)


def test_the_others_do_not_notice(seen: dict[str, Any]) -> None:
    assert (seen["ok"]["state"], seen["ok"]["restarts"], seen["ok"]["why"]) == ("running", 0, None)
    assert seen["ok"]["limits"] == {"memory": 64 * _MIB, "cpu": None, "enforced": ["memory"]}


def test_f46_the_service_of_one_who_was_out_of_memory_runs_on(seen: dict[str, Any]) -> None:
    assert "procsup-app.service runs now" in seen["installed"]
    service = {"ActiveState": "active", "NRestarts": "0", "OOMPolicy": "continue", "Result": "success"}
    assert seen["the service after it"] == service


def test_the_supervisor_and_its_guardian_share_no_group_with_what_is_limited(seen: dict[str, Any]) -> None:
    assert seen["unit has"] == []
    assert seen["leaf has supervisor"]
    assert {"burn.1", "ok.1", "supervisor"} <= set(seen["groups"])
    assert seen["memory of ok"] == [str(64 * _MIB), "0", "1"]


def test_processor_time_is_limited(seen: dict[str, Any], record_property: Record) -> None:
    assert seen["cpu of burn"] == ["20000", "100000"]
    record_property("cpu = 0.2: of a core it gets", f"{seen['cores of burn']:.2f}")
    assert 0.05 < seen["cores of burn"] < 0.35


def test_a_reload_changes_the_limits_of_who_runs(seen: dict[str, Any]) -> None:
    ok = next(line for line in seen["plan"].splitlines() if " ok.1 " in line)
    burn = next(line for line in seen["plan"].splitlines() if " burn.1 " in line)
    assert ok.startswith("~ restart")
    assert "memory 64 MiB → memory 10 MiB, and it has " in ok
    assert burn.startswith("  keep")
    assert "memory 64 MiB, cpu 0.2 → memory 70 MiB, cpu 1.5, at once" in burn
    assert seen["kept over the reload"] == ["ok.1", "burn.1"]
    assert seen["after the reload"] == [str(48 * _MIB), "150000", "100000", str(300 * _MIB)]


def test_an_upgrade_changes_nothing_of_it(seen: dict[str, Any]) -> None:
    told = seen["over the upgrade"]
    pid = seen["upgraded"].split()[1]
    assert f"pid {pid} was procsup" in seen["upgraded"]
    assert told["same"] == ["ok.1", "burn.1"]
    assert told["limits"] == [str(48 * _MIB), "150000", "100000"]
    assert {"ok.1", "burn.1", "hog.1", "supervisor"} <= set(told["groups"])
    assert told["in its group"]
    assert set(told["service"]) == {f"MainPID={pid}", "ActiveState=active", "NRestarts=0"}
    assert told["unit has"] == []
    assert seen["a new one after it"] == [str(48 * _MIB), "1"]
    assert seen["a new one is in its group"]


def test_after_a_kill_of_the_supervisor_the_next_one_sets_them_again(seen: dict[str, Any]) -> None:
    again = seen["after kill -9"]
    assert again["other pid"]
    assert again["limit"] == [str(48 * _MIB)]
    assert {"ok.1", "burn.1", "supervisor"} <= set(again["groups"])


def test_nothing_of_it_is_left_after_a_stop(seen: dict[str, Any]) -> None:
    assert seen["after the stop"] == []
    assert seen["at the end"] == []


def test_a_user_s_own_unit_has_them_too(seen: dict[str, Any]) -> None:
    assert "out of memory, limit 64 MiB" in seen["of a user"]


def test_where_somebody_else_is_in_the_group_nothing_is_moved(seen: dict[str, Any]) -> None:
    assert "cpu of ok is not limited" in seen["with others in the group"]
    assert seen["and nobody was moved"] == ["ok.1"]
