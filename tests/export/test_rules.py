"""Under each engine: what comes back and what does not, whom it runs as, what belongs to a stop, and sockets.

Each takes some seconds, since all of these engines wait a second before they start anything again.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.app import App, alive
from tests.export.engines import RUNIT, S6, SUPERVISORD, Engine
from tests.export.example import HARD_NAME, free_port, until
from tests.export.test_running import each_engine
from tests.faults.needs import needs

_PROCFILE = """\
failing: echo x >>$OUT/failing; exit 3
killed: echo x >>$OUT/killed; kill -KILL $$
done: echo x >>$OUT/done
never: echo x >>$OUT/never; exit 3
twice: echo x >>$OUT/twice; exit 3
"""
_SETTINGS = """\
app = "Export example"
restart = "on-failure"
grace = 2
[env]
OUT = "{out}"
API_KEY = "s3cret"
[processes.killed]
restart = "always"
[processes.never]
restart = "never"
[processes.twice]
max_restarts = 1
restart_window = 100
"""


class Rules(App):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "project")
        self.out = folder / "out"
        self.out.mkdir()
        self.out.chmod(0o777)
        self.exported = folder / "exported"

    def export(self, engine: Engine, procfile: str, settings: str = _SETTINGS) -> str:
        self.write("Procfile", procfile)
        self.write("procsup.toml", settings.replace("{out}", str(self.out)))
        return self.run("export", engine.name, str(self.exported), "--port", str(free_port())).stderr

    def lines(self, name: str) -> list[str]:
        path = self.out / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def rules() -> Iterator[Rules]:
    """In a folder that other users can get to, as pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="procsup-export-"))
    folder.chmod(0o755)
    yield Rules(folder)
    shutil.rmtree(folder)


@each_engine
def test_what_fails_comes_back_and_what_is_done_or_asked_for_once_does_not(engine: Engine, rules: Rules) -> None:
    said = rules.export(engine, _PROCFILE)
    assert ("max_restarts" in said) == (engine is not S6)
    with engine.running(rules.exported):
        until(lambda: len(rules.lines("failing")) >= 3 and len(rules.lines("killed")) >= 3)
        # Nobody says that they have had their turn by then.
        until(lambda: all(rules.lines(name) for name in ("done", "never")))
        if engine is S6:
            until(lambda: len(rules.lines("twice")) >= 2)
        assert rules.lines("done") == rules.lines("never") == ["x"]
        if engine is S6:
            assert rules.lines("twice") == ["x", "x"]


_LEAVES = """\
leaves: sh -c 'trap "" TERM; echo $$ >>$OUT/left; while :; do sleep 0.05; done' & echo $$ >>$OUT/leader; \
while ! test -e $OUT/go; do sleep 0.02; done
"""


@each_engine
def test_what_a_leader_leaves_is_gone_before_the_next_one_starts(engine: Engine, rules: Rules) -> None:
    rules.export(engine, _LEAVES, _SETTINGS.replace("on-failure", "always").split("[processes.killed]")[0])
    with engine.running(rules.exported):
        until(lambda: len(rules.lines("left")) == 1)
        (rules.out / "go").touch()
        until(lambda: len(rules.lines("leader")) >= 2)
        first = int(rules.lines("left")[0])
        assert not alive(first)


@needs(os.geteuid() == 0, "only root can start processes as another user")
@each_engine
def test_a_user_gets_its_groups_and_its_secrets(engine: Engine, rules: Rules) -> None:
    text = 'web: id -un >$OUT/who; id -Gn >>$OUT/who; echo "$API_KEY $HOME $USER" >>$OUT/who; exec sleep 100\n'
    rules.export(engine, text, _SETTINGS.split("[processes")[0] + '[processes.web]\nuser = "nobody"\ncwd = "/"\n')
    with engine.running(rules.exported):
        until(lambda: len(rules.lines("who")) == 3)
        assert rules.lines("who") == ["nobody", "nogroup", "s3cret /nonexistent nobody"]


_ACCEPT = """\
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid()) and os.environ["LISTEN_FDNAMES"] == "web"
listening = socket.socket(fileno=3)
while True:
    connected, _ = listening.accept()
    connected.sendall(os.environ["PS"].encode())
    connected.close()
"""


def test_supervisord_hands_its_socket_on_to_all_copies(rules: Rules) -> None:
    port = free_port()
    (rules.folder / "accept.py").write_text(_ACCEPT)
    said = rules.export(
        SUPERVISORD,
        "web: python3 accept.py\nshell: cd . && python3 accept.py\n",
        _SETTINGS.split("[processes")[0] + f'[processes.web]\nsocket = "127.0.0.1:{port}"\ncount = 2\n'
        '[processes.shell]\ncount = 0\nsocket = "[::1]:1"\n',
    )
    assert said == ""
    with SUPERVISORD.running(rules.exported):
        until(lambda: _asked(port) == "web.1")
        until(lambda: _asked(port) == "web.2")


def test_supervisord_finds_its_scripts_and_sockets_in_a_folder_of_any_name(rules: Rules) -> None:
    """With all that means something to its reader of files, to its expansion and to its reader of words."""
    app = App(rules.out.parent / "d")
    app.write("accept.py", _ACCEPT)
    app.write("Procfile", "web: python3 accept.py\nplain: echo $$ >$OUT/plain; exec sleep 1000\n")
    hard = "a ;%(here)s %s" + HARD_NAME + " "
    (app.folder / hard).mkdir()
    settings = f'app = "Export example"\n[env]\nOUT = "{rules.out}"\n[processes.web]\nsocket = {{}}\n'
    app.write("procsup.toml", settings.replace("{}", json.dumps(f"{hard}/;s", ensure_ascii=False)))
    exported = app.folder / hard
    done = app.run("export", "supervisord", str(exported))
    assert (done.returncode, done.stderr) == (0, "")
    include = done.stdout.partition("; next: add ")[2].partition(" to files= in [include]")[0]
    main = rules.out.parent / "main"
    main.mkdir()

    def command(folder: Path) -> list[str]:
        conf = folder / "supervisord.conf"
        conf.write_text(
            "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=supervisord.pid\n"
            f"childlogdir=.\n[include]\nfiles={include}\n"
        )
        return [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)]

    with SUPERVISORD._replace(command=command).running(main):
        until(lambda: _asked(str(exported / ";s")) == "web.1")
        until(lambda: len(rules.lines("plain")) == 1)


def test_a_folder_that_supervisord_cannot_be_told_of_is_refused(rules: Rules) -> None:
    rules.write("Procfile", "web: true\n")
    done = rules.run("export", "supervisord", str(rules.exported / "100%\n"))
    assert done.returncode == 2
    assert "supervisord would not find the scripts there" in done.stderr
    assert not rules.exported.exists()
    assert rules.run("export", "supervisord", str(rules.exported / "two\nlines")).returncode == 0


def _asked(where: int | str) -> str:
    try:
        with socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET) as connected:
            connected.settimeout(5)
            connected.connect(where if isinstance(where, str) else ("127.0.0.1", where))
            return connected.recv(100).decode()
    except OSError:
        return ""


def test_engines_that_hand_no_sockets_on_say_so(rules: Rules) -> None:
    for engine in (RUNIT, S6):
        said = rules.export(engine, "web: true\n", '[processes.web]\nsocket = "127.0.0.1:8000"\n')
        assert 'web: socket = "127.0.0.1:8000" (procsup.toml:2) is left out' in said


_SLOW = "python3 -c 'import http.server, os, time; time.sleep(0.5); "
_SLOW += 'http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler)'
_SLOW += ".serve_forever()'"


@needs(S6.there and shutil.which("curl") is not None, "needs s6 and curl")
def test_s6_looks_whether_they_are_ready(rules: Rules) -> None:
    settings = _SETTINGS.split("[processes")[0]
    settings += '[processes.port]\nready = "port"\ncwd = "/"\n[processes.page]\nready = "http /Procfile"\n'
    settings += '[processes.none]\nready = "http /not there"\n'.replace("not there", "missing")
    said = rules.export(S6, f"port: {_SLOW}\npage: {_SLOW}\nnone: {_SLOW}\n", settings)
    assert "ready" not in said
    with S6.running(rules.exported):
        state = {}

        def ready() -> bool:
            for name in ("port", "page", "none"):
                shown = subprocess.run(
                    ["s6-svstat", "-o", "up,ready", f"{rules.exported}/export-example-{name}.1"],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                state[name] = shown.stdout.split()
            return state["port"] == state["page"] == ["true", "true"] and state["none"][:1] == ["true"]

        until(ready, lambda: str(state))
        assert state["none"] == ["true", "false"]
