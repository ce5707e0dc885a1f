"""`check`, `env` and the schema: what procsup.toml comes to, and where each value stands."""

from __future__ import annotations

import json
import os

import pytest

from tests.e2e.app import App
from tests.e2e.refusal import refused

FILE = """app = "shop"
grace = 20
env = { LEVEL = "info", PAYMENT_KEY = "zzzzzzzzz" }

[relationships]
mysql = ["DATABASE_URL", "MYSQL_*"]

[processes.queue]
count = 2
stop = "sigtstp, 10, term"
env = { LEVEL = "debug", QUEUE_URL = "amqp://u:hiddenpw@h/" }
mounts = "scratch"

[processes.mail]
relationships = ["mysql"]
tty = true
"""


@pytest.fixture
def shop(app: App) -> App:
    app.write("Procfile", "web: serve $PORT\nqueue: work $QUEUE_URL <<UNIQUE_INT>>\nmail: mailer $PAYMENT_KEY\n")
    app.write("procsup.toml", FILE)
    return app


def test_check_names_the_files_that_it_has_read(shop: App) -> None:
    assert shop.ok("check") == "Procfile and procsup.toml are valid: web, queue, mail\n"
    (shop.folder / "procsup.toml").unlink()
    assert shop.ok("check") == "Procfile is valid: web, queue, mail\n"


def test_check_expand_says_of_each_instance_what_it_is_and_of_each_setting_where_it_stands(shop: App) -> None:
    assert shop.ok("check", "--expand").splitlines()[1:] == [
        f"shop in {os.path.realpath(shop.folder)}",
        '    app = "shop"  (procsup.toml:1)',
        '    relationships.mysql = ["DATABASE_URL", "MYSQL_*"]  (procsup.toml:6)',
        "web.1    port 5000  serve 5000",
        "    grace = 20  (procsup.toml:2)",
        '    env.LEVEL = "info"  (procsup.toml:3)',
        '    env.PAYMENT_KEY = "****"  (procsup.toml:3)',
        "queue.1  port 5100  work amqp://u:****@h/ 2",
        "queue.2  port 5101  work amqp://u:****@h/ 3",
        "    count = 2  (procsup.toml:9)",
        "    grace = 20  (procsup.toml:2)",
        '    stop = "TSTP, 10, TERM"  (procsup.toml:10)',
        '    env.LEVEL = "debug"  (procsup.toml:11)',
        '    env.PAYMENT_KEY = "****"  (procsup.toml:3)',
        '    env.QUEUE_URL = "amqp://u:****@h/"  (procsup.toml:11)',
        '    mounts = ["scratch"]  (procsup.toml:12)',
        "mail.1   port 5200  mailer ****",
        "    grace = 20  (procsup.toml:2)",
        '    env.LEVEL = "info"  (procsup.toml:3)',
        '    env.PAYMENT_KEY = "****"  (procsup.toml:3)',
        "    tty = true  (procsup.toml:16)",
        '    relationships = ["mysql"]  (procsup.toml:15)',
    ]


def test_check_expand_shows_the_numbers_that_start_gives(shop: App) -> None:
    shop.write("Procfile", "web: sleep 1000\nqueue: sleep 1000\nmail: sleep 1000\n")
    shop.write("procsup.toml", FILE.replace("sigtstp, 10, ", ""))  # which suspends them for so long
    supervisor = shop.start()
    found = shop.until_running("web.1", "queue.1", "queue.2", "mail.1")
    shown = [line.split() for line in shop.ok("check", "--expand").splitlines() if " port " in line]
    assert {line[0]: int(line[2]) for line in shown} == {name: each["port"] for name, each in found.items()}
    numbers = {name: each["unique_int"] for name, each in found.items()}
    shop.ok("scale", "queue=1", "--wait")
    supervisor.stop()
    said = shop.ok("check", "--expand")
    assert "    count = 1  (kept by procsup scale, which wins over 2 in procsup.toml:9)" in said
    assert "queue.2" not in said
    assert numbers["queue.1"] == 2
    assert "PROCSUP_UNIQUE_INT=2" in shop.ok("env", "queue").splitlines()


def test_check_warns_of_what_could_not_start_here(app: App) -> None:
    app.write("Procfile", "web: x\nworker: y\nodd: z\n")
    app.write("procsup.toml", "[processes.web]\ncwd = 'nowhere'\n[processes.worker]\nuser = 'nosuchuser'\n")
    done = app.run("check")
    assert done.returncode == 0
    first, second = done.stderr.splitlines()
    assert first.startswith("procsup: warning: web could not start here: cwd (procsup.toml:2): ")
    assert second.startswith("procsup: warning: worker could not start here: user (procsup.toml:4): ")


def test_check_warns_of_a_key_that_has_become_a_variable(app: App) -> None:
    app.write("Procfile", "web: x\n")
    app.write("procsup.toml", "[env]\nLEVEL = 'x'\n\ncount = 3\n")
    done = app.run("check")
    assert done.returncode == 0
    assert done.stderr == (
        'procsup.toml:4: warning: env.count is a variable; if the key "count" is meant, write it before the table env\n'
    )


def test_check_tells_all_mistakes_of_the_file(app: App) -> None:
    app.write("Procfile", "web: x\n")
    app.write("procsup.toml", "coutn = 1\n[processes.web]\ngrace = '1'\n[processes.wbe]\n")
    done = app.run("check")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        'procsup.toml:1:1: error: unknown key "coutn"; did you mean "count"?',
        "procsup.toml:3:1: error: grace must be a number of seconds, 0 or more",
        'procsup.toml:4:12: error: no process type "wbe" in Procfile; did you mean "web"?',
    ]


def test_a_hostile_file_gives_an_error_and_no_traceback(app: App) -> None:
    app.write("Procfile", "web: x\n")
    for text in (
        "a = " + "[" * 50_000,
        "a." * 200_000,
        "count = " + "9" * 50_000,
        "x" * (9 * 1024 * 1024),
        "[processes]\n'\\' = 1",
    ):
        app.write("procsup.toml", text)
        refused(app.run("check"))
    (app.folder / "procsup.toml").unlink()
    (app.folder / "procsup.toml").mkdir()
    assert "procsup.toml:1:1: error: is a folder" in refused(app.run("check"))


def test_env_explain_says_which_line_of_the_file_it_was_and_what_it_won_over(shop: App) -> None:
    shop.environment["LEVEL"] = "inherited"
    assert shop.ok("env", "queue", "--explain", "LEVEL").splitlines() == [
        "LEVEL=debug  from procsup.toml:11  (wins)",
        "LEVEL=info  from procsup.toml:3",
        "LEVEL=inherited  from inherited environment",
    ]
    assert shop.ok("env", "--explain", "LEVEL").splitlines()[0] == "LEVEL=info  from procsup.toml:3  (wins)"
    assert shop.ok("env", "web", "--explain", "PAYMENT_KEY") == "PAYMENT_KEY=****  from procsup.toml:3\n"
    assert "/queue/scratch  from procsup\n" in shop.ok("env", "queue", "--explain", "PROCSUP_MOUNT_SCRATCH")
    assert "is not set" in refused(shop.run("env", "web", "--explain", "PROCSUP_MOUNT_SCRATCH"))


def test_the_schema_can_be_printed_anywhere(app: App) -> None:
    schema = json.loads(app.ok("check", "--schema"))
    assert "count" in schema["properties"]
