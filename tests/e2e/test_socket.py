"""The key `socket`: procsup listens, and each copy of the type gets the socket as descriptor 3."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.e2e.app import PROBE, App
from tests.e2e.refusal import refused
from tests.e2e.services import free_port
from tests.e2e.somebody import root_only

linux = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
ECHO = shlex.join([sys.executable, "-I", str(Path(__file__).with_name("accepting.py"))])


def serving(app: App, address: str, *arguments: str, more: str = "", command: str = ECHO) -> None:
    app.write("Procfile", f"web: exec {command}\nother: exec {PROBE}\n")
    app.write("procsup.toml", f'[processes.web]\nsocket = "{address}"\n{more}')
    app.start(*arguments)
    app.until_running("web.1", "other.1")


def asked(address: tuple[str, int] | str) -> str:
    """What somebody answers there: his name."""
    if isinstance(address, str):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(address)
            return greeted(client)
    with socket.create_connection(address) as client:
        return greeted(client)


def greeted(client: socket.socket) -> str:
    client.sendall(b"who is there?")
    return client.makefile().readline().strip()


def inode(app: App, name: str) -> str:
    return os.readlink(f"/proc/{app.instances()[name]['pid']}/fd/3")


def test_a_path(app: App) -> None:
    (app.folder / "run").mkdir()
    path = app.folder / "run" / "web.sock"
    serving(app, "run/web.sock")
    assert asked(str(path)) == "web.1"
    assert app.started[0].stop() == 0
    assert not path.exists()


def test_an_address_of_ipv6(app: App) -> None:
    try:
        port = free_port("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    serving(app, f"[::1]:{port}")
    assert asked(("::1", port)) == "web.1"


@linux
@pytest.mark.parametrize("portable", ["", "1"], ids=["posix_spawn", "fork"])
@pytest.mark.parametrize("settings", ["", "tty = true", 'cwd = "sub"', 'tty = true\ncwd = "sub"'])
def test_the_child_gets_it_and_nothing_else(app: App, settings: str, portable: str) -> None:
    (app.folder / "sub").mkdir()
    app.environment["PROCSUP_PORTABLE"] = portable
    serving(app, f"127.0.0.1:{free_port()}", more=settings, command=f"{PROBE} 'a  b'")
    told = app.started[0].probe()
    assert sorted(told["fds"]) == ["0", "1", "2", "3"]
    assert told["fds"]["3"].startswith("socket:")
    variables = {key: value for key, value in told["env"].items() if key.startswith("LISTEN_")}
    assert variables == {"LISTEN_PID": str(told["pid"]), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    assert told["pid"] == told["session"] == app.instances()["web.1"]["pid"]
    assert told["argv"] == ["a  b"]
    other = app.started[0].probe("other.1")
    assert sorted(other["fds"]) == ["0", "1", "2"]
    assert not [key for key in other["env"] if key.startswith("LISTEN_")]


@root_only
@pytest.mark.parametrize("tty", ["", "tty = true"])
def test_another_user_gets_it_as_well(app: App, tty: str) -> None:
    fds = "test -e /proc/$$/fd/3 && test ! -e /proc/$$/fd/4"
    tell = f"{fds} && echo told $(id -un) $(($$ - $LISTEN_PID)) $LISTEN_FDS; sleep 1000"
    app.write("Procfile", f"web: {tell}\n")
    app.write("procsup.toml", f'user = "nobody"\nsocket = "127.0.0.1:{free_port()}"\ncwd = "/"\n{tty}\n')
    app.start().wait_for(r"told nobody 0 1\r?$")


@linux
def test_a_grandchild_sees_that_it_is_not_meant_for_it(app: App) -> None:
    serving(app, f"127.0.0.1:{free_port()}", command=f"sh -c {shlex.quote(f'{PROBE}; exit $?')}")
    told = app.started[0].probe()
    assert told["env"]["LISTEN_PID"] == str(told["parent"])
    assert "3" in told["fds"]


@linux
def test_it_stays_the_same_over_restarts_and_reloads(app: App) -> None:
    port = free_port()
    serving(app, f"127.0.0.1:{port}")
    before = inode(app, "web.1")
    app.ok("restart", "web")
    app.ok("restart", "--rolling", "web")
    app.write("Procfile", (app.folder / "Procfile").read_text().replace("web: exec", "web: A=1 exec"))
    app.ok("reload")
    app.until_running("web.1", "other.1")
    assert inode(app, "web.1") == before
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        app.ask("stop", names=["web"])  # within the second for which the kernel keeps it from who would accept it
        with socket.create_connection(("127.0.0.1", port)) as patient:  # nobody is there, and it is not refused
            app.ok("start", "web")
            assert greeted(patient) == "web.1"
        assert greeted(waiting) == "web.1"


def test_a_server_that_speaks_first_is_heard_as_well(app: App) -> None:
    port = free_port()
    serving(app, f"127.0.0.1:{port}", command=f"{ECHO} unasked")
    with socket.create_connection(("127.0.0.1", port)) as client:
        assert client.makefile().readline() == "web.1\n"


def test_types_that_name_the_same_address_share_it(app: App) -> None:
    port = free_port()
    app.write("Procfile", f"web: exec {ECHO}\nother: exec {ECHO}\n")
    app.write("procsup.toml", f'socket = "127.0.0.1:{port}"\n')
    app.start()
    app.until_running("web.1", "other.1")
    app.ok("stop", "web")
    assert asked(("127.0.0.1", port)) == "other.1"


def test_a_type_of_another_name_takes_it_over(app: App) -> None:
    port = free_port()
    serving(app, f"127.0.0.1:{port}")
    for name in ("Procfile", "procsup.toml"):
        app.write(name, re.sub(r"\bweb\b(?=:|\])", "shop", (app.folder / name).read_text()))
    app.ok("reload")
    app.until_running("shop.1", "other.1")
    assert asked(("127.0.0.1", port)) == "shop.1"


def test_a_reload_brings_another_address(app: App) -> None:
    old, new = app.folder / "old.sock", app.folder / "new.sock"
    serving(app, "./old.sock")
    app.write("procsup.toml", '[processes.web]\nsocket = "./new.sock"\n')
    app.ok("reload")
    assert asked(str(new)) == "web.1"
    assert not old.exists()
    app.until_running("web.1", "other.1")


@linux
def test_a_reload_takes_it_away(app: App) -> None:
    path = app.folder / "web.sock"
    serving(app, "./web.sock", command=PROBE)
    app.write("procsup.toml", "")
    app.ok("reload")
    assert "3" not in app.started[0].probe(times=2)["fds"]
    assert not path.exists()


def test_a_reload_to_an_address_of_somebody_else_changes_nothing(app: App) -> None:
    port = free_port()
    serving(app, f"127.0.0.1:{port}")
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        app.write("procsup.toml", f'[processes.web]\nsocket = "127.0.0.1:{somebody.getsockname()[1]}"\n')
        before = app.instances()["web.1"]["pid"]
        assert "in use by pid" in refused(app.run("reload"), 1)
    assert app.instances()["web.1"]["pid"] == before
    assert asked(("127.0.0.1", port)) == "web.1"


@linux
def test_an_address_in_use_is_refused_with_its_holder(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        app.write("procsup.toml", f'[processes.web]\nsocket = "{address}"\n')
        said = refused(app.run("start"), 1)
    assert f"web cannot have its socket {address}: in use by pid {os.getpid()}, " in said


@linux
def test_a_path_in_use_is_refused_with_its_holder(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", '[processes.web]\nsocket = "./web.sock"\n')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(app.folder / "web.sock"))
        server.listen(0)
        said = refused(app.run("start"), 1)
        assert f"web cannot have its socket ./web.sock: in use by pid {os.getpid()}, " in said
        said = refused(app.run("start"), 1)  # more than one do not fit into its queue, and nobody waits for room
        assert "web cannot have its socket ./web.sock: in use by somebody" in said


def test_what_stands_at_its_path_and_is_no_socket_stays(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", '[processes.web]\nsocket = "./web.sock"\n')
    app.write("web.sock", "precious")
    assert "something else of that name is there" in refused(app.run("start"), 1)
    assert (app.folder / "web.sock").read_text() == "precious"


def test_a_stale_path_is_replaced(app: App) -> None:
    path = app.folder / "web.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    serving(app, "./web.sock")
    assert asked(str(path)) == "web.1"


@linux
@pytest.mark.parametrize("kind", ["path", "port"])
def test_after_a_sigkill_of_procsup_the_next_start_has_it_at_once(app: App, kind: str) -> None:
    port = free_port()
    serving(app, f"127.0.0.1:{port}" if kind == "port" else "./web.sock")
    first = app.instances()["web.1"]["pid"]
    app.started[0].process.send_signal(signal.SIGKILL)
    app.started[0].process.wait()
    app.start()
    assert app.until_running("web.1", "other.1")["web.1"]["pid"] != first
    assert asked(("127.0.0.1", port) if kind == "port" else str(app.folder / "web.sock")) == "web.1"


@pytest.mark.parametrize("way", ["port", "http /healthz"])
def test_a_check_of_port_does_not_go_with_a_socket(app: App, way: str) -> None:
    app.write("Procfile", "web: sleep 1000\nother: sleep 1000\n")
    app.write("procsup.toml", f'ready = "{way}"\n[processes.web]\nsocket = "127.0.0.1:8000"\n')
    said = refused(app.run("check"))
    assert f'procsup.toml:1:1: error: ready = "{way}" looks at PORT, and web listens on its socket' in said
    assert 'write "log REGEX" or "notify"' in said


def test_live_does_not_go_with_a_socket(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    app.write("procsup.toml", '[processes.web]\nsocket = "127.0.0.1:8000"\nlive = "http /"\n')
    assert 'procsup.toml:3:1: error: live = "http /" looks at PORT' in refused(app.run("check"))
