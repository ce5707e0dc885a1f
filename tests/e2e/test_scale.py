"""The formation: set it, change it, see it, and find it again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests import leaks
from tests.e2e.app import COMMAND, App
from tests.e2e.refusal import refused

PROCFILE = "web: sleep 1000\nworker: sleep 1000\nrelease: sleep 1000\n"
DEAF = """deaf: sh -c 'trap "" TERM; echo deaf; while :; do sleep 1000; done'\n"""


@pytest.fixture
def running(app: App) -> App:
    app.write("Procfile", PROCFILE)
    app.start()
    app.until_running("web.1", "worker.1")
    return app


def kept(app: App) -> dict[str, int]:
    """The formation on disk."""
    (file,) = Path(app.environment["PROCSUP_STATE_DIR"]).glob("*/formation*")
    formation = json.loads(file.read_text())["formation"]
    assert isinstance(formation, dict)
    return formation


def workers(*numbers: int) -> list[str]:
    return [f"worker.{number}" for number in numbers]


def test_without_arguments_it_prints_the_formation(running: App) -> None:
    assert running.ok("scale").splitlines() == ["web=1", "worker=1", "release=0"]


@pytest.mark.parametrize(
    ("arguments", "formation"),
    [
        (("worker=3",), {"web": 1, "worker": 3, "release": 0}),
        (("worker=+2",), {"web": 1, "worker": 3, "release": 0}),
        (("worker+2",), {"web": 1, "worker": 3, "release": 0}),
        (("worker=-1", "web=2"), {"web": 2, "worker": 0, "release": 0}),
        (("web=2,worker=0",), {"web": 2, "worker": 0, "release": 0}),
        (("all=2",), {"web": 2, "worker": 2, "release": 0}),
        (("all=+1", "web=0"), {"web": 0, "worker": 2, "release": 0}),
        (("release=1",), {"web": 1, "worker": 1, "release": 1}),
    ],
)
def test_counts_are_set_or_changed(running: App, arguments: tuple[str, ...], formation: dict[str, int]) -> None:
    running.ok("scale", *arguments, "--wait")
    assert running.status()["formation"] == formation
    names = [f"{name}.{number}" for name, count in formation.items() for number in range(1, count + 1)]
    running.until_running(*names)


def test_all_means_the_same_to_scale_as_to_start(app: App) -> None:
    """Every type but the releases, those too of which there is none unless somebody asks for it."""
    app.write("Procfile", f"{PROCFILE}batch: sleep 1000\nmigrate: sleep 1000\n")
    app.write("procsup.toml", "[processes.batch]\ncount = 0\n[processes.migrate]\nrelease = true\n")
    meant = {"web": 2, "worker": 2, "release": 0, "batch": 2, "migrate": 0}
    supervisor = app.start("-m", "all=2")
    app.until_running("web.1", "web.2", "worker.1", "worker.2", "batch.1", "batch.2")
    assert app.status()["formation"] == meant
    assert supervisor.stop() == 0
    app.start()
    app.until_running("web.1", "worker.1")
    app.ok("scale", "all=2", "--wait")
    assert app.status()["formation"] == meant


def test_whoever_is_being_stopped_for_good_is_nobody_but_can_be_brought_back(app: App) -> None:
    app.write("Procfile", DEAF)
    app.start("-m", "deaf=2", "-t", "100").wait_for("deaf$", 2)
    app.until_running("deaf.1", "deaf.2")
    app.ok("scale", "deaf=0")
    gone = "deaf.2 is being stopped for good"
    assert f"{gone}; procsup scale deaf=2 brings it back" in refused(app.run("exec", "deaf.2", "true"), 2)
    said = f"{gone}, so there is nothing to wait for; procsup scale deaf=2 brings it back"
    assert said in refused(app.run("wait", "deaf.2"), 1)
    assert "deaf has no instance; procsup scale deaf=1 starts one" in refused(app.run("exec", "deaf", "true"), 2)
    app.ok("scale", "deaf=2")
    app.ok("exec", "deaf.2", "true")


def test_it_says_what_it_starts_and_stops_and_with_wait_when_that_is_done(running: App) -> None:
    assert running.ok("scale", "worker=3", "web=0").splitlines() == [
        "starting worker.2, worker.3",
        "stopping web.1",
    ]
    assert running.ok("scale", "worker=1", "web=1", "--wait").splitlines() == [
        "started web.1",
        "stopped worker.2, worker.3",
    ]
    assert {name: each["state"] for name, each in running.instances().items()} == {
        "web.1": "running",
        "worker.1": "running",
    }
    assert running.ok("scale", "worker=1").startswith("nothing to do: ")


def test_without_wait_it_returns_while_a_deaf_process_still_has_its_grace(app: App) -> None:
    app.write("Procfile", DEAF)
    supervisor = app.start("--grace", "600")
    supervisor.wait_for(r"\| deaf$")
    assert "stopping deaf.1" in app.ok("scale", "deaf=0")
    assert app.instances()["deaf.1"]["state"] == "stopping"
    supervisor.send(signal.SIGTERM)
    supervisor.wait_for("stopping 1 instance")
    supervisor.stop()


def test_wait_fails_where_a_new_one_does_not_come_up_and_says_why(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nbad: no-such-program\n")
    app.start("-m", "bad=0")
    app.until_running("web.1")
    done = app.run("scale", "bad=1", "--wait")
    assert done.returncode == 1
    assert "bad.1 is backoff: could not be started: no-such-program: " in done.stderr


def test_the_highest_numbers_go_first_and_the_others_keep_pid_port_and_unique_int(running: App) -> None:
    running.ok("scale", "worker=5", "--wait")
    before = running.instances()
    running.ok("scale", "worker=2", "--wait")
    after = running.instances()
    assert sorted(after) == ["web.1", "worker.1", "worker.2"]
    for name, each in after.items():
        assert all(each[key] == before[name][key] for key in ("pid", "port", "unique_int", "restarts"))
    running.ok("scale", "worker=4", "--wait")
    again = running.instances()
    assert sorted(again) == ["web.1", *workers(1, 2, 3, 4)]
    assert all(again[name]["pid"] == after[name]["pid"] for name in after)
    assert {again[name]["port"] for name in workers(3, 4)} == {before[name]["port"] for name in workers(3, 4)}


def test_names_are_padded_to_the_longest_there_is_now(running: App) -> None:
    supervisor = running.started[0]
    running.ok("scale", "worker=100", "--wait")
    supervisor.wait_for(r"^\S+ procsup    \| worker\.100 started")
    running.ok("scale", "worker=1", "--wait")
    running.ok("scale", "web=2", "--wait")
    supervisor.wait_for(r"^\S+ procsup  \| web\.2 started")


# Kept


def test_what_was_scaled_is_there_again_at_the_next_start(running: App) -> None:
    running.ok("scale", "worker=3")
    assert running.started[0].stop() == 0
    assert kept(running) == {"worker": 3}
    supervisor = running.start()
    running.until_running("web.1", *workers(1, 2, 3))
    assert supervisor.stop() == 0


def test_m_wins_over_what_was_kept_for_that_run_only(running: App) -> None:
    running.ok("scale", "worker=3", "web=2")
    running.started[0].stop()
    supervisor = running.start("-m", "worker=1")
    running.until_running("web.1", "web.2", "worker.1")
    running.ok("scale", "web=1", "--wait")
    supervisor.stop()
    assert kept(running) == {"worker": 3, "web": 1}
    running.start()
    running.until_running("web.1", *workers(1, 2, 3))


def test_a_type_that_left_the_procfile_finds_its_count_again_when_it_comes_back(running: App) -> None:
    running.ok("scale", "worker=2", "--wait")
    running.write("Procfile", "web: sleep 1000\n")
    running.ok("reload")
    running.ok("scale", "web=2")
    running.write("Procfile", PROCFILE)
    running.ok("reload")
    running.until_running("web.1", "web.2", *workers(1, 2))


def test_a_formation_file_that_makes_no_sense_is_an_error_that_names_it(running: App) -> None:
    running.ok("scale", "worker=2")
    running.started[0].stop()
    (file,) = Path(running.environment["PROCSUP_STATE_DIR"]).glob("*/formation*")
    file.write_text('{"version": 1, "formation": {"worker": "many"}}')
    done = running.run("start")
    assert done.returncode == 2
    assert str(file) in done.stderr


def test_a_supervisor_killed_while_it_scales_leaves_the_old_formation_or_the_new_one(app: App) -> None:
    app.write("Procfile", PROCFILE)
    dice = random.Random(4)  # noqa: S311
    before = None
    for count in (4, 2, 5, 1, 3):
        supervisor = app.start()
        app.until(lambda found: all(each["state"] == "running" for each in found.values()))
        old = app.ask("formation")
        assert before is None or old in before
        new = old | {"worker": count, "web": count}
        command = subprocess.Popen(
            [*COMMAND, "scale", f"worker={count}", f"web={count}"],
            cwd=app.folder,
            env=app.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        threading.Event().wait(dice.uniform(0.05, 0.12))  # not for anything: any moment will do
        supervisor.process.kill()
        command.wait(30)
        # The next start should find nobody: they are all that carries our cookie.
        until = time.monotonic() + 10
        while (left := leaks.carriers(os.environ[leaks.COOKIE])) and time.monotonic() < until:
            for pid in left:
                with suppress(ProcessLookupError):  # the guardian is at it, too
                    os.kill(pid, signal.SIGKILL)
        supervisor.end()
        before = (old, new)
    supervisor = app.start()
    app.until(lambda found: all(each["state"] == "running" for each in found.values()))
    assert app.ask("formation") in before
    assert supervisor.stop() == 0


# Refused


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("wroker=2",), 'did you mean "worker"?'),
        (("worker=-2",), "worker has 1 instance;"),
        (("worker=2", "web=-5"), "cannot be taken away"),
        (("worker=10000",), "instances in all are too many"),
        (("worker=99999999999999999999",), "write a smaller number"),
        (("worker=many",), "whole number"),
        (("worker",), "write worker=3"),
        (("worker-1",), "write worker=-1"),
        (("=3",), "no process type"),
        (("worker=1=2",), "whole number"),
        (("worker=2", "worker=3"), "given twice"),
        (("",), "empty"),
        (("worker=2", "wör=1"), "no name"),
    ],
)
def test_what_makes_no_sense_is_refused_with_exit_code_2_and_changes_nothing(
    running: App, arguments: tuple[str, ...], says: str
) -> None:
    before = running.instances()
    done = running.run("scale", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert done.stdout == ""
    assert {name: each["pid"] for name, each in running.instances().items()} == {
        name: each["pid"] for name, each in before.items()
    }
    assert not list(Path(running.environment["PROCSUP_STATE_DIR"]).glob("*/formation*"))


@pytest.mark.parametrize(
    "formation", ["wroker=2", "worker=-1", "worker=+1", "worker", "all=20000", "worker=1,worker=2"]
)
def test_a_formation_that_makes_no_sense_starts_nothing(app: App, formation: str) -> None:
    app.write("Procfile", "worker: sh -c 'echo started; sleep 1000'\n")
    done = app.run("start", "-m", formation)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) <= 2


# Many at once


def test_fifty_scale_commands_at_once_are_taken_one_at_a_time(running: App) -> None:
    commands = [
        subprocess.Popen(
            [*COMMAND, "scale", "worker=+1"],
            cwd=running.folder,
            env=running.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(50)
    ]
    said = [command.communicate(timeout=60)[0] for command in commands]
    assert [command.returncode for command in commands] == [0] * 50
    # Each says what it has started itself, and no two say the same.
    assert sorted(said) == sorted(f"starting worker.{number}\n" for number in range(2, 52))
    found = running.until(lambda found: len(found) == 52 and all(each["pid"] for each in found.values()))
    assert len({each["pid"] for each in found.values()}) == 52
    assert len({each["unique_int"] for each in found.values()}) == 52
    assert kept(running) == {"worker": 51}


def test_the_last_word_counts_however_fast_the_words_come(running: App) -> None:
    before = running.instances()["worker.1"]["pid"]
    for count in (3, 10, 1, 5, 2, 10, 3):
        running.ask("scale", changes=[{"type": "worker", "relative": False, "count": count}])
    found = running.until_running("web.1", *workers(1, 2, 3))
    assert found["worker.1"]["pid"] == before
    for count in (0, 3, 0, 2):
        running.ask("scale", changes=[{"type": "worker", "relative": False, "count": count}])
    found = running.until_running("web.1", *workers(1, 2))
    assert found["worker.1"]["pid"] != before
