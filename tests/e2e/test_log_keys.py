"""Where lines go, said in procsup.toml: log_dir, log_size, log_count, syslog and quiet."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from tests.e2e.app import App
from tests.e2e.refusal import refused
from tests.faults.watching import until

SAYS = "sh -c 'echo hello from $PS; exec sleep 1000'"


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_log_files_are_kept_in_a_folder_below_the_root_wherever_procsup_was_called(app: App) -> None:
    app.write("Procfile", f"web: {SAYS}\n")
    app.write("procsup.toml", 'log_dir = "var/log"\n')
    elsewhere = app.folder.parent / "elsewhere"
    elsewhere.mkdir()
    done = app.run("start", "-d", str(app.folder), "-f", str(app.folder / "Procfile"), "--detach", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    until(lambda: read(app.folder / "var/log/web.1.log") == "hello from web.1\n")
    app.ok("shutdown")


def test_the_command_line_wins_key_by_key(app: App) -> None:
    app.write("job.py", "for _ in range(60000): print('x' * 99)\n")
    app.write("Procfile", f"job: {sys.executable} -IS job.py\n")
    app.write("procsup.toml", 'log_dir = "file"\nlog_size = "512k"\nlog_count = 2\nquiet = true\n')
    supervisor = app.start("--restart", "never", "--log-dir", "line", "--log-count", "3")
    assert supervisor.end() == 0
    assert not (app.folder / "file").exists()
    sizes = {path.name: path.stat().st_size for path in (app.folder / "line").iterdir()}
    assert sorted(sizes) == ["job.1.log", "job.1.log.1", "job.1.log.2", "job.1.log.3"]
    assert max(sizes.values()) <= 512 << 10
    assert "xxx" not in supervisor.text
    (app.folder / "line").rename(app.folder / "seen")
    app.environment["PROCSUP_START_LOG_COUNT"] = "1"  # as good as the command line
    assert app.start("--restart", "never").end() == 0
    assert sorted(path.name for path in (app.folder / "file").iterdir()) == ["job.1.log", "job.1.log.1"]


def test_lines_go_to_the_syslog_of_the_file(app: App) -> None:
    app.write("Procfile", f"web: {SAYS}\n")
    app.write("procsup.toml", 'syslog = "unix:syslog.sock"\n')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(20)
        receiver.bind(str(app.folder / "syslog.sock"))
        supervisor = app.start()
        while b"hello from web.1" not in receiver.recv(65536):
            pass
        supervisor.stop()
    (app.folder / "syslog.sock").unlink()


def test_what_is_wrong_with_them_is_said_of_their_line(app: App) -> None:
    app.write("Procfile", f"web: {SAYS}\n")
    app.write("procsup.toml", '# where it all goes\nsyslog = "carrier-pigeon"\n')
    said = refused(app.run("start"))
    assert "procsup.toml:2: syslog: 'carrier-pigeon' is no address" in said
    app.write("procsup.toml", 'log_dir = "Procfile"\n')
    said = refused(app.run("start"))
    assert "procsup.toml:1: log_dir: no logs can be kept in " in said
    app.write("procsup.toml", "log_count = 0\n")
    assert "procsup.toml:1:1: error: log_count must be a whole number from 1 to 1000" in refused(app.run("start"))


def test_a_quiet_type_is_not_shown_and_is_in_the_logs(app: App) -> None:
    app.write("Procfile", f"web: {SAYS}\nnoise: {SAYS}\n")
    app.write("procsup.toml", "quiet = true\n[processes.web]\nquiet = false\n")
    supervisor = app.start()
    supervisor.wait_for("hello from web.1")
    until(lambda: "hello from noise.1" in app.ok("logs", "noise"))
    assert "hello from noise" not in supervisor.text
    supervisor.stop()


def test_a_reload_says_of_what_changed_that_it_takes_another_start(app: App) -> None:
    app.write("Procfile", f"web: {SAYS}\n")
    supervisor = app.start()
    before = app.until_running("web.1")["web.1"]["pid"]
    app.write("procsup.toml", 'log_dir = "log"\n[processes.web]\nquiet = true\n')
    app.ok("reload")
    supervisor.wait_for("warning: log_dir, quiet changed; that takes effect when procsup is stopped and started")
    assert app.until_running("web.1")["web.1"]["pid"] == before
    app.ok("reload")
    assert supervisor.text.count("takes effect") == 1
    supervisor.stop()
