"""`run`: one command in the app's environment, as if it were typed there."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from contextlib import suppress

from tests.e2e.app import COMMAND, PATIENCE, App
from tests.e2e.refusal import refused


def test_run_has_the_apps_environment_no_prefix_and_the_commands_exit_code(app: App) -> None:
    app.write("Procfile", "web: sh -c 'echo \"$PS on $PORT: <<UNIQUE_INT>>\"; exit 4'\n")
    app.write(".env", "A=from .env\n")
    assert app.ok("run", "echo $A").strip() == "from .env"
    assert app.ok("run", "printenv", "A").strip() == "from .env"
    assert app.ok("run", "echo", "$A").strip() == "$A"
    done = app.run("run", "web")
    assert (done.returncode, done.stdout) == (4, "web.1 on 5000: 1\n")
    assert app.run("run", "sh", "-c", "kill -9 $$").returncode == -9
    assert app.ok("run", "ls", "-a", "--color=never").split() == [".", "..", ".env", "Procfile"]
    below = app.folder / "below"
    below.mkdir()
    assert app.run("run", "-d", "..", "pwd", cwd=below).stdout.strip() == str(app.folder)
    for command, code in (("no-such-program", 127), ("./Procfile", 126)):
        assert command in refused(app.run("run", command, "x"), code)


def test_run_says_which_process_type_was_meant(app: App) -> None:
    app.write("Procfile", "web: no-such-program\n")
    assert 'did you mean the process type "web"?' in refused(app.run("run", "wbe"), 127)
    assert "did you mean" not in refused(app.run("run", "web"), 127)
    assert "did you mean" not in refused(app.run("run", "wbe", "x"), 127)


def test_run_gives_a_process_type_a_unique_int_that_no_live_instance_has(running: App) -> None:
    running.write("Procfile", "web: sleep 1000\nworker: sleep 1000\njob: echo <<UNIQUE_INT>>\n")
    assert running.ok("run", "job").strip() == "3"


def test_run_has_the_terminal_and_the_default_for_sigpipe(app: App) -> None:
    app.write("Procfile", "web: x\n")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", "sh", "-c", "test -t 0 && test -t 1 && read line && echo got $line && exit 5"],
        cwd=app.folder, env=app.environment, stdin=slave, stdout=slave, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    os.write(master, b"these words\n")
    code = process.wait(PATIENCE)
    said = b""
    with suppress(OSError):  # EIO is the end; what was said comes in as many parts as it likes
        while part := os.read(master, 4096):
            said += part
    os.close(master)
    assert (code, b"got these words" in said) == (5, True), said
    assert int(re.search(r"SigIgn:\s+(\w+)", app.ok("run", "cat", "/proc/self/status"))[1], 16) == 0
