"""The export for launchd, read by a reader of property lists: known keys of the right kind, and our values."""

from __future__ import annotations

import plistlib
from typing import Any

import pytest
from hypothesis import example, given, settings

from procsup.export.launchd import write
from procsup.export.model import PRIVATE, PUBLIC, App
from tests.export.nasty import of, run, take, telling, variables, words

# launchd.plist(5)
_KINDS: dict[str, type | tuple[type, ...]] = {
    "Label": str,
    "ProgramArguments": list,
    "EnvironmentVariables": dict,
    "WorkingDirectory": str,
    "UserName": str,
    "RunAtLoad": bool,
    "KeepAlive": (bool, dict),
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "StandardOutPath": str,
    "StandardErrorPath": str,
}


def _lists(app: App) -> dict[str, dict[str, Any]]:
    """By the name of the file, without its end."""
    found = {}
    for path, file in write(app).files.items():
        entries = plistlib.loads(file.content)
        for key, value in entries.items():
            assert isinstance(value, _KINDS[key]), key
        assert path == f"{entries['Label']}.plist"
        assert all(isinstance(each, str) for each in entries["ProgramArguments"])
        assert entries["ProgramArguments"][0].startswith("/")  # launchd looks in a PATH of its own
        assert all(isinstance(each, str) for each in entries["EnvironmentVariables"].values())
        assert entries["ExitTimeOut"] > 0  # 0 is for ever
        found[entries["Label"]] = entries
    return found


def test_each_instance_has_a_list_with_its_numbers() -> None:
    app = take(
        "web: serve $PORT\njob: python job.py <<UNIQUE_INT>>\nonce: run\nrelease: run\n",
        '[processes.web]\ncount = 2\ngrace = 2.5\n[processes.job]\nrestart = "on-failure"\nuser = "www"\n'
        '[processes.once]\nrestart = "never"\n',
    )
    lists = _lists(app)
    assert sorted(lists) == ["shop.job.1", "shop.once.1", "shop.web.1", "shop.web.2"]
    assert [lists[f"shop.web.{n}"]["EnvironmentVariables"]["PORT"] for n in (1, 2)] == ["5000", "5001"]
    assert lists["shop.job.1"]["ProgramArguments"] == ["/bin/sh", "-c", "exec python job.py 3"]
    assert lists["shop.job.1"]["EnvironmentVariables"]["PROCSUP_UNIQUE_INT"] == "3"
    assert lists["shop.job.1"]["UserName"] == "www"
    assert lists["shop.job.1"]["EnvironmentVariables"]["HOME"] == "/home/www"
    assert lists["shop.web.1"]["ExitTimeOut"] == 3
    assert lists["shop.web.1"]["WorkingDirectory"] == app.root
    assert [lists[f"shop.{name}.1"]["KeepAlive"] for name in ("web", "job", "once")] == [
        True,
        {"SuccessfulExit": False},
        False,
    ]
    told = "\n".join(write(app).unsaid)
    assert "release: its count is 0" in told


def test_a_release_is_run_once_whatever_the_others_habit() -> None:
    for habit in ("", 'restart = "always"\n', 'restart = "on-failure"\n'):
        app = take("release: run\n", habit, release=1)
        assert of(app, "release").restart == "never"
        assert _lists(app)["shop.release.1"]["KeepAlive"] is False


def test_what_cannot_be_said_is_told_by_name() -> None:
    app = take(
        "web: serve\n",
        'stop = "INT, 5, TERM"\nmemory = "1G"\nready = "notify"\nsocket = "127.0.0.1:8000"\nmounts = ["a"]\n',
    )
    told = "\n".join(write(app).unsaid)
    for words_ in ("web: its stop, INT, TERM, is left out", "memory = ", "ready = ", "socket = ", "mounts = "):
        assert words_ in told


@pytest.mark.parametrize(("environment", "mode"), [({"API_KEY": "s3cret"}, PRIVATE), ({"LEVEL": "info"}, PUBLIC)])
def test_nobody_else_may_read_a_list_with_secrets(environment: dict[str, str], mode: int) -> None:
    [file] = write(take("web: serve\n", "", environment)).files.values()
    assert file.mode == mode


@settings(max_examples=60)
@given(variables)
@example({"V_a": "two\r\nlines"})  # nothing but this makes XML say something else
@example({"V_a": '<é> & "😀" ]]>'})
def test_a_process_gets_every_value_as_it_is(values: dict[str, str]) -> None:
    app = take("web: true\n", "", values)
    environment = _lists(app)["shop.web.1"]["EnvironmentVariables"]
    assert environment == app.environment(of(app, "web"), of(app, "web").first)
    assert {name: environment[name] for name in values} == values


@settings(max_examples=40)
@given(words)
def test_a_command_gets_the_words_that_procsup_would_give_it(word: str) -> None:
    app = take(f"web: {telling(word, '<<UNIQUE_INT>>')}\n")
    assert run(_lists(app)["shop.web.1"]["ProgramArguments"]) == f"<{word}><1>"


def test_a_value_that_is_no_text_is_left_out_and_told() -> None:
    app = take("web: true\n")
    web = of(app, "web")
    web = web._replace(env=web.env._replace(plain={"BAD": "\udcff"}))
    app = app._replace(types=(web,))
    assert "BAD" not in _lists(app)["shop.web.1"]["EnvironmentVariables"]
    assert "the variable BAD of web is left out" in "\n".join(write(app).unsaid)
