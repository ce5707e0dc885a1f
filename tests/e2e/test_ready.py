"""`ready` and `live` of procsup.toml, and `procsup wait`: what is not ready is not called running."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.app import App, Supervisor
from tests.e2e.refusal import refused
from tests.e2e.services import free_port
from tests.faults.watching import until

SLOW = shlex.join([sys.executable, "-I", str(Path(__file__).with_name("slow.py"))])
BOOTING = r"\| booting$"
linux = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")


def slow(app: App, kind: str, settings: str, *arguments: str) -> Supervisor:
    app.write("Procfile", f"web: exec {SLOW} {kind}\n")
    app.write("procsup.toml", settings)
    return app.start("-p", str(free_port()), *arguments)


def answer(app: App, status: str) -> None:
    """With this from now on; all at once, for an empty file means that there is no answer."""
    app.write("answer.new", status).rename(app.folder / "answer")


@contextmanager
def somebody_listens(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


WAYS = [
    pytest.param("port", 'ready = "port"', "nothing listens on port", id="port"),
    pytest.param("grandchild", 'ready = "port"', "nothing listens on port", id="port of a grandchild", marks=linux),
    pytest.param("http", 'ready = "http /healthz"', "GET /healthz on port", id="http"),
    pytest.param("log", "ready = 'log ^the server is \\w+$'", "no line of its output matches", id="log"),
    pytest.param("notify", 'ready = "notify"', "loading", id="notify", marks=linux),
]


@pytest.mark.parametrize(("kind", "settings", "why"), WAYS)
def test_it_is_starting_until_it_is_ready(app: App, kind: str, settings: str, why: str) -> None:
    supervisor = slow(app, kind, settings)
    supervisor.wait_for(BOOTING)
    waiting = app.until(lambda found: why in (found["web.1"]["why"] or ""))["web.1"]
    assert (waiting["state"], waiting["ready"]) == ("starting", False)
    assert waiting["pid"] is not None
    assert "given up in" in waiting["why"]
    app.write("go", "")
    ready = app.until_running("web.1")["web.1"]
    assert ready["ready"] is True
    assert ready["pid"] == waiting["pid"]
    assert ready["restarts"] == 0
    supervisor.wait_for(r"web\.1 is ready after")
    assert supervisor.stop() == 0


def test_what_nobody_checks_is_neither_ready_nor_unready(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.start()
    assert app.until_running("web.1")["web.1"]["ready"] is None


@linux
def test_a_stranger_on_its_port_does_not_make_it_ready(app: App) -> None:
    port = free_port()
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", 'ready = "port"\n')
    with somebody_listens(port):
        app.start("-p", str(port))
        app.until(lambda found: "none of its own processes" in (found["web.1"]["why"] or ""))


def test_who_is_not_ready_in_time_has_failed_and_is_tried_again(app: App) -> None:
    supervisor = slow(app, "port", 'ready = "port"\nready_timeout = 0.3\n')
    supervisor.wait_for(r"web\.1 is not ready after [\d.]+ s \(nothing listens on port \d+\); stopping it")
    supervisor.wait_for(r"web\.1 ended: not ready in time; restarting")
    supervisor.wait_for(r"web\.1 ended: not ready in time; next try in")
    waits = app.until(lambda found: found["web.1"]["state"] == "backoff")["web.1"]
    assert waits["last_exit"]["error"] == "not ready in time"
    assert "nothing listens on port" in waits["why"]
    app.write("procsup.toml", 'ready = "port"\n')  # now it has all the time that it needs
    app.ok("reload")
    app.write("go", "")
    assert app.until_running("web.1")["web.1"]["restarts"] >= 2
    assert supervisor.stop() == 0


@pytest.mark.parametrize("status", ["404", "500", ""])  # the last one takes as long as an answer may: 5 s
def test_only_2xx_and_3xx_are_an_answer(app: App, status: str) -> None:
    app.write("answer", status)
    app.write("go", "")
    slow(app, "http", 'ready = "http /healthz"')
    shown = f": {status};" if status else "no answer within"
    app.until(lambda found: shown in (found["web.1"]["why"] or ""))
    answer(app, "302")
    app.until_running("web.1")


def test_a_reload_can_bring_a_check_and_take_it_away(app: App) -> None:
    supervisor = slow(app, "port", 'ready = "port"')
    supervisor.wait_for(BOOTING)
    app.write("procsup.toml", "")
    app.ok("reload")
    pid = app.until_running("web.1")["web.1"]["pid"]
    app.write("procsup.toml", 'ready = "port"\n')
    app.ok("reload")
    assert app.instances()["web.1"]["pid"] == pid
    assert app.instances()["web.1"]["state"] == "running", "only its next copy has to show it"


# Commands


def test_start_and_restart_return_when_it_is_ready(app: App) -> None:
    app.write("go", "")
    supervisor = slow(app, "port", 'ready = "port"')
    app.until_running("web.1")
    assert app.ok("restart", "web") == "restarted web.1\n"
    assert app.instances()["web.1"]["ready"] is True
    (app.folder / "go").unlink()
    app.write("procsup.toml", 'ready = "port"\nready_timeout = 0.3\n')
    app.ok("reload")
    said = refused(app.run("restart", "web"), 1)
    assert "web.1 is starting: not ready yet: nothing listens on port" in said  # as of the copy before it
    assert supervisor.stop() == 0


def test_start_in_the_background_waits_until_it_is_ready(app: App) -> None:
    app.write("Procfile", f"web: exec {SLOW} port\n")
    app.write("procsup.toml", 'ready = "port"\nready_timeout = 0.3\n')
    said = refused(app.run("start", "--detach", "-p", str(free_port())), 1)
    assert "web.1: not ready in time" in said
    app.ok("shutdown")
    app.write("procsup.toml", 'ready = "port"\n')  # now it has all the time that it needs
    app.write("go", "")
    app.ok("start", "--detach", "-p", str(free_port()))
    assert app.instances()["web.1"]["ready"] is True
    app.ok("shutdown")


def test_a_rolling_restart_halts_at_who_is_not_ready_in_time_and_shows_its_last_lines(app: App) -> None:
    app.write("go", "")
    supervisor = slow(app, "port", 'ready = "port"\n', "-m", "web=2")
    before = app.until_running("web.1", "web.2")
    (app.folder / "go").unlink()
    app.write("procsup.toml", 'ready = "port"\nready_timeout = 0.5\n')
    app.ok("reload")
    done = app.run("restart", "--rolling")
    assert done.returncode == 1
    assert "web.1 | booting" in done.stderr
    assert "not ready in time" in done.stderr
    supervisor.wait_for(r"rolling restart halted: the new web\.1 is not ready in time; 1 left as it was")
    assert app.instances()["web.2"]["pid"] == before["web.2"]["pid"]
    app.write("procsup.toml", 'ready = "port"\n')
    app.ok("reload")
    app.write("go", "")
    app.until_running("web.1", "web.2")
    assert app.ok("restart", "--rolling") == "restarted web.1, web.2\n"


# wait


def test_wait_returns_when_all_run_or_are_ready(app: App) -> None:
    supervisor = slow(app, "port", 'ready = "port"')
    supervisor.wait_for(BOOTING)
    assert app.ok("wait") == "running: web.1\n"
    app.write("go", "")
    assert app.ok("wait", "--ready") == "ready: web.1\n"
    assert app.ok("wait", "web", "--ready", "--timeout", "5") == "ready: web.1\n"
    assert app.ok("wait", "web.1", "--ready", "--timeout", "0") == "ready: web.1\n"


def test_wait_shows_the_last_lines_of_who_is_not_ready_in_time(app: App) -> None:
    slow(app, "port", 'ready = "port"').wait_for(BOOTING)
    done = app.run("wait", "--ready", "--timeout", "0.1")
    assert done.returncode == 1
    assert "web.1 is starting: not ready yet: nothing listens on port" in done.stderr
    assert "  web.1 | booting\n" in done.stderr
    assert "procsup logs web.1" in done.stderr


def test_wait_gives_up_at_once_where_nothing_can_come_of_it(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\njob: printf '\\033[31mno luck\\n'; exit 3\n")
    app.write("procsup.toml", "[processes.job]\nmax_restarts = 0\n")
    app.start()
    app.until(lambda found: found["job.1"]["state"] == "failed")
    done = app.run("wait", "--ready")
    assert done.returncode == 1
    assert "job.1 is failed: exit 3" in done.stderr
    assert "  job.1 | no luck\n" in done.stderr
    assert app.ok("wait", "web", "--ready") == "ready: web.1\n"
    app.ok("stop", "web")
    assert "stopped by request" in app.run("wait", "web").stderr


def test_wait_gives_up_at_once_on_what_has_ended_well_and_is_no_one_shot(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\njob: true\n")
    app.write("procsup.toml", '[processes.job]\nrestart = "never"\n')
    app.start()
    app.until(lambda found: found["job.1"]["state"] == "exited")
    done = app.run("wait", "job", "--ready", "--timeout", "1000")
    assert done.returncode == 1
    assert "job.1 is exited: exit 0; its restart policy leaves it so" in done.stderr


def test_the_last_lines_of_what_failed_are_whole_though_they_were_said_in_pieces(app: App) -> None:
    parts = ("printf half", "half"), ("echo oh >&2", "oh"), ("echo ' done'", "half done")
    app.write(
        "web", "".join(f"{say}\nuntil test -e '{seen}'; do sleep 0.01; done\n" for say, seen in parts) + "exit 3\n"
    )
    app.write("Procfile", "web: sh web\nother: sleep 1000\n")
    app.write("procsup.toml", "max_restarts = 0\n")
    app.start()
    for _, seen in parts:
        until(lambda seen=seen: seen in app.run("logs", "web", "--no-prefix").stdout.splitlines())
        app.write(seen, "")
    app.until(lambda found: found["web.1"]["state"] == "failed")
    done = app.run("wait", "web")
    assert done.returncode == 1
    assert [line.partition("| ")[2] for line in done.stderr.splitlines() if "| " in line] == ["oh", "half done"]


def test_who_waits_while_procsup_is_being_stopped_is_not_told_to_start_anything(app: App) -> None:
    app.write("Procfile", "first: trap '' TERM; echo up; while :; do sleep 0.01; done\nweb: sleep 1000\n")
    app.write("procsup.toml", "[processes.web]\ndepends_on = ['first']\n[processes.first]\nready = 'log never'\n")
    supervisor = app.start("--grace", "600")
    supervisor.wait_for(r"first\.1 +\| up$")
    supervisor.send(signal.SIGTERM)
    supervisor.wait_for("first.1 stopping")
    done = app.run("wait", "web", "--ready")
    assert done.returncode == 1
    assert "web.1 is stopped: procsup itself is being stopped" in done.stderr
    assert supervisor.stop() == 0


def test_wait_for_a_one_shot_is_until_it_is_done(app: App) -> None:
    app.write("Procfile", "setup: while ! test -e go; do sleep 0.01; done\nweb: sleep 1000\n")
    app.write("procsup.toml", "[processes.setup]\none_shot = true\n")
    app.start()
    app.until_running("setup.1", "web.1")
    assert app.ok("wait") == "running: setup.1, web.1\n"
    done = app.run("wait", "--ready", "--timeout", "0")
    assert done.returncode == 1
    assert "setup.1 is running: not done yet" in done.stderr
    app.write("go", "")
    assert app.ok("wait", "--ready") == "ready: setup.1, web.1\n"


def test_wait_says_what_is_wrong_with_the_question(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nother: sleep 1000\n")
    assert "procsup start" in refused(app.run("wait", "--ready"), 3)
    app.start("-m", "other=0")
    app.until_running("web.1")
    assert 'did you mean "web"?' in refused(app.run("wait", "wbe"), 2)
    assert "other has no instance" in refused(app.run("wait", "other"), 1)
    refused(app.run("wait", "--timeout", "nan"), 2)


# live


def test_who_answers_no_more_is_restarted_in_its_way(app: App) -> None:
    app.write("go", "")
    supervisor = slow(app, "http", 'ready = "http /up"\nlive = "http /healthz"\nlive_interval = 0.02\n')
    before = app.until_running("web.1")["web.1"]
    supervisor.wait_for(r"web\.1 +\| asked for GET /healthz HTTP/1\.1: 200$", 5)
    answer(app, "503")
    supervisor.wait_for(r"web\.1 is not answering any more \(GET /healthz on port \d+: 503\); stopping it")
    answer(app, "204")
    after = app.until(lambda found: found["web.1"]["state"] == "running" and found["web.1"]["pid"] != before["pid"])
    assert after["web.1"]["last_exit"]["error"] == "not answering any more"
    assert supervisor.stop() == 0


def test_a_reload_can_bring_it_to_those_that_run(app: App) -> None:
    app.write("go", "")
    supervisor = slow(app, "http", "")
    app.until_running("web.1")
    app.write("procsup.toml", 'live = "http /healthz"\n')
    app.ok("reload")
    supervisor.wait_for("asked for GET /healthz")
    assert supervisor.stop() == 0


def test_who_has_never_answered_is_still_getting_up(app: App) -> None:
    supervisor = slow(app, "http", 'live = "http /healthz"\nlive_interval = 0.01\n')
    pid = app.until_running("web.1")["web.1"]["pid"]
    app.write("answer", "500")
    app.write("go", "")
    supervisor.wait_for("asked for GET /healthz", 10)
    assert app.instances()["web.1"]["pid"] == pid
    answer(app, "200")
    supervisor.wait_for("asked for GET /healthz HTTP/1.1: 200$", 2)  # who asks again has heard the answer before
    answer(app, "500")
    supervisor.wait_for(r"web\.1 is not answering any more")


def test_a_check_is_shown_as_it_was_written(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", 'ready = "http /healthz"\nlive = "http   /alive"\n')
    said = app.ok("check", "--expand")
    assert 'ready = "http /healthz"  (procsup.toml:1)' in said
    assert 'live = "http /alive"  (procsup.toml:2)' in said


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('ready = "prot"', 'ready must be one of "port", "http /PATH", "log REGEX" and "notify"'),
        ('ready = "http healthz"', 'ready must be one of "port", "http /PATH"'),
        ("ready = 'log (['", "this expression cannot be read"),
        ("ready = true", "ready must be one of"),
        ("ready_timeout = 0", "ready_timeout must be a number of seconds, more than 0"),
        ('live = "port"', 'live must be "http /PATH"'),
        ("live_interval = -1", "live_interval must be a number of seconds, more than 0"),
    ],
)
def test_a_check_that_cannot_be_is_an_error_with_its_line(app: App, line: str, says: str) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", f"# first\n{line}\n")
    said = refused(app.run("check"))
    assert said.startswith("procsup.toml:2:")
    assert says in said
