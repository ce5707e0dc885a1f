"""The export for Nomad, read by a reader of its language: our values come back, and Nomad has nothing to fill in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import hcl2
from hcl2.utils import process_escape_sequences
from hypothesis import given, settings

from procsup.export.model import PRIVATE, PUBLIC, App
from procsup.export.nomad import write
from tests.export.nasty import run, take, telling, variables, words

# When a task starts, Nomad replaces this in what a job says, wherever it stands, if there is a variable of that name.
_FILLED_IN = re.compile(r"\$\{[A-Za-z0-9_.-]+\}")
_OURS = "${NOMAD_ALLOC_NAME}"


def _plain(value: Any) -> Any:
    """The reader leaves quotes and escapes as they are. What is filled in while it is read would be in braces here."""
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str) and value[:1] == '"':
        assert not re.search(r"[$%]\{", value)
        return process_escape_sequences(value[1:-1])
    return value


def _jobs(app: App) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    """The jobs by name, and the variables by path."""
    jobs: dict[str, Any] = {}
    stored: dict[str, dict[str, str]] = {}
    for path, file in write(app).files.items():
        if path.startswith("secrets/"):
            assert file.mode == PRIVATE
            spec = json.loads(file.content)
            stored[spec["Path"]] = spec["Items"]
        else:
            [job] = _plain(hcl2.loads(file.content.decode()))["job"]
            jobs |= job
    return jobs, stored


def _groups(jobs: dict[str, Any]) -> dict[str, Any]:
    return {name: group for job in jobs.values() for each in job["group"] for name, group in each.items()}


def _task(group: dict[str, Any]) -> Any:
    [[task]] = [list(each.values()) for each in group["task"]]
    return task


def _environment(task: dict[str, Any], stored: dict[str, dict[str, str]]) -> dict[str, str]:
    found: dict[str, str] = dict(task["env"])
    assert all(value == _OURS or not _FILLED_IN.search(value) for value in found.values())
    for template in task.get("template", []):
        path = re.search(r'nomadVar "([^"]*)"', template["data"])
        assert path is not None
        assert template["env"] is True
        found |= stored[path[1]]
    return found


def _argv(group: dict[str, Any]) -> list[str]:
    argv: list[str] = _task(group)["config"][0]["entrypoint"]
    assert not any(_FILLED_IN.search(each) for each in argv)
    return argv


def test_the_example_is_what_it_is_in_procsup() -> None:
    app = take(
        "web: serve --bind 0.0.0.0:$PORT\nmy_worker: python job.py <<UNIQUE_INT>>\nonce: run\nrelease: run\n",
        '[processes.web]\ncount = 3\nready = "http /ok"\nlive = "http /alive"\ngrace = 2.5\nmemory = "300M"\n'
        'cpu = 0.5\nmounts = ["scratch"]\nuser = "www-data"\n[processes.my_worker]\ncount = 2\n'
        'stop = "TSTP, 2, INT, 40"\n[processes.once]\nrestart = "on-failure"\nmax_restarts = 3\nrestart_window = 30\n',
        {"API_KEY": "s3cret", "LEVEL": "info"},
    )
    jobs, stored = _jobs(app)
    assert {name: job["type"] for name, job in jobs.items()} == {
        "shop": "service",
        "shop-once": "batch",
        "shop-release": "batch",
    }
    groups = _groups(jobs)
    web, task = groups["web"], _task(groups["web"])
    assert web["count"] == 3
    assert web["network"] == [{"port": [{"main": {"to": 5000}}]}]
    checks = web["service"][0]["check"]
    assert [(each["name"], each["path"]) for each in checks] == [("ready", "/ok"), ("live", "/alive")]
    assert checks[1]["check_restart"] == [{"limit": 3, "grace": "60s"}]
    assert (task["kill_signal"], task["kill_timeout"], task["user"]) == ("SIGTERM", "2500ms", "www-data")
    assert task["resources"] == [{"cpu": 500, "memory": 300}]
    assert task["config"][0]["mount"] == [{"type": "volume", "source": "shop.web.scratch", "target": "/mnt/scratch"}]
    environment = _environment(task, stored)
    assert (environment["PORT"], environment["API_KEY"], environment["LEVEL"]) == ("5000", "s3cret", "info")
    assert environment["PROCSUP_MOUNT_SCRATCH"] == "/mnt/scratch"
    assert _task(groups["my-worker"])["kill_signal"] == "SIGINT"
    assert groups["once"]["restart"] == [{"attempts": 3, "interval": "30s", "delay": "1s", "mode": "fail"}]
    assert groups["release"]["restart"] == [{"attempts": 0, "mode": "fail"}]
    assert groups["release"]["count"] == 1
    told = "\n".join(write(app).unsaid)
    for sentence in (
        "my_worker is called my-worker",
        "only INT is sent",
        "42 s want max_kill_timeout",
        "megahertz",
        "volumes of Docker",
    ):
        assert sentence in told


def test_jobs_are_run_one_file_at_a_time_and_no_release_among_them(tmp_path: Path) -> None:
    app = take("mail: run\nreport: run\nrelease: run\n", 'restart = "never"\n')
    nomad = tmp_path / "nomad"
    nomad.write_text('#!/bin/sh\necho "$#" "$@"\n')
    nomad.chmod(0o755)
    next_ = write(app).next.replace("{}", "'/a b'")
    assert run(["/bin/sh", "-c", next_], PATH=str(tmp_path)).splitlines() == [
        "3 job run /a b/jobs/mail.nomad.hcl",
        "3 job run /a b/jobs/report.nomad.hcl",
    ]


def test_a_secret_is_in_no_file_that_others_can_read() -> None:
    files = write(take("web: serve\n", "", {"A_KEY": "s3cret-word", "LEVEL": "info"})).files
    assert files["shop.nomad.hcl"].mode == PUBLIC
    assert b"s3cret-word" not in files["shop.nomad.hcl"].content
    assert b"info" in files["shop.nomad.hcl"].content


@settings(max_examples=25)
@given(variables)
def test_a_task_gets_every_value_as_it_is(values: dict[str, str]) -> None:
    jobs, stored = _jobs(take("web: true\nonce: true\n", "[processes.once]\none_shot = true\n", values))
    for group in _groups(jobs).values():
        environment = _environment(_task(group), stored)
        assert {name: environment[name] for name in values} == values


@settings(max_examples=25)
@given(words)
def test_a_command_gets_the_words_that_procsup_would_give_it(word: str) -> None:
    more = "$HOME ${HOME} <<UNIQUE_INT>> ${PROCSUP_INSTANCE} ${PS}"
    jobs, _ = _jobs(take(f"web: {telling(word, '${HOME}')}\ncounting: {telling(word, more)}\n"))
    groups = _groups(jobs)
    assert run(_argv(groups["web"]), HOME="/a") == f"<{word}></a>"
    told = run(_argv(groups["counting"]), HOME="/a", NOMAD_ALLOC_INDEX="6")
    assert told == f"<{word}></a></a><7><7><counting.7>"
