"""The export for Kubernetes: valid by the schemas of old and new versions, and what the containers get is ours."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings

from procsup.export.kubernetes import write
from procsup.export.model import PRIVATE, PUBLIC, App
from tests.export.nasty import of, run, take, telling, variables, words

_VERSIONS = (kubernetes_validate.utils.all_versions()[0], kubernetes_validate.latest_version())

_PROCFILE = """\
web: gunicorn --bind 0.0.0.0:$PORT web:app
my_worker: python worker.py --number <<UNIQUE_INT>>
other: python other.py $PROCSUP_INSTANCE
scratch: python draw.py
mail: python mail.py
release: python migrate.py
"""
_SETTINGS = """
size = "S"
[processes.web]
count = 3
ready = "http /healthz?a=$(b)"
live = "http /alive"
live_interval = 2.5
ready_timeout = 30
[processes.my_worker]
count = 2
stop = "TSTP, 10, INT, 20"
[processes.other]
cwd = "below"
[processes.scratch]
mounts = ["one_place", "two"]
memory = "1500K"
cpu = 0.015
ready = "port"
[processes.mail]
one_shot = true
count = 2
max_restarts = 4
depends_on = ["web"]
[processes.release]
user = "nobody"
"""


def _objects(app: App) -> dict[tuple[str, str], dict[str, Any]]:
    """All of them, by kind and name: valid, and none twice."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path, file in write(app).files.items():
        for each in yaml.safe_load_all(file.content):
            for version in _VERSIONS:
                kubernetes_validate.validate(each, version, strict=True)
            key = (each["kind"], each["metadata"]["name"])
            assert key not in found
            found[key] = each
            assert (file.mode == PRIVATE) == (each["kind"] == "Secret"), path
            assert file.mode in (PRIVATE, PUBLIC)
    return found


def _container(workload: Mapping[str, Any]) -> Any:
    [container] = workload["spec"]["template"]["spec"]["containers"]
    return container


def _environment(objects: Mapping[tuple[str, str], Mapping[str, Any]], container: Mapping[str, Any]) -> dict[str, str]:
    """What the kubelet makes of it; a field of the pod is called by its path."""
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        if "configMapRef" in source:
            found |= objects["ConfigMap", source["configMapRef"]["name"]]["data"]
        else:
            data = objects["Secret", source["secretRef"]["name"]]["data"]
            found |= {name: base64.b64decode(value).decode() for name, value in data.items()}
    return found | {each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"]}


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """As Kubernetes reads a command: $(NAME) is a variable where there is one of that name, and $$ a dollar."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return environment.get(found[0][2:-1], found[0]) if found[0].startswith("$(") else found[0]

    return re.sub(r"\$\$|\$\([^)]*\)|\$", value, text)


def test_the_example_is_what_it_is_in_procsup() -> None:
    app = take(_PROCFILE, _SETTINGS, {"API_KEY": "s3cret", "LEVEL": "info"})
    objects = _objects(app)
    assert {key for key in objects if key[0] not in ("ConfigMap", "Secret")} == {
        ("Deployment", "web"),
        ("Service", "web"),
        ("StatefulSet", "my-worker"),
        ("Service", "my-worker"),
        ("StatefulSet", "other"),
        ("Service", "other"),
        ("StatefulSet", "scratch"),
        ("Service", "scratch"),
        ("Job", "mail"),
        ("Job", "release"),
    }
    web = objects["Deployment", "web"]
    assert web["spec"]["replicas"] == 3
    assert objects["Service", "web"]["spec"]["ports"] == [{"name": "main", "port": 5000, "targetPort": 5000}]
    assert objects["Service", "web"]["spec"]["selector"] == web["spec"]["template"]["metadata"]["labels"]
    inside = _container(web)
    assert inside["startupProbe"]["failureThreshold"] == 30
    assert inside["readinessProbe"]["httpGet"] == {"path": "/healthz?a=$(b)", "port": 5000}
    assert inside["livenessProbe"]["httpGet"] == {"path": "/alive", "port": 5000}
    assert inside["livenessProbe"]["periodSeconds"] == 3
    assert inside["resources"]["limits"] == {"memory": "256Mi", "cpu": "500m"}
    assert web["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 15
    assert "lifecycle" not in inside
    environment = _environment(objects, inside)
    assert environment["PORT"] == environment["PROCSUP_PORT_web"] == "5000"
    assert environment["API_KEY"] == "s3cret"
    assert environment["LEVEL"] == "info"

    worker = objects["StatefulSet", "my-worker"]["spec"]
    assert worker["template"]["spec"]["terminationGracePeriodSeconds"] == 31  # what is left after the hook is for TERM
    hook = _container({"spec": worker})["lifecycle"]["preStop"]["exec"]["command"]
    assert hook == ["/bin/sh", "-c", "kill -s TSTP 1; sleep 10; kill -s INT 1; sleep 20"]
    scratch = objects["StatefulSet", "scratch"]["spec"]
    assert [each["metadata"]["name"] for each in scratch["volumeClaimTemplates"]] == ["one-place", "two"]
    assert [each["mountPath"] for each in _container({"spec": scratch})["volumeMounts"]] == [
        "/mnt/one_place",
        "/mnt/two",
    ]
    assert _container({"spec": scratch})["resources"]["limits"] == {"memory": "1536000", "cpu": "15m"}
    mail = objects["Job", "mail"]["spec"]
    assert (mail["parallelism"], mail["completions"], mail["backoffLimit"]) == (2, 2, 4)
    release = objects["Job", "release"]["spec"]
    assert (release["completions"], release["backoffLimit"]) == (1, 0)
    assert release["template"]["spec"]["restartPolicy"] == "Never"


def test_what_cannot_be_said_is_told_by_name() -> None:
    told = "\n".join(write(take(_PROCFILE, _SETTINGS)).unsaid)
    assert "placeholder: name yours with --image" in told
    assert 'release: user = "nobody" (procsup.toml:' in told
    assert 'mail: depends_on = ["web"]' in told
    assert "my_worker is called my-worker" in told
    assert "two applications need a namespace each: kubectl create namespace shop" in told
    assert "scratch: mounts: each copy has a folder of its own" in told
    assert "web: ready" not in told
    assert "max_restarts" not in told
    image = take(_PROCFILE, _SETTINGS)._replace(image="r.example.com/shop:7")
    assert "placeholder" not in "\n".join(write(image).unsaid)
    assert b'image: "r.example.com/shop:7"' in write(image).files["web.yaml"].content


def test_a_job_s_folders_are_told_to_be_empty() -> None:
    app = take("import: run\n", 'one_shot = true\nmounts = ["kept"]\n')
    assert _objects(app)["Job", "import"]["spec"]["template"]["spec"]["volumes"] == [{"name": "kept", "emptyDir": {}}]
    assert "import: mounts: each run of the Job begins with empty folders" in "\n".join(write(app).unsaid)


def test_who_is_done_some_day_is_run_but_no_release() -> None:
    app = take("mail: run\nrelease: run\n", 'restart = "never"\n')
    assert write(app).next == "kubectl apply -f {}/jobs/mail.yaml"
    assert write(take("release: run\n")).next == "kubectl apply -f {}/jobs/release.yaml"


def test_a_long_pause_is_written_as_every_sleep_reads_it() -> None:
    app = take("web: run\n", 'stop = "TSTP, 2592000, TERM, 1.5"\n')
    [_, _, hook] = _container(_objects(app)["Deployment", "web"])["lifecycle"]["preStop"]["exec"]["command"]
    assert hook == "kill -s TSTP 1; sleep 2592000"


def test_who_can_be_reached_by_nobody_and_a_secret_that_everybody_sees_are_told() -> None:
    procfile = "web: serve --bind 127.0.0.1:$PORT\nbad: run --token s3cret-word\npiped: a | b\nfine: cd x && exec b\n"
    app = take(procfile, "", {"API_KEY": "s3cret-word"})
    export = write(app)
    told = "\n".join(export.unsaid)
    assert "web: in a container nobody reaches 127.0.0.1 from outside" in told
    assert "bad: its command has a secret in it" in told
    assert "piped: its command keeps a shell" in told
    assert "fine:" not in told
    assert export.files["bad.yaml"].mode == PRIVATE
    assert not any(b"s3cret-word" in file.content for file in export.files.values() if file.mode == PUBLIC)


@settings(max_examples=15)
@given(variables)
def test_a_container_gets_every_value_as_it_is(values: dict[str, str]) -> None:
    app = take("web: true\nworker: run <<UNIQUE_INT>>\n", "", values)
    objects = _objects(app)
    for kind, name in (("Deployment", "web"), ("StatefulSet", "worker")):
        environment = _environment(objects, _container(objects[kind, name]))
        assert {key: environment[key] for key in values} == values


@settings(max_examples=15)
@given(words)
def test_a_command_gets_the_words_that_procsup_would_give_it(word: str) -> None:
    app = take(
        f"web: {telling(word)}\ncounting: {telling(word, '<<UNIQUE_INT>> {{UNIQUE_INT}} $PROCSUP_INSTANCE $PS')}\n"
    )
    objects = _objects(app)
    web = _container(objects["Deployment", "web"])
    assert run([_expanded(each, _environment(objects, web)) for each in web["command"]]) == f"<{word}>"
    counting = _container(objects["StatefulSet", "counting"])
    argv = [_expanded(each, _environment(objects, counting)) for each in counting["command"]]
    assert run(argv, PROCSUP_POD="counting-6") == f"<{word}><7><7><7><counting.7>"


def test_the_numbers_of_two_types_never_meet() -> None:
    app = take("a: run <<UNIQUE_INT>>\nb: printf %s <<UNIQUE_INT>>\n")
    objects = _objects(app)
    argv = [_expanded(each, {}) for each in _container(objects["StatefulSet", "b"])["command"]]
    assert [run(argv, PROCSUP_POD=f"b-{index}") for index in (0, 998)] == ["1001", "1999"]


@pytest.mark.parametrize("cwd", ["below", "it's $HOME"])
def test_a_folder_below_the_root_is_found_from_the_images_own(cwd: str, tmp_path: Any) -> None:
    (tmp_path / cwd).mkdir()
    app = take("web: pwd\ncounting: sh -c 'pwd' <<UNIQUE_INT>>\n", f'cwd = "{cwd}"\n')
    objects = _objects(app)
    for key in (("Deployment", "web"), ("StatefulSet", "counting")):
        argv = [_expanded(each, {}) for each in _container(objects[key])["command"]]
        assert run(argv, str(tmp_path), PROCSUP_POD="x-0") == f"{tmp_path / cwd}\n"


def test_bytes_that_are_no_text_are_left_out_and_told() -> None:
    app = take("web: true\n", "", {"GOOD": "x"})
    web = of(app, "web")
    web = web._replace(env=web.env._replace(plain={**web.env.plain, "BAD": "\udcff", "A B": "x"}))
    export = write(app._replace(types=(web,)))
    assert "the variable BAD of web is left out" in "\n".join(export.unsaid)
    assert "the variable A B of web is left out" in "\n".join(export.unsaid)
    assert b"BAD" not in b"".join(file.content for file in export.files.values())
