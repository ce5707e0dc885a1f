"""The export for Compose, read by Compose: valid, and what the containers get is what procsup's children get.

Each reading is a start of docker-compose, of most of a second; so a project has many values at once.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from procsup.export.compose import write
from procsup.export.model import PRIVATE, PUBLIC, App
from tests.export.nasty import run, take, telling, texts, words
from tests.faults.needs import needs, works

# `docker-compose config` writes these as they are, and every reader then takes them for ends of lines.
_NOT_IN_ITS_OUTPUT = str.maketrans("\x85\u2028\u2029", "   ")

pytestmark = needs(works("docker-compose", "version"), "needs docker-compose")


def _services(app: App) -> dict[str, Any]:
    """As Compose understands them, the env_files read, and variables filled in."""
    with tempfile.TemporaryDirectory() as folder:
        for path, file in write(app).files.items():
            Path(folder, path).write_bytes(file.content)
        done = subprocess.run(
            ["docker-compose", "--file", "compose.yaml", "config"],
            cwd=folder,
            # What it fills in where a dollar was forgotten.
            env={"PATH": "/usr/bin:/bin", "HOME": folder, "PORT": "wrong", "a": "wrong", "x": "wrong"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(done.stdout)).replace("$$", "$"))["services"]
    return services


def test_the_example_is_what_it_is_in_procsup() -> None:
    app = take(
        "web: serve --bind 0.0.0.0:$PORT\nnumbered: python job.py <<UNIQUE_INT>>\ndb: database\nonce: run\n"
        "off: sleep 5\nrelease: run\n",
        '[processes.web]\ncount = 3\nready = "http /it\'s?$ok"\nready_timeout = 30\ngrace = 2.5\nmemory = "300M"\n'
        'cpu = 0.5\ndepends_on = ["db", "once", "numbered"]\nmounts = ["scratch"]\nuser = "www-data"\n'
        '[processes.numbered]\ncount = 2\n[processes.off]\ncount = 0\n[processes.db]\nstop = "TSTP, 2, INT, 20"\n'
        'ready = "http /"\nrestart = "on-failure"\nmax_restarts = 3\n[processes.once]\none_shot = true\n',
        {"API_KEY": "s3cret"},
    )
    services = _services(app)
    assert sorted(services) == ["db", "numbered.1", "numbered.2", "off", "once", "release", "web"]
    web = services["web"]
    assert web["deploy"]["replicas"] == 3
    assert web["ports"] == ["127.0.0.1:5000-5002:5000/tcp"]
    assert (web["stop_signal"], web["stop_grace_period"], web["restart"]) == ("SIGTERM", "2500ms", "always")
    assert (web["mem_limit"], web["cpus"], web["user"], web["init"]) == ("314572800b", 0.5, "www-data", True)
    assert web["healthcheck"]["start_period"] == "30s"
    assert "curl -fsS -o /dev/null 'http://127.0.0.1:5000/it'\\''s?$ok'" in web["healthcheck"]["test"][1]
    assert web["depends_on"] == {
        "db": {"condition": "service_healthy"},
        "once": {"condition": "service_completed_successfully"},
        "numbered.1": {"condition": "service_started"},
        "numbered.2": {"condition": "service_started"},
    }
    assert web["volumes"] == [{"type": "volume", "source": "web.scratch", "target": "/mnt/scratch"}]
    assert web["environment"]["PROCSUP_MOUNT_SCRATCH"] == "/mnt/scratch"
    assert web["environment"]["API_KEY"] == "s3cret"
    assert services["numbered.2"]["environment"]["PS"] == "numbered.2"
    assert services["numbered.2"]["environment"]["PROCSUP_UNIQUE_INT"] == "5"
    assert services["numbered.2"]["entrypoint"][-1].endswith("job.py 5")
    assert services["db"]["stop_signal"] == "SIGINT"
    assert services["db"]["restart"] == "on-failure:3"
    assert services["off"]["profiles"] == services["release"]["profiles"] == ["by-request"]
    assert services["release"]["restart"] == "no"


def test_what_cannot_be_said_is_told_by_name() -> None:
    app = take(
        "web: serve --bind localhost:$PORT\nnumbered: run <<UNIQUE_INT>>\nrelease: run\n",
        'live = "http /"\nready = "log up"\n[processes.numbered]\ncount = 2\nstop = "TSTP, 2, TERM"\n',
    )
    told = "\n".join(write(app).unsaid)
    for sentence in (
        "placeholder: name yours with --image",
        "web: in a container nobody reaches 127.0.0.1",
        'web: live = "http /"',
        'web: ready = "log up"',
        "numbered: has a service for each number",
        "only TERM is sent",
        "release: runs when you say so",
    ):
        assert sentence in told


def test_what_may_not_come_back_at_all_is_not_brought_back_for_ever() -> None:
    services = _services(take("job: run\n", 'restart = "on-failure"\nmax_restarts = 0\n'))
    assert services["job"]["restart"] == "no"


def test_every_command_it_names_says_which_project() -> None:
    export = write(take("web: run\noff: run\nrelease: run\n", "[processes.off]\ncount = 0\n"))
    told = [line for line in (*export.unsaid, export.next) if "docker compose" in line]
    assert len(told) == 3
    assert all("docker compose --project-name shop " in line for line in told)


def test_a_secret_is_in_no_file_that_others_can_read() -> None:
    hard = {"A_KEY": "plain-word-1", "B_KEY": "it's ${HOME}-2", "C_KEY": "back\\slash $3", "D_KEY": "two\nlines-4"}
    for environment, mode in ((hard, PRIVATE), ({"A_KEY": "plain-word-1"}, PUBLIC)):
        files = write(take("web: serve\n", "", environment)).files
        assert files["compose.yaml"].mode == mode  # it has those that no env_file can have
        assert files["web.env"].mode == PRIVATE
        assert (b"plain-word-1" in files["compose.yaml"].content) is False


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(st.lists(texts, min_size=20, max_size=60))
def test_a_container_gets_every_value_as_it_is(values: list[str]) -> None:
    variables = {
        f"V_{'KEY_' * (number % 2)}{number}": value.translate(_NOT_IN_ITS_OUTPUT) for number, value in enumerate(values)
    }
    environment = _services(take("web: true\n", "", variables))["web"]["environment"]
    assert {name: environment[name] or "" for name in variables} == variables


@settings(max_examples=4, suppress_health_check=list(HealthCheck))
@given(st.lists(words, min_size=5, max_size=15))
def test_a_command_gets_the_words_that_procsup_would_give_it(found: list[str]) -> None:
    lines = [f"t{number}: {telling(word, '<<UNIQUE_INT>>' * (number % 2))}\n" for number, word in enumerate(found)]
    services = _services(take("".join(lines)))
    for number, word in enumerate(found):
        name, more = (f"t{number}.1", f"<{number + 1}>") if number % 2 else (f"t{number}", "")
        assert run(services[name]["entrypoint"]) == f"<{word}>{more}"


def test_a_folder_below_the_root_is_found_from_the_images_own(tmp_path: Path) -> None:
    (tmp_path / "it's $HOME").mkdir()
    services = _services(take("web: pwd\n", 'cwd = "it\'s $HOME"\n'))
    assert run(services["web"]["entrypoint"], str(tmp_path)) == f"{tmp_path}/it's $HOME\n"
