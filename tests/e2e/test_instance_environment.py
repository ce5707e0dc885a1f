"""What an instance gets, as the child itself sees it: environment, ports, numbers, descriptors, signals, limits."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.app import PROBE, App, alive, children_of


@pytest.fixture(params=["", "1"], ids=["posix_spawn and pidfds", "fork and SIGCHLD"])
def either_way(request: pytest.FixtureRequest, app: App) -> App:
    app.environment["PROCSUP_PORTABLE"] = request.param
    return app


def environment(app: App, *arguments: str, **popen: Any) -> dict[str, str]:
    app.write("Procfile", f"web: {PROBE}\n")
    supervisor = app.start(*arguments, **popen)
    told = supervisor.probe()["env"]
    supervisor.stop()
    return told


# Environment


def test_the_inherited_environment_wins_over_the_env_files_and_the_named_one_over_the_plain_one(app: App) -> None:
    app.write(".env", "A=from .env\nB=from .env\nC=from .env\n")
    app.write(".env.staging", "B=from .env.staging\nC=from .env.staging\n")
    app.environment |= {"C": "inherited", "D": "inherited"}
    told = environment(app, "-E", "staging")
    assert (told["A"], told["B"], told["C"], told["D"]) == ("from .env", "from .env.staging", "inherited", "inherited")


def test_env_override_lets_the_files_win(app: App) -> None:
    app.write(".env", "A=from .env\n")
    app.environment["A"] = "inherited"
    assert environment(app, "--env-override")["A"] == "from .env"


def test_files_given_with_e_stand_in_for_env_and_the_later_one_wins(app: App) -> None:
    app.write(".env", "UNREAD=1\n")
    app.write("first", "A=first\nB=first\n")
    app.write("second", "B=second\nC=second\n")
    app.write("third", "C=third\n")
    told = environment(app, "-e", "first,second", "-e", "third")
    assert (told["A"], told["B"], told["C"]) == ("first", "second", "third")
    assert "UNREAD" not in told


def test_values_are_interpolated_and_arrive_unchanged(app: App) -> None:
    app.write(".env", 'NAME=wörld\nGREETING="hello ${NAME}\nand \'all\' \\"others\\""\nEMPTY=\n')
    told = environment(app)
    assert told["GREETING"] == "hello wörld\nand 'all' \"others\""
    assert told["EMPTY"] == ""


def test_where_file_and_inherited_environment_differ_one_line_says_who_won_and_never_the_value(app: App) -> None:
    app.write(".env", "COLOUR=from-the-file\nSAME=1\n")
    app.write("Procfile", "web: sleep 1000\n")
    app.environment |= {"COLOUR": "from-outside", "SAME": "1"}
    supervisor = app.start()
    app.until_running("web.1")
    supervisor.stop()
    lines = [line for line in supervisor.text.splitlines() if "COLOUR" in line]
    assert len(lines) == 1
    assert "inherited environment wins" in lines[0]
    assert "from-the-file" not in supervisor.text
    assert "from-outside" not in supervisor.text
    assert "SAME" not in supervisor.text


def test_no_file_overwrites_what_procsup_sets(app: App) -> None:
    names = ("PS", "PROCSUP_TYPE", "PROCSUP_INSTANCE", "PROCSUP_UNIQUE_INT", "PROCSUP_PORT_WEB", "PROCSUP_PORT_web")
    app.write(".env", "".join(f"{name}=mine\n" for name in names) + "PORT=7000\n")
    app.environment |= dict.fromkeys(names, "mine too")
    told = environment(app, "--env-override", "-p", "6100")
    assert told["PS"] == "web.1"
    assert told["PROCSUP_TYPE"] == "web"
    assert told["PROCSUP_INSTANCE"] == "1"
    assert told["PROCSUP_UNIQUE_INT"] == "1"
    assert told["PORT"] == told["PROCSUP_PORT_web"] == "6100"


@pytest.mark.parametrize(("given", "told"), [(None, "1"), ("", ""), ("0", "0")])
def test_pythonunbuffered_is_set_where_nobody_else_did(app: App, given: str | None, told: str) -> None:
    app.environment.pop("PYTHONUNBUFFERED", None)
    if given is not None:
        app.write(".env", f"PYTHONUNBUFFERED={given}\n")
    assert environment(app)["PYTHONUNBUFFERED"] == told


def test_every_type_can_find_the_first_port_of_every_other(app: App) -> None:
    app.write("Procfile", f"web: {PROBE}\nthe-api: sleep 1000\nrelease: true\n")
    supervisor = app.start("-p", "6000", "-m", "web=2")
    told = supervisor.probe("web.2")["env"]
    assert {key: told[key] for key in told if key.startswith("PROCSUP_PORT_")} == {
        "PROCSUP_PORT_web": "6000",
        "PROCSUP_PORT_the_api": "6100",
        "PROCSUP_PORT_release": "6200",
    }
    supervisor.stop()


# PORT


@pytest.mark.parametrize(
    ("file", "inherited", "arguments", "port"),
    [
        (None, None, (), 5000),
        ("6100", None, (), 6100),
        ("6100", "6200", (), 6200),
        ("6100", "6200", ("--env-override",), 6100),
        ("6100", "6200", ("-p", "6300"), 6300),
    ],
)
def test_the_first_port_is_the_options_then_the_environments_then_the_files_then_5000(
    app: App, file: str | None, inherited: str | None, arguments: tuple[str, ...], port: int
) -> None:
    if file is not None:
        app.write(".env", f"PORT={file}\n")
    if inherited is not None:
        app.environment["PORT"] = inherited
    assert environment(app, *arguments)["PORT"] == str(port)


def test_each_type_has_a_hundred_ports_and_the_rest_come_behind_the_last_types_hundred(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nidle: sleep 1000\nworker: sleep 1000\n")
    supervisor = app.start("-p", "6000", "-m", "web=102,idle=0,worker=101")
    instances = app.until(lambda found: len(found) == 203 and all(each["pid"] for each in found.values()))
    ports = {name: each["port"] for name, each in instances.items()}
    assert (ports["web.1"], ports["web.100"], ports["worker.1"], ports["worker.100"]) == (6000, 6099, 6200, 6299)
    assert sorted((ports["web.101"], ports["web.102"], ports["worker.101"])) == [6300, 6301, 6302]
    assert len(set(ports.values())) == 203
    app.ok("scale", "web=101", "--wait")
    app.ok("scale", "web=103", "--wait")
    again = {name: each["port"] for name, each in app.instances().items()}
    assert {name: again[name] for name in ports if name != "web.102"} == {
        name: ports[name] for name in ports if name != "web.102"
    }
    assert len(set(again.values())) == 204
    assert supervisor.stop() == 0


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "80.5"])
def test_a_port_that_is_none_is_an_error_that_says_where_it_stands(app: App, port: str) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write(".env", f"PORT={port}\n")
    done = app.run("start")
    assert done.returncode == 2
    assert ".env:1" in done.stderr
    assert app.run("start", "-p", port).returncode == 2


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_port_that_somebody_listens_on_is_told_with_who_it_is(app: App, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start("-p", str(port))
    supervisor.wait_for(rf"warning: web\.1: port {port} is in use by pid {os.getpid()}, \w+")
    supervisor.stop()


def test_so_is_one_that_a_scale_would_give_away(app: App, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    app.write("Procfile", "web: sh -c 'echo ready $PS; exec sleep 1000'\n")
    supervisor = app.start("-p", str(port - 1))
    supervisor.wait_for("ready web.1")
    app.ok("scale", "web=2")
    supervisor.wait_for(rf"warning: web\.2: port {port} is in use by pid {os.getpid()}, \w+")
    supervisor.stop()


# UNIQUE_INT


def unique_ints(app: App) -> dict[str, int]:
    return {name: each["unique_int"] for name, each in app.instances().items()}


def test_both_spellings_of_the_unique_int_become_the_number_that_the_environment_has(app: App) -> None:
    app.write("Procfile", f"web: {PROBE} --a <<UNIQUE_INT>> --b=x{{{{UNIQUE_INT}}}}y\n")
    supervisor = app.start("-m", "web=3")
    for name in ("web.1", "web.2", "web.3"):
        told = supervisor.probe(name)
        number = told["env"]["PROCSUP_UNIQUE_INT"]
        assert told["argv"] == ["--a", number, f"--b=x{number}y"]
    assert sorted(unique_ints(app).values()) == [1, 2, 3]
    supervisor.stop()


def test_the_unique_int_is_kept_over_a_crash_and_a_restart_and_free_again_when_scaled_away(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\nworker: sleep 1000\n")
    supervisor = app.start("-m", "web=2,worker=2")
    before = app.until_running("web.1", "web.2", "worker.1", "worker.2")
    numbers = unique_ints(app)
    assert sorted(numbers.values()) == [1, 2, 3, 4]
    os.kill(before["web.1"]["pid"], signal.SIGKILL)
    app.until(lambda found: found["web.1"]["state"] == "running" and found["web.1"]["restarts"] == 1)
    app.ok("restart", "worker.1")
    assert unique_ints(app) == numbers
    app.ok("scale", "web=1", "--wait")
    app.ok("scale", "worker=3", "--wait")
    assert unique_ints(app)["worker.3"] == numbers["web.2"]  # the lowest that was free
    supervisor.stop()


def test_a_unique_int_is_not_given_on_while_a_process_of_its_last_owner_lives(app: App) -> None:
    app.write("Procfile", """deaf: sh -c 'trap "" TERM; echo deaf; while :; do sleep 1000; done'\nweb: sleep 1000\n""")
    supervisor = app.start("--grace", "600", "-m", "web=0")
    supervisor.wait_for(r"\| deaf$")
    app.ok("scale", "deaf=0", "web=1")
    found = app.until(lambda found: found["web.1"]["state"] == "running")
    assert (found["deaf.1"]["state"], found["deaf.1"]["unique_int"]) == ("stopping", 1)
    assert found["web.1"]["unique_int"] == 2
    supervisor.send(signal.SIGTERM)
    supervisor.wait_for("stopping 2 instances")
    supervisor.stop()


# What it runs in


def test_it_starts_in_the_root_wherever_procsup_was_started(app: App) -> None:
    elsewhere = app.folder / "deep" / "er"
    elsewhere.mkdir(parents=True)
    app.write("Procfile", f"web: {PROBE}\n")
    app.folder = elsewhere
    supervisor = app.start("-f", "../../Procfile")
    told = supervisor.probe()
    assert told["cwd"] == told["env"]["PWD"] == str(elsewhere.parent.parent)
    supervisor.stop()


def test_the_root_can_be_another_folder_than_the_procfiles(app: App) -> None:
    (app.folder / "src").mkdir()
    app.write("Procfile", f"web: {PROBE}\n")
    supervisor = app.start("-f", "Procfile", "-d", "src")
    assert supervisor.probe()["cwd"] == str(app.folder / "src")
    supervisor.stop()


def test_stdout_and_stderr_are_apart_and_stdin_is_open_and_silent(either_way: App) -> None:
    either_way.write("Procfile", f"web: {PROBE}\nother: cat\n")
    supervisor = either_way.start()
    told = supervisor.probe()
    assert told["fds"]["0"].startswith("pipe:")
    assert len(set(told["fds"].values())) == 3
    assert not told["stdin_has_something_to_read"]
    other = either_way.until_running("web.1", "other.1")["other.1"]
    assert other["restarts"] == 0  # cat would end at the end of its input
    supervisor.stop()


def test_stdin_is_silent_where_procsups_own_is_at_its_end_or_closed(app: App) -> None:
    app.write("Procfile", f"web: {PROBE}\n")
    for how in ({}, {"preexec_fn": lambda: os.close(0)}):
        supervisor = app.start(**how)
        told = supervisor.probe()
        assert not told["stdin_has_something_to_read"]
        assert sorted(told["fds"]) == ["0", "1", "2"]
        assert supervisor.stop() == 0


def test_a_plain_command_has_no_shell_beside_it_and_another_has(either_way: App) -> None:
    either_way.write("Procfile", "plain: sleep '1000' 1$X\nshell: echo up && sleep 1000\n")
    either_way.environment["X"] = "2"
    supervisor = either_way.start()
    either_way.until_running("plain.1", "shell.1")
    supervisor.wait_for(r"shell\.1 +\| up$")
    commands = sorted(children_of(supervisor.pid).values())
    assert commands == ["/bin/sh -c echo up && sleep 1000", "sleep 1000 12"]
    supervisor.stop()


def test_a_script_without_a_first_line_runs_as_the_shell_would_run_it(either_way: App) -> None:
    script = either_way.write("job", "echo it runs with $1\n")
    script.chmod(0o755)
    either_way.write("Procfile", "job: ./job here\n")
    supervisor = either_way.start("--restart", "never")
    assert supervisor.end() == 0
    assert "it runs with here" in supervisor.text


def test_nobody_is_left_of_a_process_that_was_killed_however_it_is_watched(either_way: App) -> None:
    either_way.write("Procfile", "web: sleep 1000\n")
    supervisor = either_way.start()
    pid = either_way.until_running("web.1")["web.1"]["pid"]
    os.kill(pid, signal.SIGKILL)
    again = either_way.until(lambda found: found["web.1"]["state"] == "running" and found["web.1"]["pid"] != pid)
    assert not alive(pid)
    assert not os.path.exists(f"/proc/{pid}")  # reaped
    assert again["web.1"]["last_exit"]["signal"] == "SIGKILL"
    supervisor.stop()
