"""systemd's own checker on units of projects that are hard to write down; that units run is tried in tests/boot."""

from __future__ import annotations

import subprocess
from pathlib import Path

from procsup.export import runit, supervisord, systemd
from procsup.export.model import App
from tests.export.nasty import take
from tests.faults.needs import needs, works

needs_systemd = needs(works("systemd-analyze", "--version"), "needs systemd-analyze")
_SETTINGS = """
[processes.web]
count = 3
socket = "127.0.0.1:8000"
ready = "notify"
ready_timeout = 7
memory = "64M"
cpu = 0.125
mounts = ["scratch", "cache-2"]
[processes.worker]
stop = "TSTP, 10, TERM, 15"
restart = "on-failure"
max_restarts = 3
depends_on = ["web", "db"]
socket = "./a %n socket"
[processes.db]
one_shot = true
"""


def _verify(folder: Path, units: dict[str, bytes]) -> str:
    for name, content in units.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    names = [f"{folder}/{name}" for name in units if name.endswith((".target", ".socket"))]
    names += [f"{folder}/{name}".replace("@.", "@1.") for name in units if name.endswith("@.service")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        capture_output=True,
        text=True,
        timeout=60,
        env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": "/usr/bin:/bin"},
    )
    # The machine's own units have faults of their own.
    return "\n".join(line for line in done.stderr.splitlines() if str(folder) in line or "shop" in line)


@needs_systemd
def test_the_checker_finds_nothing(tmp_path: Path) -> None:
    app = take(
        "web: server --port $PORT '%h' \"$$\" 'a\"b'\nworker: echo <<UNIQUE_INT>> && work 'quo\"te' % \\$x\n"
        "db: true\nrelease: migrate\n",
        _SETTINGS,
        {"NASTY": '100% "of" $HOME \\ \'', "KEY": "line\nline"},
        web=3,
    )
    found = systemd.write(app)
    units = {name: file.content for name, file in found.files.items()}
    assert _verify(tmp_path, units) == ""


@needs_systemd
def test_the_checker_would_find_something(tmp_path: Path) -> None:
    assert _verify(tmp_path, {"shop-bad@.service": b"[Service]\nExecStart=relative\nRestart=perhaps\n"})


def test_what_systemd_cannot_say_is_told_by_name() -> None:
    found = systemd.write(
        take(
            "web: server\n",
            '[processes.web]\nlive = "http /up"\nready = "port"\ntty = true\nmounts = ["scratch"]\n',
            {"BELL": "\a"},
        )
    )
    told = "\n".join(found.unsaid)
    for words in ('live = "http /up" (procsup.toml:3)', "ready = port", "tty = true", "mount scratch", "'BELL'"):
        assert words in told
    assert all(sentence.startswith("web: ") for sentence in found.unsaid)


def _with_dots(*names: str) -> App:
    """As a .env file may have them, and procsup.toml not."""
    app = take("web: server\n")
    [web] = app.types
    plain = {**web.env.plain, **dict.fromkeys(names, "x")}
    return app._replace(types=(web._replace(env=web.env._replace(plain=plain)),))


def test_a_variable_of_a_name_that_no_unit_has_is_told_in_one_sentence() -> None:
    [said] = systemd.write(_with_dots("a.b")).unsaid
    assert said == "web: the variable 'a.b' is left out: it is no name of a variable for systemd"


def test_long_times_are_written_as_systemd_reads_them() -> None:
    app = take(
        "web: server\n",
        'grace = 2592000\nmax_restarts = 3\nrestart_window = 1234567.5\nready = "notify"\nready_timeout = 3e6\n',
    )
    lines = systemd.write(app).files["shop-web@.service"].content.decode().splitlines()
    assert {"TimeoutStopSec=2592000", "StartLimitIntervalSec=1234567.5", "TimeoutStartSec=3000000"} <= set(lines)


def test_what_no_script_can_set_is_told_in_the_same_order_each_time() -> None:
    names = [f"name.{letter}" for letter in "abcdefghij"]
    app = _with_dots(*names)
    told = [said for said in runit.write(app).unsaid if "no script of a shell" in said]
    assert told == [f"web: the variable {name} is left out: no script of a shell can set it" for name in names]


def test_who_is_not_root_exports_what_runs_as_that_user() -> None:
    for engine, line in ((systemd, "User=somebody"), (supervisord, "user=somebody"), (runit, "id -u somebody")):
        app = take("web: server\nown: server\n", '[processes.own]\nuser = "other"\n')._replace(owner="somebody")
        found = [file.content.decode() for file in engine.write(app).files.values()]
        assert sum(line in text.splitlines() or "id -u somebody" in text for text in found) == 1
        assert any("other" in text for text in found)


def test_units_that_are_where_systemd_looks_need_no_copying() -> None:
    export = systemd.write(take("web: server\n"))
    assert "cp -r" in export.next
    assert export.placed["/etc/systemd/system"] == "systemctl daemon-reload && systemctl enable --now shop.target"
