"""A rolling restart where procsup can see whether the new version is ready."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.e2e.app import App, Supervisor
from tests.faults.test_changing import Traffic, three_free_ports
from tests.faults.watching import NOISE, Record, until, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

BOOT = 1.2  # seconds that a new version needs; longer than procsup waits where it cannot see whether one is ready
# The time to boot is what this is about: nobody waits for it but the balancer. With `hangs` there it never comes to it.
_SERVER = f"""\
import os, socket, time
print("booting", flush=True)
time.sleep({BOOT} if os.path.exists("slow") else 0)
while os.path.exists("hangs"):
    time.sleep(0.01)
with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))) as server:
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(b"hello")
"""


def _start(app: App, count: int, timeout: float) -> tuple[Supervisor, dict[str, int], list[int]]:
    """The supervisor, and the pids and ports of its instances."""
    app.write("server.py", _SERVER)
    app.write("Procfile", f"web: exec {sys.executable} -I server.py\n")
    app.write("procsup.toml", f'[processes.web]\nready = "port"\nready_timeout = {timeout}\n')
    supervisor = app.start("-m", f"web={count}", "-p", str(three_free_ports()))
    found = app.until_running(*(f"web.{number + 1}" for number in range(count)))
    return supervisor, {name: each["pid"] for name, each in found.items()}, [each["port"] for each in found.values()]


def test_f40_a_new_version_that_is_never_ready_halts_a_rolling_restart_and_the_rest_serves_on(
    app: App, record_property: Record
) -> None:
    supervisor, before, ports = _start(app, 3, timeout=1.0)
    with Traffic(ports) as traffic:
        until(lambda: traffic.answered >= 10)
        app.write("hangs", "")
        with within(1.0 + NOISE) as took:
            done = app.run("restart", "--rolling")
        answered = traffic.answered
        until(lambda: traffic.answered >= answered + 50)
    assert done.returncode == 1
    assert "web.1 is stopping: not ready in time" in done.stderr or "web.1 is starting" in done.stderr
    assert "web.1 | booting" in done.stderr
    assert "restarted" not in done.stdout
    supervisor.wait_for(r"web\.1 is not ready after 1(\.\d)? s \(nothing listens on port \d+\); stopping it")
    supervisor.wait_for(r"rolling restart halted: the new web\.1 is not ready in time; 2 left as they were")
    after = app.instances()
    assert all(after[name]["pid"] == before[name] and after[name]["ready"] for name in ("web.2", "web.3"))
    assert traffic.lost == 0
    record_property("never ready: halted and told after", f"{took}, of which 1 s is its ready_timeout")
    record_property("never ready: left as they were", "2 of 3")
    record_property("never ready: requests meanwhile", f"{traffic.answered} answered, 0 lost")
    Path(app.folder, "hangs").unlink()
    app.until_running("web.1", "web.2", "web.3")
    assert supervisor.stop() == 0


def test_f40_a_rolling_restart_waits_until_a_slow_new_version_is_ready(app: App, record_property: Record) -> None:
    supervisor, before, ports = _start(app, 2, timeout=30.0)
    app.write("slow", "")
    with Traffic(ports) as traffic:
        until(lambda: traffic.answered >= 10)
        with within(2 * BOOT + NOISE) as took:
            assert app.ok("restart", "--rolling") == "restarted web.1, web.2\n"
        answered = traffic.answered
        until(lambda: traffic.answered >= answered + 10)
    after = app.instances()
    assert all(after[name]["pid"] != before[name] and after[name]["ready"] for name in before)
    assert traffic.lost == 0
    record_property("slow to boot: 2 of 2 replaced after", f"{took}, of which {2 * BOOT:.1f} s are theirs")
    record_property("slow to boot: requests meanwhile", f"{traffic.answered} answered, 0 lost")
    assert supervisor.stop() == 0
