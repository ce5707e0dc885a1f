"""The supervisor becomes another version again and again, while everybody writes, dies and asks."""

from __future__ import annotations

import re
import sys
import threading
import time

import pytest

from tests.e2e.app import App, alive
from tests.faults.watching import NOISE, Record, in_words, until, zombies

IN_A_ROW = 50
# So long a command may wait for the gap to be over.
BOUND = 1.0

COUNTS = """\
import os, time
number = 0
while True:
    lines = b"".join(b"%d\\n" % n for n in range(number, number + 40))
    number += 40
    os.write(1, lines[:-20])  # most of the time a line is not finished yet
    time.sleep(0.002)
    os.write(1, lines[-20:])
    time.sleep(0.006)
"""
DIES = "sh -c 'echo born $$; sleep 0.0$(( $$ % 7 + 3 )); echo dead $$; exit 3'"


class Asking:
    """Somebody who scales up and down all the time, and notes how long the longest answer took."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.asked = 0
        self.longest = 0.0
        self.trouble: list[Exception] = []

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                change = {"type": "idle", "count": self.asked % 3, "relative": False}
                self._app.ask("scale", changes=[change], wait=False)
                if self.asked % 20 == 0:
                    self._app.ask("start", names=["dies"])  # who backs off need not
            except Exception as error:
                self.trouble.append(error)
            self.longest = max(self.longest, time.monotonic() - begun)
            self.asked += 1
            self._over.wait(0.01)


@pytest.mark.timeout(300)
def test_f48_upgraded_fifty_times_in_a_row_under_load(app: App, record_property: Record) -> None:
    app.write("counts.py", COUNTS)
    app.write("Procfile", f"count: {sys.executable} -S counts.py\ndies: {DIES}\nidle: sleep 1000\nstays: sleep 1000\n")
    app.write("procsup.toml", "[processes.count]\nquiet = true\n")
    supervisor = app.start("-m", "count=4,dies=4,stays=20", "--log-dir", "log")
    before = app.until(
        lambda found: all(each["state"] == "running" for each in found.values() if each["type"] != "dies")
    )
    stay = {name: each["pid"] for name, each in before.items() if each["type"] in ("count", "stays")}
    longest = 0.0
    with Asking(app) as asking:
        for number in range(1, IN_A_ROW + 1):
            begun = time.monotonic()
            app.ask("upgrade", python=None)
            longest = max(longest, time.monotonic() - begun)
            assert app.ask("info")["upgrades"] == number
    assert asking.trouble == []
    assert asking.asked > IN_A_ROW
    assert asking.longest <= BOUND + NOISE
    found = app.instances()
    assert {name: found[name]["pid"] for name in stay} == stay
    _no_exit_is_missed(app, supervisor.pid)
    app.ok("stop", "dies")
    assert supervisor.stop() == 0
    text = supervisor.text
    started = re.findall(r"dies\.\d+ started, pid (\d+)$", text, re.MULTILINE)
    ended = re.findall(r"dies\.\d+ ended: exit 3", text)
    assert len(started) > 4 * 3
    assert len(ended) >= len(started) - 4
    said = re.findall(r"\| born (\d+)$", text, re.MULTILINE)
    assert len(set(said)) == len(said)  # each copy is told once, and so is what it says
    assert set(said) <= set(started)
    assert len(started) - len(said) <= len(re.findall(r"dies\.\d+ stopping", text))  # perhaps before it said anything
    lines = 0
    for number in range(1, 5):
        *whole, _ = (app.folder / "log" / f"count.{number}.log").read_text().split("\n")
        assert whole == [str(each) for each in range(len(whole))]
        lines += len(whole)
    assert "Traceback" not in text
    record_property("upgrades in a row, with 24 instances kept", IN_A_ROW)
    record_property("lines written meanwhile, none lost", lines)
    record_property("orders meanwhile", asking.asked)
    record_property("longest answer to an order", in_words(asking.longest))
    record_property("longest upgrade, its trial included", in_words(longest))


def _no_exit_is_missed(app: App, pid: int) -> None:
    """Whoever is said to run does, and nobody who has ended was forgotten."""

    def right() -> bool:
        running = [each["pid"] for each in app.instances().values() if each["state"] == "running"]
        return all(map(alive, running)) and not zombies(pid)

    until(right)


def test_f48_who_backs_off_dies_and_stops_in_an_upgrade_goes_on_with_it(app: App, record_property: Record) -> None:
    app.write(
        "Procfile", "fails: sh -c 'exit 3'\n" """deaf: sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done'\n"""
    )
    supervisor = app.start("--grace", "3")
    supervisor.wait_for("ready")
    app.until(lambda found: found["fails.1"]["restarts"] == 2)  # and now it waits for 2 s
    app.ask("scale", changes=[{"type": "deaf", "count": 0, "relative": False}], wait=False)
    begun = time.monotonic()
    for _ in range(2):
        app.ok("upgrade")
    app.until(lambda found: "deaf.1" not in found and found["fails.1"]["restarts"] == 3)
    supervisor.wait_for(r"deaf\.1 killed after [3-7]")
    assert time.monotonic() - begun <= 3 + NOISE
    record_property("SIGKILL and the next try at their time, over two upgrades", "yes")
    assert supervisor.stop() == 0
