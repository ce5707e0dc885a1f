"""`procsup logs`: what was said lately, in order, and what is said from now on."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from procsup.control import protocol
from procsup.control.search import find_supervisor
from tests.e2e.app import COMMAND, PATIENCE, App, Supervisor
from tests.e2e.screen import Screen

TALKING = "sh -c 'echo one; echo two >&2; echo three; exec sleep 1000'"


def texts(output: str) -> list[str]:
    return [line.partition("| ")[2] for line in output.splitlines()]


@pytest.fixture
def talking(app: App) -> App:
    app.write("Procfile", f"web: {TALKING}\nworker: sh -c 'echo working; exec sleep 1000'\n")
    supervisor = app.start()
    supervisor.wait_for(r"web\.1 started")
    supervisor.wait_for("three")
    supervisor.wait_for("two")  # another pipe: it may come after "three"
    supervisor.wait_for("working")
    return app


def follow(app: App, *arguments: str) -> Supervisor:
    """A `logs -f` in the background, which the app ends."""
    app.started.append(follower := Supervisor(("logs", "-f", *arguments), app.folder, app.environment))
    return follower


def test_it_shows_what_everybody_said_with_procsups_own_lines_among_it(talking: App) -> None:
    said = talking.ok("logs")
    assert re.search(r"^\d\d:\d\d:\d\d web\.1    \| one$", said, re.MULTILINE)
    assert re.search(r"procsup  \| web\.1 started, pid \d+$", said, re.MULTILINE)
    assert set(texts(talking.ok("logs", "web"))) == {"one", "two", "three"}
    assert texts(talking.ok("logs", "worker.1")) == ["working"]
    assert talking.ok("logs", "worker", "--no-prefix") == "working\n"


def test_the_last_lines_are_counted_over_all_in_the_order_in_which_they_came(app: App) -> None:
    app.write("Procfile", "web: sh -c 'seq 1 50; exec sleep 1000'\n")
    supervisor = app.start()
    supervisor.wait_for(r"\| 50$")
    assert texts(app.ok("logs", "web", "-n", "3")) == ["48", "49", "50"]
    assert app.ok("logs", "web", "-n", "0") == ""
    assert len(texts(app.ok("logs", "web", "-n", "1000"))) == 50


def test_it_outlives_the_restart_and_the_end_of_the_instance(app: App) -> None:
    app.write("Procfile", "worker: sh -c 'echo I am $PS $$; exec sleep 1000'\n")
    supervisor = app.start("-m", "worker=2")
    supervisor.wait_for("I am worker.1")
    supervisor.wait_for("I am worker.2")
    app.ok("restart", "worker.1")
    supervisor.wait_for("I am worker.1", 2)
    app.ok("scale", "worker=1", "--wait")
    assert len(texts(app.ok("logs", "worker.1"))) == 2
    assert len(texts(app.ok("logs", "worker.2"))) == 1


def test_since_takes_a_time_ago_and_refuses_what_is_none(talking: App) -> None:
    assert len(texts(talking.ok("logs", "web", "--since", "10m"))) == 3
    assert len(texts(talking.ok("logs", "web", "--since", "9" * 400 + "d"))) == 3
    assert talking.ok("logs", "web", "--since", "2100-01-01") == ""
    refused = talking.run("logs", "--since", "yesterday")
    assert refused.returncode == 2
    assert '"yesterday" is no moment; say how long ago' in refused.stderr


def test_names_that_are_not_there_are_told(talking: App) -> None:
    refused = talking.run("logs", "wroker")
    assert refused.returncode == 2
    assert 'did you mean "worker"?' in refused.stderr


def test_followed_it_goes_on_over_restarts_until_the_supervisors_end(talking: App) -> None:
    follower = follow(talking, "web", "-n", "2")
    follower.wait_for(r"\|")
    talking.ok("restart", "web")
    follower.wait_for(r"\| one$")
    talking.ok("shutdown")
    assert follower.end() == 0
    assert "working" not in follower.text


def test_a_killed_supervisor_ends_it_with_a_word(talking: App) -> None:
    follower = follow(talking)
    follower.wait_for("three")
    supervisor = talking.started[0]
    supervisor.process.kill()
    assert follower.end() == 1
    assert "the supervisor was killed, or has cut this reader off" in follower.text
    talking.start().wait_for("three")  # and clears away what the killed one left


def test_a_prompt_shows_to_who_follows(app: App) -> None:
    app.write("Procfile", "web: sh -c 'printf Name:; exec sleep 1000'\n")
    app.start().wait_for("Name:")
    follow(app).wait_for(r"web\.1 +\| Name:")


def test_bytes_that_are_no_text_come_as_they_were(app: App) -> None:
    app.write("web", r"printf '\377\000\303\n'; echo ready; exec sleep 1000")
    app.write("Procfile", "web: sh web\n")
    app.start().wait_for("ready")
    command = [*COMMAND, "logs", "web", "--no-prefix"]
    said = subprocess.run(command, cwd=app.folder, env=app.environment, capture_output=True, check=True).stdout
    assert said == b"\xff\x00\xc3\nready\n"


def test_who_speaks_the_protocol_and_asks_for_nothing_else_gets_text(app: App) -> None:
    app.write("web", r"printf '\377\303\204\n'; exec sleep 1000")
    app.write("Procfile", "web: sh web\n")
    app.start().wait_for(r"\| .+Ä$")
    with find_supervisor(app.environment, os.geteuid(), str(app.folder)) as client:
        client.begin("logs", names=["web"])
        ((method, params),) = client.receive()
        assert method == "output"
        assert params["text"] == "\udcffÄ\n"
        assert client.receive() == []
        assert client.ended


def test_as_json_each_line_is_an_object(talking: App) -> None:
    said = [json.loads(line) for line in talking.ok("logs", "web", "--format", "json").splitlines()]
    assert {(each["text"], each["stream"]) for each in said} == {
        ("one", "stdout"),
        ("two", "stderr"),
        ("three", "stdout"),
    }


def test_only_colours_of_what_was_said_reach_a_terminal(app: App) -> None:
    app.write("web", r"printf '\033]0;title\007\033[2J\033[31mred\033[0m\n'; exec sleep 1000")
    app.write("Procfile", "web: sh web\n")
    app.start().wait_for("red")
    terminal = Screen(app, *COMMAND, "logs", "web")
    try:
        terminal.wait_for("red")
        assert terminal.end() == 0
    finally:
        terminal.close()
    assert b"\x1b[31mred" in terminal.output
    assert b"\x1b]0" not in terminal.output
    assert b"\x1b[2J" not in terminal.output


def test_a_pipe_that_nobody_reads_any_more_ends_it(talking: App) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{COMMAND[0]} logs -f | head -n 2"],
        cwd=talking.folder,
        env=talking.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    # It notices at its next line at the latest; nothing is left either way.
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


def test_one_who_follows_and_stops_reading_harms_nobody_and_is_told_what_it_missed(app: App) -> None:
    app.write("Procfile", "web: seq 1 1000000000\nworker: sleep 1000\n")
    supervisor = app.start("-q", "web")
    app.until_running("web.1", "worker.1")
    follower = follow(app, "web", "--no-prefix")
    seen = int(follower.wait_for(r"^(\d+)$")[1])
    follower.send(signal.SIGSTOP)
    try:
        while int(app.ok("logs", "web", "-n", "1", "--no-prefix").split()[-1]) < seen + 5_000_000:
            pass  # each turn is a command that is answered although somebody does not read
        app.ok("restart", "worker")
    finally:
        follower.send(signal.SIGCONT)
    follower.wait_for(r"\d+ bytes of web\.1 are missing here")
    assert supervisor.stop() == 0


def test_the_history_is_as_long_as_was_asked_for(app: App) -> None:
    app.write("Procfile", "web: sh -c 'seq 1 100000; echo ready; exec sleep 1000'\n")
    app.environment["PROCSUP_START_HISTORY"] = "16K"
    app.start().wait_for("ready")
    kept = app.ok("logs", "web", "-n", "1000000", "--no-prefix")
    assert 0 < len(kept) <= 16 * 1024
    lines = kept.splitlines()
    assert lines[-1] == "ready"
    assert lines[:-1] == [str(number) for number in range(100001 - len(lines) + 1, 100001)]  # whole lines only


def test_a_stream_is_plain_json_rpc(talking: App) -> None:
    with find_supervisor(talking.environment, os.geteuid(), str(talking.folder)) as client:
        path = client._path
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(protocol.request(1, "logs", {"names": ["worker"]}))
        reader = connection.makefile("rb")
        first, last = json.loads(reader.readline()), json.loads(reader.readline())
        reader.close()
    assert first["method"] == "output"
    assert first["params"]["text"] == "working\n"
    assert last == {"jsonrpc": "2.0", "id": 1, "result": None}
