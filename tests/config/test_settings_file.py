"""What is said of a procsup.toml that is not right: everything at once, each with its place and what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from procsup.config.settings import Settings
from procsup.config.settings_file import parse_settings
from procsup.errors import ConfigError

TYPES = ("web", "queue", "mail")


def read(text: str | bytes) -> Settings:
    return parse_settings(text.encode() if isinstance(text, str) else text, TYPES, "Procfile")


def complaints(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def test_an_empty_file_says_nothing() -> None:
    for text in ("", "\n", "# only this\n", "\ufeff"):
        settings = read(text)
        assert settings.but(read_from=None) == Settings()
        assert settings.read_from == "procsup.toml"


def test_a_type_has_what_is_at_the_top_and_overrides_it_key_by_key() -> None:
    settings = read(
        """
count = 2
restart = "on-failure"
mounts = ["scratch"]
env = { LEVEL = "info", PLACE = "here" }

[processes.queue]
count = 4
env = { LEVEL = "debug", WORKERS = 4, FAST = true, RATE = 0.5 }

[processes.mail]
mounts = []
"""
    )
    assert (settings.of("web").count, settings.of("queue").count, settings.of("mail").count) == (2, 4, 2)
    assert settings.of("queue").restart == "on-failure"
    assert settings.of("queue").mounts == ("scratch",)
    assert settings.of("mail").mounts == ()
    assert settings.visible_env("queue") == {
        "LEVEL": "debug", "PLACE": "here", "WORKERS": "4", "FAST": "true", "RATE": "0.5",
    }  # fmt: skip
    assert settings.visible_env("web") == {"LEVEL": "info", "PLACE": "here"}
    assert settings.place("web", "count") == "procsup.toml:2"
    assert settings.place("queue", "count") == "procsup.toml:8"
    assert settings.place("queue", "mounts") == "procsup.toml:4"
    assert settings.place("queue", "env.LEVEL") == "procsup.toml:9"
    assert settings.place("queue", "env.PLACE") == "procsup.toml:5"
    assert settings.place("queue", "grace") is None


@pytest.mark.parametrize(
    "text",
    [
        "[processes.web]\ncount = 3\n",
        "processes.web.count = 3\n",
        "[processes]\nweb.count = 3\n",
        "[processes]\nweb = { count = 3 }\n",
        "processes = { web = { count = 3 } }\n",
        '[\'processes\'."w\\u0065b"]\n"count" = 3\n',
        "\ufeff[processes.web]\r\ncount = 3\r\n",
        "[processes.web] # here\ncount=0x3#so\n",
    ],
)
def test_every_way_in_which_toml_can_say_it_is_understood(text: str) -> None:
    assert read(text).of("web").count == 3
    where = next(number for number, line in enumerate(text.split("\n"), 1) if "count" in line)
    assert read(text).place("web", "count") == f"procsup.toml:{where}"


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    assert complaints(
        """count = -1
cuont = 2
restart = "sometimes"
max_processes = 0

[processes.wbe]
count = 1

[processes.web]
app = "shop"
grace = "15"
max_proceses = 3
"""
    ) == [
        "procsup.toml:1:1: error: count must be a whole number from 0 to 10000",
        'procsup.toml:2:1: error: unknown key "cuont"; did you mean "count"?',
        'procsup.toml:3:1: error: restart must be "always" or "on-failure" or "never"',
        "procsup.toml:4:1: error: max_processes must be a whole number from 1 to 1000000",
        'procsup.toml:6:12: error: no process type "wbe" in Procfile; did you mean "web"?',
        'procsup.toml:10:1: error: "app" belongs at the top of the file, before the first [table]',
        "procsup.toml:11:1: error: grace must be a number of seconds, 0 or more",
        complaints("[processes.web]\n" * 1 + "max_proceses = 3")[0].replace(":2:", ":12:"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A key that nobody knows, or at a level where it is not known.
        ("xyzzy = 1", '1:1: error: unknown key "xyzzy"; there are: count, restart, '),
        ("web = 1", '1:1: error: unknown key "web"; for the process type write [processes.web]'),
        ("[web]\ncount = 1", '1:2: error: unknown key "web"; for the process type write [processes.web]'),
        ("[process.web]\ncount = 1", '1:2: error: unknown key "process"; did you mean "processes"?'),
        ('"\\n\\u001b[1m" = 1', '1:1: error: unknown key "??[1m"; there are: '),
        ("processes = 1", "1:1: error: processes must be tables, as in [processes.web]"),
        ("[[processes]]", "1:3: error: processes must be tables, as in [processes.web]"),
        ("[[processes.web]]\ncount = 1", "1:13: error: must be a table, as in [processes.web], in single brackets"),
        ("[processes]\nweb = 2", "2:1: error: must be a table, as in [processes.web]"),
        ("[processes]\ncount = 2", '2:1: error: "count" belongs at the top of the file, before the first [table], or '),
        ("[processes]\napp = 'x'", '2:1: error: "app" belongs at the top of the file, before the first [table]'),
        ("[processes.nobody]", '1:12: error: no process type "nobody" in Procfile; there are: web, queue, mail'),
        ("[processes.web.processes]", '1:16: error: unknown key "processes"; '),
        # Values of another kind.
        ("count = true", "1:1: error: count must be a whole number"),
        ("count = 2.0", "1:1: error: count must be a whole number"),
        ('count = "2"', "1:1: error: count must be a whole number"),
        ("count = 10001", "1:1: error: count must be a whole number from 0 to 10000"),
        ("grace = nan", "1:1: error: grace must be a number of seconds, 0 or more"),
        ("grace = inf", "1:1: error: grace must be a number of seconds, 0 or more"),
        ("grace = -1", "1:1: error: grace must be a number of seconds, 0 or more"),
        ("grace = " + "9" * 4000, "1:1: error: grace must be a number of seconds, 0 or more"),
        ("ready_timeout = 0x" + "f" * 4000, "1:1: error: ready_timeout must be a number of seconds, more than 0"),
        ("live_interval = 0", "1:1: error: live_interval must be a number of seconds, more than 0"),
        ("live_interval = 1e9", "1:1: error: live_interval must be a number of seconds, more than 0"),
        ("live_interval = nan", "1:1: error: live_interval must be a number of seconds, more than 0"),
        ("live_interval = true", "1:1: error: live_interval must be a number of seconds, more than 0"),
        ("grace = 12:30:00", "1:1: error: grace must be a number of seconds, 0 or more"),
        ('tty = "yes"', "1:1: error: tty must be true or false, without quotes"),
        ("tty = 1", "1:1: error: tty must be true or false, without quotes"),
        ("cwd = ''", "1:1: error: cwd must be a text that is not empty"),
        ('cwd = "a\\u0000b"', "1:1: error: cwd must be a text that is not empty, on one line"),
        ("cwd = ['a']", "1:1: error: cwd must be a text"),
        ("env_file = [1]", '1:1: error: env_file must be a list of texts, as in ["a", "b"]'),
        ("env_file = [['a']]", "1:1: error: env_file must be a list of texts"),
        ("mounts = ['A']", "1:1: error: mounts must be a list of different names of small letters"),
        ("mounts = ['a/b']", "1:1: error: mounts must be"),
        ("mounts = ['..']", "1:1: error: mounts must be"),
        ("mounts = ['a', 'a']", "1:1: error: mounts must be a list of different names"),
        ("mounts = ['a-b', 'a_b']", "1:1: error: mounts must be a list of different names"),
        # Variables, each with its own place.
        ("env = ['A=1']", "1:1: error: env must be a table of variables, as in { LEVEL"),
        ("env = { A = 1, B-C = 2 }", "1:16: error: env.B-C must be a variable's name"),
        ("[env]\nA = 1\nB = 1979-05-27", "3:1: error: env.B must be a text, a number, true or false"),
        ("[env]\nA = []", "2:1: error: env.A must be a text, a number, true or false"),
        ('[env]\nA = "\\u0000"', "2:1: error: env.A must be a text"),
        ("env.A.B = 1", "1:5: error: env.A must be a text"),
        ("[env]\nA = 0x" + "f" * 5000, "2:1: error: env.A must be a text, a number"),
        ("[env]\nmounts = ['x']", "2:1: error: env.mounts must be a text, a number, true or false; for anything else"),
        # Who has to be there before.
        ("depends_on = 'wbe'", '1:1: error: no process type "wbe" to depend on; did you mean "web"?'),
        ("depends_on = 'redis'", '1:1: error: no process type "redis" to depend on; there are: web, queue, mail'),
        ('depends_on = "a\\u2028b\\u001b"', "1:1: error: depends_on must be a list of texts"),
        ('depends_on = "a\\u2028\\u202eb"', '1:1: error: no process type "a??b" to depend on; there are: '),
        ("depends_on = '" + "x" * 100 + "'", f'1:1: error: no process type "{"x" * 60}…" to depend on; '),
        # Relationships.
        ("relationships = ['a']", "1:1: error: relationships must be a table of groups of variables"),
        ("relationships.db = 'A B'", "1:15: error: relationships.db must be a list of variables, as in "),
        ("[relationships]\ndb = ['A', 'B-*']", "2:1: error: relationships.db must be a list of variables"),
        (
            "[relationships]\ndb = 'DB_*'\ncount = 3",
            "3:1: error: relationships.count must be a list of variables, as in "
            '["DATABASE_URL", "MYSQL_*"]; if the key "count" is meant, write it before [relationships]',
        ),
        (
            "[relationships]\nmysql = 'X'\n[processes.web]\nrelationships = ['mysq']",
            '4:1: error: no relationship "mysq"; did you mean "mysql"?',
        ),
        (
            "[relationships]\nmysql = 'X'\n[processes.web]\nrelationships = 'redis'",
            '4:1: error: no relationship "redis"; there is: mysql',
        ),
        (
            "[processes.web]\nrelationships = ['redis']",
            '2:1: error: no relationship "redis"; write [relationships] redis = ["NAME_*"]',
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_do(text: str, expected: str) -> None:
    [said] = complaints(text)
    assert said.startswith(f"procsup.toml:{expected}")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("count 3", "1:7", "lines are KEY = VALUE"),
        ("count: 3", "1:6", "lines are KEY = VALUE"),
        ("restart = always", "1:11", "texts stand in quotes"),
        ("count = 1\ncount = 2", "2:10", "say it once"),
        ("[env]\n[env]", "2:5", "cannot declare [env] twice; put all of a table in one place"),
        ("[processes.web]\n[processes.web]", "2:15", "cannot declare [processes.web] twice"),
        ("env = {}\n[env]\nA = 1", "2:5", "put all of a table in one place"),
        ('a = "', "1:6", "end it with the quotes"),
        ('\n\na = """\n', "4:1", "end it with the quotes"),
        ('a = "\\x"', "1:8", "single quotes"),
        ("a = 1979-13-99", "1:9", "toml.io"),
        ("<<<<<<< HEAD\ncount = 1\n", "1:1", "a merge conflict"),
        ("count = 1\n=======\n", "2:1", "lines are KEY = VALUE"),
        ("a = " + "[" * 100_000, "1:1", "brackets inside brackets"),
        ("a = " + "{a=" * 100_000, "1:1", "brackets inside brackets"),
        ("\na = [" + "9" * 5000 + "]", "2:6", "thousands of digits"),
        ("\n " + "a." * 100_000 + "a = 1", "2:2", "hundreds of parts"),
        ("[" + "'a' . " * 100_000 + "a]", "1:2", "hundreds of parts"),
        ("a = 1\0", "1:6", "a NUL byte"),
        (b"a = '\xff'", "1:6", "is not UTF-8"),
        (b"a = 1\rb = 2", "1:6", "carriage return"),
        (b"\xff\xfea\0", "1:1", "UTF-16"),
    ],
)
def test_what_is_no_toml_is_told_with_its_place(text: str | bytes, place: str, words: str) -> None:
    [said] = complaints(text)
    assert said.startswith(f"procsup.toml:{place}: error: ")
    assert words in said


@pytest.mark.parametrize(
    ("stop", "steps"),
    [
        ("TERM", [(15, None)]),
        ("sigint", [(2, None)]),
        (" usr1 , 20 ,term, 11 , kill ", [(10, 20.0), (15, 11.0), (9, None)]),
        ("TSTP, 10, TERM, 15, KILL", [(20, 10.0), (15, 15.0), (9, None)]),
        ("INT, TERM, 0.5", [(2, None), (15, 0.5)]),
        ("QUIT, 0", [(3, 0.0)]),
        ("KILL", [(9, None)]),
        ("RTMIN+3", [(37, None)]),
        ("SIGRTMAX-1, 2, RTMIN", [(63, 2.0), (34, None)]),
    ],
)
@pytest.mark.skipif("sys.platform != 'linux'", reason="signals have other numbers here")
def test_a_stop_is_signals_and_seconds_by_turns(stop: str, steps: list[tuple[int, float | None]]) -> None:
    assert [(step.signal, step.wait) for step in read(f'stop = "{stop}"').of("web").stop] == steps


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        ("", "by turns"),
        ("10, TERM", "by turns"),
        ("15", "by turns"),
        ("TERM, 10, 5", "by turns"),
        ("TERM, -1", "by turns"),
        ("TERM, 1e3", "by turns"),
        ("TERM, \u0663", "by turns"),
        ("TERM,", "by turns"),
        ("TERM,,KILL", "by turns"),
        ("TERM; KILL", "by turns"),
        ("TERMINATE", 'no signal "TERMINATE"'),
        ("TERM, SIG", 'no signal "SIG"'),
        ("_DFL", "by turns"),
        ("DFL", 'no signal "DFL"'),
        ("RTMIN+99", 'no signal "RTMIN+99"'),
        ("STOP", "STOP stops nothing"),
        ("KILL, 5", "nothing comes after KILL"),
        ("KILL, 0", "nothing comes after KILL"),
        ("KILL, TERM", "nothing comes after KILL"),
        ("TERM, 5, KILL, 5, INT", "nothing comes after KILL"),
    ],
)
def test_a_stop_that_is_none_is_refused(stop: str, words: str) -> None:
    [said] = complaints(f'stop = "{stop}"')
    assert said.startswith("procsup.toml:1:1: error: stop must be signals and seconds by turns, as in ")
    assert words in said


def test_one_alone_may_stand_without_brackets() -> None:
    settings = read(
        "env_file = 'a.env'\nmounts = 'scratch'\nrelationships.db = 'DB_*'\n[processes.web]\nrelationships='db'"
    )
    assert settings.of("web").env_file == ("a.env",)
    assert settings.of("web").mounts == ("scratch",)
    assert settings.of("web").relationships == ("db",)
    assert settings.relationships == {"db": ("DB_*",)}


def test_where_there_is_no_such_file_nothing_is_loaded_for_it(tmp_path: Path) -> None:
    """All of it is on the way to the first child."""
    (tmp_path / "Procfile").write_text("web: sleep 1\n")
    program = (
        "import sys; from procsup.config.project import ProjectOptions, load_project;"
        f"project = load_project(ProjectOptions(), {{}}, {str(tmp_path)!r}, bytes);"
        "project.instance_environment('web', 1, 5000, 1, {}); project.fingerprint('web'); project.default_counts();"
        "print(*[name for name in sys.modules if name in ('tomllib', 'fnmatch', 'json', 'difflib')"
        " or name.startswith(('procsup.config.settings_', 'procsup.config.toml'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
