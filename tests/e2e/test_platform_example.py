"""Workers that inherit the application's settings and override some: as definitions, and as a real application."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import services
from tests.e2e.app import PATIENCE, PROBE, App, Supervisor
from tests.faults.needs import needs

PLATFORM = Path(__file__).parents[2] / "examples" / "platform"
ORDERS = 40
LONG = 40.0  # for all of it, on a busy machine
INHERITED = """
grace = 7
stop = "INT, 3, TERM"
size = "M"
env = { TYPE = "worker", LEVEL = 3 }
relationships = ["rabbitmq"]
mounts = ["scratch"]
"""


def own_names(told: dict[str, Any], name: str) -> dict[str, Any]:
    """What a probe told, without what has to differ: whose it is, and when it was."""
    env = {key: value for key, value in told["env"].items() if key not in ("PORT", "PS", "PROCSUP_COOKIE")}
    differing = {key: env.pop(key) for key in ("PROCSUP_TYPE", "PROCSUP_UNIQUE_INT", "PROCSUP_MOUNT_SCRATCH")}
    assert differing["PROCSUP_TYPE"] == name
    assert f"/{name}/scratch" in differing["PROCSUP_MOUNT_SCRATCH"]
    rest = {key: value for key, value in told.items() if key not in ("pid", "session", "group", "env", "fds")}
    return {**rest, "env": env, "mount": Path(differing["PROCSUP_MOUNT_SCRATCH"])}


def test_a_worker_that_inherits_and_one_that_is_spelled_out_are_the_same(app: App) -> None:
    app.write("Procfile", f"inherits: {PROBE}\nspelled: {PROBE}\nother: {PROBE}\n")
    groups = '[relationships]\nmysql = ["DATABASE_URL", "MYSQL_*"]\nrabbitmq = ["AMQP_URL"]\n'
    others = '[processes.other]\nrelationships = ["mysql"]\nmounts = []\nenv = { TYPE = "web" }\nsize = "S"\n'
    app.environment |= {"DATABASE_URL": "d", "MYSQL_PWD": "p", "AMQP_URL": "a", "MINE": "m"}
    app.write(".env", "FROM_FILE=1\n")
    # At the top `relationships` is the table of the groups, so what a worker lists stands in its own table in any case.
    top = INHERITED.replace('relationships = ["rabbitmq"]\n', "")
    listed = 'relationships = ["rabbitmq"]\n'
    app.write(
        "procsup.toml", f"{top}\n{groups}\n[processes.inherits]\n{listed}[processes.spelled]\n{INHERITED}\n{others}"
    )
    supervisor = app.start()
    inherits = own_names(supervisor.probe("inherits.1"), "inherits")
    spelled = own_names(supervisor.probe("spelled.1"), "spelled")
    mounts = inherits.pop("mount"), spelled.pop("mount")
    assert inherits == spelled
    assert mounts[0] != mounts[1]
    assert all(each.is_dir() for each in mounts)
    seen = inherits["env"]
    assert (seen["TYPE"], seen["LEVEL"], seen["AMQP_URL"], seen["MINE"], seen["FROM_FILE"]) == (
        "worker",
        "3",
        "a",
        "m",
        "1",
    )
    assert not {"DATABASE_URL", "MYSQL_PWD"} & seen.keys()
    other = supervisor.probe("other.1")["env"]
    assert (other["TYPE"], other["DATABASE_URL"], other["MYSQL_PWD"]) == ("web", "d", "p")
    assert "AMQP_URL" not in other
    assert "PROCSUP_MOUNT_SCRATCH" not in other
    limits = re.findall(r"limits: (memory \d+ MiB, cpu [\d.]+)", app.ok("check", "--expand"))
    assert limits == ["memory 512 MiB, cpu 1"] * 2 + ["memory 256 MiB, cpu 0.5"]
    supervisor.stop()


# The application


def missing() -> str:
    modules = [name for name in ("gunicorn", "pika", "psycopg") if importlib.util.find_spec(name) is None]
    programs = {
        "rabbitmq-server": services.rabbitmq_program() and shutil.which("epmd"),
        "postgresql": services.postgres_folder(),
    }
    return ", ".join([*modules, *(name for name, found in programs.items() if not found)])


class Front:
    """The example's web page."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, path: str = "/", method: str = "GET") -> Any:
        """None while nobody answers, or the services are not there."""
        request = urllib.request.Request(self._url + path, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                return json.loads(answer.read())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None


def until(ask: Callable[[], Any], what: str, supervisor: Supervisor) -> Any:
    """Ask until the answer is true."""
    end = time.monotonic() + LONG
    while not (answer := ask()):
        assert time.monotonic() < end, f"not within {LONG} s: {what}; procsup said:\n{supervisor.text}"
        time.sleep(0.02)  # the pause between two questions; what counts is the answer
    return answer


def environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


@needs(not missing(), f"not installed: {missing()} (python3 tests brings the Python packages, the services are yours)")
@needs(os.path.isdir("/proc/self"), "looks into /proc")
@pytest.mark.timeout(300)
def test_the_platforms_application_runs_with_a_real_rabbitmq_and_a_real_database(app: App, tmp_path: Path) -> None:
    shutil.copytree(PLATFORM, app.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (app.folder / ".env").chmod(0o600)
    app.environment |= {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    with ExitStack() as stack:
        app.environment["DATABASE_URL"] = stack.enter_context(services.postgres())
        app.environment["AMQP_URL"] = stack.enter_context(services.rabbitmq())
        port = services.free_port()
        supervisor = app.start("-p", str(port), "-m", "queue=2")
        _use(app, supervisor, Front(port))
        assert supervisor.stop() == 0
        assert "0 killed, 0 left" in supervisor.text
        assert len(re.findall(r"(?:queue|mail)\.\d +\| bye$", supervisor.text, re.MULTILINE)) == 3


def _consumers(url: str) -> int:
    """How many wait for orders; they say so just before."""
    import pika

    with pika.BlockingConnection(pika.URLParameters(url)) as broker:
        return int(broker.channel().queue_declare("orders", passive=True).method.consumer_count)


def _use(app: App, supervisor: Supervisor, front: Front) -> None:
    until(lambda: front.ask() == {"done": 0}, "the page answers", supervisor)
    supervisor.wait_for(r"queue\.[12] +\| TYPE is worker, waiting for orders", 2)
    supervisor.wait_for(r"mail\.1 +\| waiting for mails")
    until(lambda: _consumers(app.environment["AMQP_URL"]) == 2, "both wait for orders", supervisor)

    taken = front.ask(f"/orders?count={ORDERS}&to=ada", "POST")
    assert taken == {"taken": list(range(1, ORDERS + 1))}
    until(lambda: front.ask() == {"done": ORDERS}, "all posters are in the database", supervisor)
    supervisor.wait_for(r"mail\.1 +\| mail to ada: your poster \d+ is ready", ORDERS)
    told = re.findall(r"mail\.1 +\| mail to ada: your poster (\d+) is ready", supervisor.text)
    assert sorted(map(int, told)) == taken["taken"]
    supervisor.wait_for(r"queue\.\d +\| drew poster", ORDERS)  # which is said after the mail has gone
    drawn = re.findall(r"(queue\.\d) +\| drew poster", supervisor.text)
    assert len(drawn) == ORDERS
    assert set(drawn) == {"queue.1", "queue.2"}

    found = app.instances()
    seen = {each["type"]: environment_of(each["pid"]) for each in found.values()}
    of_the_database = {"DATABASE_URL", "DATABASE_SCHEMA"}
    assert seen["web"].keys() >= {*of_the_database, "AMQP_URL"}
    assert seen["queue"].keys() >= {*of_the_database, "AMQP_URL"}
    assert "AMQP_URL" in seen["mail"]
    assert not of_the_database & seen["mail"].keys()
    assert app.environment["DATABASE_URL"] not in seen["mail"].values()
    assert {name: env["TYPE"] for name, env in seen.items()} == {"web": "web", "queue": "worker", "mail": "web"}

    folders = {name: env.get("PROCSUP_MOUNT_SCRATCH") for name, env in seen.items()}
    listed = {each["type"]: each["path"] for each in json.loads(app.ok("mounts", "--json"))["mounts"]}
    assert listed == {"queue": folders["queue"], "web": folders["web"]}
    assert folders["mail"] is None
    assert os.listdir(str(folders["queue"])) == ["used-by"]
    limits = re.findall(r"limits: (memory \d+ MiB)", app.ok("check", "--expand"))
    assert limits == ["memory 256 MiB", "memory 512 MiB", "memory 256 MiB"]
    assert {each["restarts"] for each in found.values()} == {0}
