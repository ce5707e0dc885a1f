"""What procsup.toml lets a process type start with: variables, folder, terminal, user, and the name of its app."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from tests.e2e.app import PROBE, App
from tests.e2e.refusal import refused
from tests.e2e.somebody import root_only
from tests.e2e.test_settings import READY


def test_a_type_sees_its_own_variables_and_those_of_the_app(app: App) -> None:
    app.write("Procfile", f"web: {PROBE}\nqueue: {PROBE}\n")
    app.write(".env", "LEVEL=from-dotenv\nPLACE=from-dotenv\nFILE=from-dotenv\nOWN=from-dotenv\n")
    app.write("queue.env", "FILE=from-queue-env\nOWN=from-queue-env\nURL=${PLACE}/${FILE}\n")
    app.write(
        "procsup.toml",
        """
env = { PLACE = "from-top" }
[processes.queue]
env_file = ["queue.env"]
env = { OWN = "from-table", WORKERS = 4 }
""",
    )
    app.environment["LEVEL"] = "inherited"
    supervisor = app.start()
    web, queue = supervisor.probe("web.1")["env"], supervisor.probe("queue.1")["env"]
    names = ("LEVEL", "PLACE", "FILE", "OWN", "URL", "WORKERS")
    assert [web.get(name) for name in names] == ["inherited", "from-top", "from-dotenv", "from-dotenv", None, None]
    assert [queue.get(name) for name in names] == [
        "inherited", "from-top", "from-queue-env", "from-table", "from-top/from-queue-env", "4",
    ]  # fmt: skip
    supervisor.stop()
    explained = app.ok("env", "queue", "--explain", "OWN").splitlines()
    assert explained == [
        "OWN=from-table  from procsup.toml:5  (wins)",
        "OWN=from-queue-env  from queue.env:2",
        "OWN=from-dotenv  from .env:4",
    ]


def test_an_env_file_at_the_top_is_read_for_types_without_a_table_too(app: App) -> None:
    app.write("Procfile", f"web: {PROBE}\n")
    app.write("more.env", "MORE=yes\n")
    app.write("procsup.toml", "env_file = 'more.env'\n")
    supervisor = app.start()
    assert supervisor.probe("web.1")["env"]["MORE"] == "yes"
    supervisor.stop()
    (app.folder / "more.env").unlink()
    said = refused(app.run("check"))
    assert said.startswith("more.env:1:1: error: there is no such file")
    assert "(env_file, procsup.toml:1)" in said


RELATIONSHIPS = """
[relationships]
mysql = ["DATABASE_URL", "MYSQL_*"]
rabbitmq = ["RABBITMQ_*"]

[processes.mail]
relationships = ["rabbitmq"]
"""


def test_a_type_does_not_see_the_variables_of_a_relationship_that_it_does_not_list(app: App) -> None:
    app.write("Procfile", f"web: {PROBE}\nmail: {PROBE} $DATABASE_URL\n")
    app.write(".env", "DATABASE_URL=mysql://me:pw@db/x\nRABBITMQ_URL=amqp://q\n")
    app.write("procsup.toml", RELATIONSHIPS)
    app.environment["MYSQL_HOST"] = "db"
    supervisor = app.start()
    web, mail = supervisor.probe("web.1"), supervisor.probe("mail.1")
    hidden = {"DATABASE_URL", "MYSQL_HOST"}
    assert hidden | {"RABBITMQ_URL"} <= set(web["env"])
    assert hidden.isdisjoint(mail["env"])
    assert mail["env"]["RABBITMQ_URL"] == "amqp://q"
    assert mail["argv"] == [], "nor in its command"
    supervisor.stop()


def test_a_variable_that_is_hidden_is_explained(app: App) -> None:
    app.write("Procfile", "web: x\nmail: y\n")
    app.write(".env", "DATABASE_URL=mysql://me:pw@db/x\n")
    app.write("procsup.toml", RELATIONSHIPS)
    assert app.ok("env", "mail", "--explain", "DATABASE_URL") == (
        "DATABASE_URL is hidden from mail: it belongs to the relationship mysql, which mail does not list "
        "(procsup.toml:7)\n"
    )
    assert app.ok("env", "web", "--explain", "DATABASE_URL") == "DATABASE_URL=mysql://me:****@db/x  from .env:1\n"
    assert "DATABASE_URL" not in app.ok("env", "mail")
    assert "MYSQL_HOST is not set" in refused(app.run("env", "mail", "--explain", "MYSQL_HOST"))


def test_a_type_starts_in_its_own_folder(app: App) -> None:
    (app.folder / "sub").mkdir()
    app.write("Procfile", f"web: {PROBE}\nsub: {PROBE}\n")
    app.write("procsup.toml", "[processes.sub]\ncwd = 'sub'\n")
    supervisor = app.start()
    assert supervisor.probe("web.1")["cwd"] == os.path.realpath(app.folder)
    told = supervisor.probe("sub.1")
    assert told["cwd"] == told["env"]["PWD"] == os.path.realpath(app.folder / "sub")
    supervisor.stop()


def test_tty_gives_a_type_a_terminal_and_so_does_the_command_line(app: App) -> None:
    app.write(
        "Procfile",
        "".join(f"{name}: sh -c 'test -t 1 && echo a terminal || echo a pipe; exec sleep 1000'\n" for name in "abc"),
    )
    app.write("procsup.toml", "[processes.a]\ntty = true\n[processes.b]\ntty = false\n")
    supervisor = app.start("--tty", "b")
    for name, what in (("a", "a terminal"), ("b", "a terminal"), ("c", "a pipe")):
        supervisor.wait_for(rf"{name}\.1 +. {what}")
    supervisor.stop()


def test_app_is_the_name_by_which_it_is_found_from_anywhere(app: App, tmp_path: Path) -> None:
    app.write("Procfile", f"web: {READY}\n")
    app.write("procsup.toml", 'app = "shop"\n')
    supervisor = app.start()
    supervisor.wait_for("ready")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = app.run("status", "--app", "shop", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("shop in ")
    assert "shop" in app.ok("list")
    supervisor.stop()


@root_only
def test_a_type_runs_as_its_user(app: App) -> None:
    nobody = pwd.getpwnam("nobody")
    app.write("Procfile", "web: sh -c 'echo I am $(id -u), $HOME, $USER; exec sleep 1000'\n")
    app.write("procsup.toml", "user = 'nobody'\n")
    supervisor = app.start()
    supervisor.wait_for(rf"I am {nobody.pw_uid}, {nobody.pw_dir}, nobody")
    supervisor.stop()
    assert "USER=nobody  from procsup" in app.ok("env", "web", "--explain", "USER")
