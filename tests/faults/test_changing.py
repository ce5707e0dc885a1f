"""What should run is changed while it runs: scaled in haste, read again, replaced one after the other."""

from __future__ import annotations

import os
import random
import re
import socket
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.e2e.app import PROBE, App, Supervisor
from tests.faults.watching import NOISE, Record, until, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")


def _scale(app: App, count: int) -> None:
    app.ask("scale", changes=[{"type": "web", "relative": False, "count": count}])


def _until_all_three_have_spoken(supervisor: Supervisor) -> None:
    """Twice; those that were scaled away at once may not have come to it."""
    for number in (1, 2, 3):
        supervisor.wait_for(rf"web\.{number} +\| ready$", 2)


def test_f38_however_fast_it_is_scaled_it_comes_to_the_last_word_and_nobody_runs_twice(
    app: App, record_property: Record
) -> None:
    # Each holds a folder of its name for as long as it runs.
    app.write("web", "mkdir $PS || echo twice\ntrap 'rmdir $PS; exit' TERM\necho ready\nwhile :; do sleep 0.05; done\n")
    app.write("Procfile", "web: sh web\n")
    supervisor = app.start("-m", "web=3")
    supervisor.wait_for("ready", 3)
    pid = app.instances()["web.1"]["pid"]
    with within(1 + NOISE) as took:
        for count in (10, 1):
            _scale(app, count)
        survivor = app.instances()["web.1"]
        assert (survivor["pid"], survivor["number"]) == (pid, 1)
        for count in (0, 3):  # the others are still being stopped
            _scale(app, count)
        app.until_running("web.1", "web.2", "web.3")
    record_property("3 → 10 → 1 → 0 → 3 converged after", str(took))
    _until_all_three_have_spoken(supervisor)
    assert supervisor.stop() == 0
    assert "twice" not in supervisor.text


def test_f38_scaling_while_all_are_being_stopped_comes_to_the_last_word_too(app: App, record_property: Record) -> None:
    app.write(
        "web",
        "mkdir $PS || echo twice\ntrap 'while [ ! -e go ]; do sleep 0.02; done; rmdir $PS; exit' TERM\n"
        "echo ready\nwhile :; do sleep 0.02; done\n",
    )
    app.write("Procfile", "web: sh web\n")
    supervisor = app.start("-m", "web=3")
    supervisor.wait_for("ready", 3)
    stopping = threading.Thread(target=app.run, args=("stop", "web"))
    stopping.start()
    app.until(lambda found: [each["state"] for each in found.values()] == ["stopping"] * 3)
    for count in (10, 1, 0, 3):
        _scale(app, count)
    app.write("go", "")
    with within(1 + NOISE) as took:
        app.until_running("web.1", "web.2", "web.3")
    stopping.join()
    _until_all_three_have_spoken(supervisor)
    record_property("during a stop: converged after it", str(took))
    assert supervisor.stop() == 0
    assert "twice" not in supervisor.text


def test_f38_scaling_in_a_backoff_ends_the_wait(app: App, record_property: Record) -> None:
    app.write("Procfile", "web: sh -c 'if [ -e good ]; then echo ready; exec sleep 1000; fi; exit 1'\n")
    supervisor = app.start("-m", "web=3")
    app.until(lambda found: [each["state"] for each in found.values()] == ["backoff"] * 3)
    app.write("good", "")
    with within(1 + NOISE) as took:
        for count in (10, 1, 0, 3):
            _scale(app, count)
        app.until_running("web.1", "web.2", "web.3")
    record_property("in a backoff: converged after", str(took))
    assert supervisor.stop() == 0


# Reload


@pytest.fixture
def running(app: App) -> App:
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1001\n")
    app.start("-m", "worker=2")
    app.until_running("web.1", "worker.1", "worker.2")
    return app


def _pids(app: App) -> dict[str, int | None]:
    return {name: each["pid"] for name, each in app.instances().items()}


def test_f39_with_one_line_changed_only_its_instances_restart(running: App, record_property: Record) -> None:
    before = running.instances()
    running.write("Procfile", "# a comment more\n\nworker: sleep 1001\nweb: sleep 2000\n")
    with within(NOISE) as took:
        said = running.ok("reload")
        after = running.until(lambda found: found["web.1"]["pid"] not in (None, before["web.1"]["pid"]))
    assert "~ restart  web.1  (its command changed)" in said
    for name in ("worker.1", "worker.2"):
        assert {**after[name], "uptime": 0} == {**before[name], "uptime": 0}
    # The lines changed places, but ports do not move while the supervisor runs.
    assert after["web.1"]["port"] == before["web.1"]["port"]
    record_property("one line changed", f"1 of 3 restarted, after {took}")


def test_f39_with_the_environment_changed_those_that_get_it_restart_and_the_value_is_not_told(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"web: {PROBE}\nworker: sleep 1000\n")
    app.write(".env", "A=old-value\nB=same\n")
    supervisor = app.start()
    assert supervisor.probe()["env"]["A"] == "old-value"
    before = app.until_running("web.1", "worker.1")
    app.write(".env", "# the same in another order\nB=same\nA=old-value\n")
    assert app.ok("reload").count("keep") == 2
    app.write(".env", "B=same\nA=new-value\n")
    with within(NOISE) as took:
        said = app.ok("reload")
        assert supervisor.probe(times=2)["env"]["A"] == "new-value"
    for name in ("web.1", "worker.1"):
        assert re.search(rf"~ restart +{re.escape(name)} +\(its environment changed: A\)", said)
    assert "value" not in said
    after = app.until_running("web.1", "worker.1")
    assert all(after[name]["pid"] != before[name]["pid"] for name in before)
    record_property("environment changed", f"2 of 2 that get it restarted, after {took}; order changed: 0")
    assert supervisor.stop() == 0


@pytest.mark.parametrize("arguments", [("reload",), ("reload", "--plan")])
@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("Procfile", "web: sleep 2000\nno colon here\n<<<<<<< HEAD\n", "Procfile:2:"),
        ("Procfile", "", "Procfile:1:1: error:"),
        (".env", "A=1\nB='never closed\n", ".env:2:"),
        (".env", "PORT=many\n", ".env:1"),
    ],
)
def test_f39_a_broken_file_changes_nothing(
    running: App, name: str, text: str, says: str, arguments: tuple[str, ...], record_property: Record
) -> None:
    before = _pids(running)
    running.write(name, text)
    done = running.run(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""
    assert _pids(running) == before
    assert running.ask("formation") == {"web": 1, "worker": 2}
    record_property("file broken", "0 of 3 restarted")


def test_f39_what_was_removed_stops_and_what_is_new_starts(running: App, record_property: Record) -> None:
    before = _pids(running)
    running.write("Procfile", "web: sleep 1000\nmailer: sleep 1000\nrelease: sleep 1000\n")
    with within(NOISE) as took:
        said = running.ok("reload")
        after = running.until_running("web.1", "mailer.1")
    assert "+ start    mailer.1  (mailer is new in Procfile)" in said
    assert "- stop     worker.2  (worker is not in Procfile any more)" in said
    assert after["web.1"]["pid"] == before["web.1"]
    assert not any(os.path.exists(f"/proc/{before[name]}") for name in ("worker.1", "worker.2"))
    assert running.ask("formation") == {"web": 1, "mailer": 1, "release": 0}
    assert len({each["port"] for each in after.values()}) == 2
    assert running.run("scale", "worker=1").returncode == 2
    record_property("entry removed", f"its 2 stopped, the other left alone, after {took}")


# Rolling restart

# Answers with its version, for as long as there is no `broken`: the next version cannot get up.
_SERVER = """\
import os, socket, sys
if os.path.exists("broken"):
    sys.exit("the new version does not get up")
with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))) as server:
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(b"hello")
"""


def three_free_ports() -> int:
    """The first of three in a row that nobody has, out of the kernel's own reach."""
    while True:
        first = random.randrange(20_000, 30_000)  # noqa: S311
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + 3):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


class Traffic:
    """Asks one server after the other, as a balancer does: who cannot be connected to is passed over."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answered = 0
        self.lost = 0

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        turn = 0
        while not self._over.wait(0.002):
            turn += 1
            turned = self._ports[turn % len(self._ports) :] + self._ports[: turn % len(self._ports)]
            if any(map(self._answers, turned)):
                self.answered += 1
            else:
                self.lost += 1

    def _answers(self, port: int) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                return client.recv(10) == b"hello"
        except OSError:
            return False


def test_f40_a_rolling_restart_whose_new_version_does_not_get_up_halts_and_the_rest_serves_on(
    app: App, record_property: Record
) -> None:
    app.write("server.py", _SERVER)
    app.write("Procfile", f"web: exec {sys.executable} -I server.py\n")
    supervisor = app.start("-m", "web=3", "-p", str(three_free_ports()))
    supervisor.wait_for(r"\| ready$", 3)
    before = app.until_running("web.1", "web.2", "web.3")
    with Traffic([each["port"] for each in before.values()]) as traffic:
        until(lambda: traffic.answered >= 10)
        app.write("broken", "")
        with within(NOISE) as took:
            done = app.run("restart", "--rolling")
        answered = traffic.answered
        until(lambda: traffic.answered >= answered + 50)
    assert done.returncode == 1
    assert "web.1 is backoff: exit 1" in done.stderr
    assert "restarted" not in done.stdout
    supervisor.wait_for(r"rolling restart halted: the new web\.1 did not stay up; 2 left as they were")
    after = app.instances()
    assert [after[name]["pid"] for name in ("web.2", "web.3")] == [before[name]["pid"] for name in ("web.2", "web.3")]
    assert traffic.lost == 0
    record_property("halted and told after", str(took))
    record_property("left as they were", "2 of 3")
    record_property("requests meanwhile", f"{traffic.answered} answered, 0 lost")
    Path(app.folder, "broken").unlink()
    supervisor.wait_for(r"web\.1 +\| ready$", 2)
    assert supervisor.stop() == 0
