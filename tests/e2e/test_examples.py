"""The examples do what they promise; among them a real application: gunicorn, and rq on a real Redis server."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.app import PATIENCE, App, Supervisor, alive
from tests.e2e.services import free_port
from tests.faults.needs import needs

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "shop"
ORDERS = 200
LONG = 90.0  # 200 jobs, each with a fork of its own, take their time on a busy machine


def fetch(url: str, method: str = "GET") -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=PATIENCE) as answer:  # noqa: S310
        return answer.read()


def until(ask: Callable[[], Any], what: str, supervisor: Supervisor) -> Any:
    """Ask until the answer is true."""
    end = time.monotonic() + LONG
    while not (answer := ask()):
        assert time.monotonic() < end, f"not within {LONG} s: {what}; procsup said:\n{supervisor.text}"
        time.sleep(0.02)  # the pause between two questions; what counts is the answer
    return answer


def test_the_example_of_the_readme_greets_works_and_comes_back(app: App) -> None:
    port = free_port()
    supervisor = app.start("-f", str(ROOT / "Procfile.example"), "-p", str(port))
    supervisor.wait_for(r"web\.1 +\| open http://")
    assert fetch(f"http://127.0.0.1:{port}/") == b"Hello from web.1\n"
    supervisor.wait_for(r"worker\.1 +\| worker number 2 is ready")  # web.1 has 1
    supervisor.wait_for(r"flaky\.1 +\| RuntimeError: one of those days")
    supervisor.wait_for(r"flaky\.1 ended: exit 1 after .* s; restarting")
    supervisor.wait_for(r"flaky\.1 +\| all is well", 2)
    assert supervisor.stop() == 0
    assert "got SIGTERM, bye" in supervisor.text
    assert re.search(r"\d stopped, 0 killed, 0 left", supervisor.text)


# --- the shop ---


def missing_for_the_shop() -> str:
    modules = [name for name in ("gunicorn", "rq") if importlib.util.find_spec(name) is None]
    programs = [] if shutil.which("redis-server") else ["redis-server"]
    return ", ".join(modules + programs)


needs_the_shop = needs(
    not missing_for_the_shop(),
    f"not installed: {missing_for_the_shop()} (python3 tests brings the Python packages, redis-server is yours)",
)


@pytest.fixture
def shop(app: App, tmp_path: Path) -> App:
    """A copy of the shop, with the programs of this virtual environment first on the PATH."""
    shutil.copytree(SHOP, app.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (app.folder / ".env").chmod(0o600)
    home = tmp_path / "home"
    home.mkdir()
    programs = os.path.dirname(sys.executable)
    app.environment |= {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(home), "SECONDS_PER_ORDER": "0.05"}
    return app


@pytest.fixture
def redis_url(tmp_path: Path, nothing_left_behind: None) -> Iterator[str]:
    """A Redis server of our own, on loopback, with nothing on disk."""
    with ExitStack() as stack:
        yield f"redis://127.0.0.1:{_start_redis(stack, tmp_path)}/0"


def _start_redis(stack: ExitStack, folder: Path) -> int:
    said = b""
    for _ in range(3):  # between our choosing a free port and its taking it, somebody else may
        port = free_port()
        arguments = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
        server = stack.enter_context(subprocess.Popen(["redis-server", *arguments], stdout=subprocess.PIPE))
        stack.callback(server.kill)
        assert server.stdout is not None
        for line in server.stdout:
            said += line
            if b"eady to accept connections" in line:
                return port
    raise AssertionError(f"redis-server did not start:\n{said.decode(errors='replace')}")


class Desk:
    """Looks at the shop from outside: through its web page, and into its Redis."""

    def __init__(self, redis_url: str, port: int) -> None:
        from redis import Redis
        from rq import Queue

        self.redis = Redis.from_url(redis_url)
        self.queue = Queue("orders", connection=self.redis)
        self.page = f"http://127.0.0.1:{port}"

    def take(self, count: int) -> None:
        fetch(f"{self.page}/orders?count={count}", "POST")

    def counts(self) -> dict[str, int] | None:
        try:
            return json.loads(fetch(self.page))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None  # gunicorn is not up yet

    def shipped(self) -> int:
        return int(self.redis.scard("shop:shipped"))

    def is_quiet(self) -> bool:
        """Nothing waits, and nobody works: who holds a job still is dead."""
        from rq import Worker

        workers = [each for each in Worker.all(queue=self.queue) if each.pid and alive(each.pid)]
        return not self.queue.count and all(each.get_state() != "busy" for each in workers)

    def let_two_minutes_pass(self) -> None:
        """What rq's own maintenance does when the jobs of a worker that died are overdue: try them again."""
        from rq import Worker
        from rq.intermediate_queue import IntermediateQueue

        self.queue.started_job_registry.cleanup(timestamp=time.time() + 120)
        between = IntermediateQueue(self.queue.key, self.redis)
        for job in between.get_job_ids():
            self.redis.set(between.get_first_seen_key(job), 1)
        between.cleanup(Worker([self.queue], connection=self.redis), self.queue)

    def close(self) -> None:
        self.redis.close()


def busy_worker(instances: dict[str, dict[str, Any]]) -> tuple[str, int, int] | None:
    """A worker with a job in hand: its name, its pid, and the pid of the process that it forked for the job.

    That process is stopped when this returns, so that the job cannot be over before the worker dies.
    """
    parents = {each["pid"]: each["name"] for each in instances.values() if each["type"] == "worker" and each["pid"]}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        with suppress(OSError, ValueError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            parent, group = int(fields[1]), int(fields[2])
            if parent in parents and group == pid:  # a group of its own: past the first steps of a fork
                os.kill(pid, signal.SIGSTOP)
                return parents[parent], parent, pid
    return None


@needs_the_shop
@pytest.mark.timeout(400)
def test_200_orders_are_shipped_while_a_worker_is_killed_and_the_formation_changes(shop: App, redis_url: str) -> None:
    port = free_port()
    shop.environment["REDIS_URL"] = redis_url
    desk = Desk(redis_url, port)
    supervisor = shop.start("-p", str(port), "-m", "worker=3")
    until(desk.counts, "the web page answers", supervisor)
    desk.take(ORDERS)
    until(lambda: desk.shipped() >= 10, "the first ten are shipped", supervisor)

    name, worker, horse = until(lambda: busy_worker(shop.instances()), "a worker has a job in hand", supervisor)
    os.kill(worker, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(horse, signal.SIGKILL)  # a machine that runs out of memory kills it, too
    shop.until(lambda instances: instances[name]["pid"] not in (worker, None))
    assert shop.instances()[name]["restarts"] == 1
    supervisor.wait_for(rf"{re.escape(name)} ended: killed by SIGKILL after .*; restarting")

    shipped = desk.shipped()
    assert shipped < ORDERS
    assert "starting worker.4, worker.5, worker.6" in shop.ok("scale", "worker=6")
    until(lambda: desk.shipped() >= min(shipped + 40, ORDERS - 20), "six workers go on", supervisor)
    assert "stopped worker.3, worker.4, worker.5, worker.6" in shop.ok("scale", "worker=2", "--wait")
    assert [each for each in shop.instances() if each.startswith("worker")] == ["worker.1", "worker.2"]

    def all_shipped() -> bool:
        if desk.shipped() < ORDERS and desk.is_quiet():
            desk.let_two_minutes_pass()
        return desk.shipped() == ORDERS

    until(all_shipped, "all are shipped", supervisor)
    # One that was taken for lost a moment too early is done twice, and may still wait.
    wanted = {"taken": ORDERS, "waiting": 0, "shipped": ORDERS}
    until(lambda: desk.counts() == wanted, "nothing waits any more", supervisor)
    attempts = [int(times) for times in desk.redis.hvals("shop:attempts")]
    assert len(attempts) == ORDERS
    assert sum(attempts) <= ORDERS + 10, "more was done twice than was in the hands of those who ended"
    desk.close()
    assert supervisor.stop() == 0
    assert not alive(worker)
    assert "0 killed, 0 left" in supervisor.text


@needs_the_shop
def test_the_shop_in_development_brings_its_own_redis(shop: App) -> None:
    port = free_port()
    supervisor = shop.start("-E", "development", "-p", str(port))
    desk = Desk(f"redis://127.0.0.1:{port + 200}/0", port)
    until(desk.counts, "the web page answers", supervisor)
    desk.take(5)
    until(lambda: desk.shipped() == 5, "five are shipped", supervisor)
    desk.close()
    assert supervisor.stop() == 0
    assert not (shop.folder / "dump.rdb").exists()
