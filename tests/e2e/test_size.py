"""`size`, `memory` and `cpu` in procsup.toml, where no control groups are ours: the memory is watched.

The looks come every five seconds, so the first three of these tests take longer than others, up to 20 s.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.app import App
from tests.faults.watching import Record, in_words

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="it asks for less than it forks")

# The first copies of an instance have too much; the later ones do not. It ends as it is asked to, and says so.
PROGRAM = """\
import os, signal, sys
def leave(*_):
    print("bye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
mark = f"greedy.{os.environ['PS']}"
greedy = sys.argv[1] == "always" or not os.path.exists(mark)
open(mark, "w").close()
held = bytearray((80 if greedy else 1) << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
print("ready", flush=True)
while True:
    signal.pause()
"""


def hog(word: str = "once") -> str:
    return f"exec {shlex.join([sys.executable, '-I', 'hog.py', word])}"


@pytest.fixture
def hogs(app: App) -> App:
    app.environment["PROCSUP_PORTABLE"] = "1"  # no control groups, wherever this runs
    app.write("hog.py", PROGRAM)
    return app


def test_a_type_over_its_memory_is_restarted_in_its_own_way_one_instance_at_a_time(
    hogs: App, record_property: Record
) -> None:
    hogs.write("Procfile", f"web: {hog()}\nsmall: exec sleep 1000\n")
    hogs.write("procsup.toml", '[processes.web]\nmemory = "60M"\ncount = 2\n[processes.small]\nmemory = "60M"\n')
    supervisor = hogs.start()
    begun = time.monotonic()
    for times in (3, 4):  # a look in which the second is not chosen too is followed by another, some seconds later
        supervisor.wait_for(r"web\.\d +\| ready", times)
    record_property("over their memory: two instances replaced, in turn, after", in_words(time.monotonic() - begun))
    text = supervisor.text
    turns = re.findall(r"(web\.\d) has ([\d.]+) MiB, the limit is 60 MiB; stopping it \(to give it more: ", text)
    assert sorted(name for name, _ in turns) == ["web.1", "web.2"]
    assert all(80 <= float(taken) < 120 for _, taken in turns)
    assert text.count("| bye") == 2, "they were not asked to stop"
    first, second = (name for name, _ in turns)
    assert text.rindex(f"{first} started") < text.index(f"{second} has "), "the second before the first was back"
    found = hogs.until_running("web.1", "web.2", "small.1")
    web, small = found[second], found["small.1"]
    assert re.fullmatch(r"restarted: [\d.]+ MiB, the limit is 60 MiB", web["why"])
    assert (web["restarts"], small["restarts"], small["why"]) == (1, 0, None)
    assert web["limits"] == {"memory": 60 << 20, "cpu": None, "enforced": []}
    supervisor.stop()


LEAK = """\
import signal, sys
held = bytearray()
def grow(*_):
    held.extend(b"x" * (80 << 20))
    print("grown", flush=True)
signal.signal(signal.SIGUSR1, grow)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_who_leaks_slowly_is_replaced_without_a_gap_where_a_surge_asks_for_that(app: App) -> None:
    app.environment["PROCSUP_PORTABLE"] = "1"
    app.write("leak.py", LEAK)
    app.write("Procfile", f"web: exec {shlex.join([sys.executable, '-I', 'leak.py'])}\n")
    app.write("procsup.toml", '[processes.web]\nmemory = "60M"\nsurge = 1\n')
    supervisor = app.start()
    supervisor.wait_for("ready")
    app.until(lambda found: found["web.1"]["uptime"] > 10.5)  # so long it is good, and has been seen to be
    os.kill(app.instances()["web.1"]["pid"], signal.SIGUSR1)
    supervisor.wait_for(r"web\.1 has [\d.]+ MiB, the limit is 60 MiB; restarting it")
    supervisor.wait_for("web.1 started", 2)
    text = supervisor.text
    assert text.index("web.2 started") < text.index("web.1 stopping") < text.rindex("web.1 started")
    found = app.until_running("web.1")["web.1"]
    assert found["restarts"] == 1
    assert found["why"].startswith("restarted: ")
    supervisor.stop()


def test_who_leaks_and_cannot_be_replaced_goes_on_for_a_time(app: App) -> None:
    app.environment["PROCSUP_PORTABLE"] = "1"
    app.write("leak.py", LEAK)
    app.write("Procfile", f"web: test ! -e broken && exec {shlex.join([sys.executable, '-I', 'leak.py'])}\n")
    app.write("procsup.toml", '[processes.web]\nmemory = "60M"\nsurge = 1\n')
    supervisor = app.start()
    supervisor.wait_for("ready")
    before = app.until(lambda found: found["web.1"]["uptime"] > 10.5)["web.1"]
    app.write("broken", "")
    os.kill(before["pid"], signal.SIGUSR1)
    supervisor.wait_for("rolling restart halted: ")
    since = app.instances()["web.1"]["uptime"]
    found = app.until(lambda found: found["web.1"]["uptime"] > since + 11)["web.1"]  # two more looks
    assert supervisor.text.count("rolling restart halted: ") == 1
    assert found["pid"] == before["pid"]
    assert found["restarts"] == 0
    supervisor.stop()


def test_other_limits_are_taken_over_by_a_reload_without_a_restart(hogs: App) -> None:
    hogs.write("Procfile", f"web: {hog('always')}\n")
    hogs.write("procsup.toml", 'memory = "500M"\n')
    supervisor = hogs.start()
    supervisor.wait_for("ready")
    hogs.until_running("web.1")
    hogs.write("procsup.toml", 'size = "tiny"\n[sizes]\ntiny = { memory = "60M", cpu = 0.5 }\n')
    plan = hogs.ok("reload", "--plan")
    change = r"its limits change: memory 500 MiB → memory 60 MiB, cpu 0\.5, at once"
    assert re.match(rf"  keep +web\.1 +\({change}\)", plan)
    hogs.ok("reload")
    supervisor.wait_for("warning: cpu of web is not limited: ")
    supervisor.wait_for("reloaded Procfile: 1 change$")
    assert hogs.instances()["web.1"]["limits"] == {"memory": 60 << 20, "cpu": 0.5, "enforced": []}
    ended = r"web\.1 ended: over its memory limit: [\d.]+ MiB, the limit is 60 MiB; "
    supervisor.wait_for(f"{ended}restarting")
    supervisor.wait_for("web.1 started", 2)
    assert supervisor.text.index("web.1 has ") < supervisor.text.rindex("web.1 started"), "the reload has restarted it"
    # Its start alone is too much: that is no reason to start it for ever at full speed.
    supervisor.wait_for(ended + r"next try in [\d.]+ s")
    supervisor.wait_for("ready", 3)
    found = hogs.until_running("web.1")["web.1"]
    assert found["restarts"] == 2
    assert re.fullmatch(r"restarted: [\d.]+ MiB, the limit is 60 MiB", found["why"])
    assert hogs.ok("reload").startswith("  keep")
    hogs.write("procsup.toml", "")
    hogs.ok("reload")
    assert hogs.instances()["web.1"]["limits"] is None
    supervisor.stop()


def test_check_tells_the_limits_and_where_they_come_from(app: App) -> None:
    app.write("Procfile", "web: sleep 1\nworker: sleep 1\nplain: sleep 1\n")
    app.write("procsup.toml", '[processes.web]\nsize = "S"\ncpu = 2\n[processes.worker]\nmemory = "1536M"\n')
    shown = app.ok("check", "--expand")
    assert "limits: memory 256 MiB, cpu 2 (size S, procsup.toml:2; cpu, procsup.toml:3)" in shown
    assert "limits: memory 1.5 GiB (memory, procsup.toml:5)" in shown
    assert shown.count("limits:") == 2
    app.write("procsup.toml", '[processes.web]\nsize = "Small"\n')
    refused = app.run("check")
    assert refused.returncode == 2
    assert 'procsup.toml:2:1: error: no size "Small"; there are: S, M, L' in refused.stderr
