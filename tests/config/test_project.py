"""Which files make a project, and what its instances get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from procsup.config.location import find_root
from procsup.config.project import Project, ProjectOptions, load_project
from procsup.errors import ConfigError, ProcsupError, UsageError

ENVIRON = {"PATH": "/bin"}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = Path(os.path.realpath(tmp_path)) / "myapp"
    folder.mkdir()
    write(folder / "Procfile", "web: serve $PORT\nmy-worker: work\nrelease: migrate\n")
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def no_stdin() -> bytes:
    raise AssertionError("standard input was read unasked")


def load(cwd: Path, options: ProjectOptions | None = None, **environ: str) -> Project:
    return load_project(options or ProjectOptions(), ENVIRON | environ, str(cwd), no_stdin)


def refusal(cwd: Path, options: ProjectOptions | None = None, **environ: str) -> str:
    with pytest.raises(ProcsupError) as caught:
        load(cwd, options, **environ)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_folder_with_a_procfile_is_a_project(app: Path) -> None:
    project = load(app)
    assert (project.root, project.app, project.procfile) == (str(app), "myapp", "Procfile")
    assert [(each.name, each.position, each.line) for each in project.types] == [
        ("web", 0, 1),
        ("my-worker", 1, 2),
        ("release", 2, 3),
    ]
    assert project.default_counts() == {"web": 1, "my-worker": 1, "release": 0}
    assert project.port_of("my-worker") == 5100
    assert project.warnings == ()
    assert len(project.check_warnings) == 1


def test_an_unknown_type_is_told_with_the_nearest_known(app: Path) -> None:
    with pytest.raises(UsageError, match='"my-wroker" in Procfile; did you mean "my-worker"'):
        load(app).type("my-wroker")


@pytest.mark.parametrize(
    ("files", "options", "environ", "expected"),
    [
        ([], ProjectOptions(), {}, "Procfile"),
        (["Procfile_dev", "Procfile.dev"], ProjectOptions(), {}, "Procfile"),
        (["Procfile_dev", "Procfile.dev"], ProjectOptions(env_name="dev"), {}, "Procfile_dev"),
        (["Procfile.dev"], ProjectOptions(env_name="dev"), {}, "Procfile.dev"),
        (["Procfile.dev"], ProjectOptions(), {"PROCSUP_ENV": "dev"}, "Procfile.dev"),
        (["Procfile.dev"], ProjectOptions(env_name="test"), {"PROCSUP_ENV": "dev"}, "Procfile"),
        (["Other"], ProjectOptions(env_name="dev"), {"PROCFILE": "Other"}, "Procfile"),
        (["Other"], ProjectOptions(), {"PROCFILE": "Other"}, "Other"),
        (["Other", "Third"], ProjectOptions(procfile="Third", env_name="dev"), {"PROCFILE": "Other"}, "Third"),
    ],
)
def test_the_procfile_is_chosen_as_the_contract_says(
    app: Path, files: list[str], options: ProjectOptions, environ: dict[str, str], expected: str
) -> None:
    for name in files:
        write(app / name, f"only: {name}\n")
    project = load(app, options, **environ)
    assert project.procfile == expected
    assert project.types[0].name == ("web" if expected == "Procfile" else "only")


def test_the_procfile_may_be_named_in_the_env_file(app: Path) -> None:
    write(app / ".env", "PROCFILE=Other\n")
    write(app / "Other", "only: a")
    write(app / "Third", "third: a")
    assert load(app).procfile == "Other"
    assert load(app, PROCFILE="Third").procfile == "Third"
    assert load(app, ProjectOptions(env_override=True), PROCFILE="Third").procfile == "Other"


def test_the_root_is_the_procfiles_folder_unless_given(app: Path, tmp_path: Path) -> None:
    write(app / ".env", "A=app\n")
    write(tmp_path / ".env", "A=outside\n")
    project = load(tmp_path, ProjectOptions(procfile="myapp/Procfile"))
    assert (project.root, project.procfile, project.environment.values["A"]) == (str(app), "myapp/Procfile", "app")
    project = load(tmp_path, PROCFILE="myapp/Procfile")
    assert (project.root, project.environment.values["A"]) == (str(app), "app")
    project = load(tmp_path, ProjectOptions(root="myapp"))
    assert (project.root, project.procfile, project.environment.values["A"]) == (str(app), "myapp/Procfile", "app")
    project = load(app, ProjectOptions(procfile="Procfile", root=".."))
    assert (project.root, project.environment.values["A"]) == (os.path.realpath(tmp_path), "outside")
    assert load(app, ProjectOptions(root="../myapp"), PROCFILE="Procfile").root == str(app)


def test_the_procfile_may_come_from_standard_input(app: Path) -> None:
    options = ProjectOptions(procfile="-")
    project = load_project(options, ENVIRON, str(app), lambda: b"one: two\n")
    assert (project.root, project.procfile, project.types[0].command) == (str(app), "<stdin>", "two")
    with pytest.raises(ConfigError, match="<stdin>:1:1: error: no colon"):
        load_project(options, ENVIRON, str(app), lambda: b"one")


def test_the_root_has_no_symbolic_links_but_the_procfile_may_be_one(app: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(app)
    assert find_root(None, "link", str(tmp_path)) == str(app)
    assert find_root(None, None, str(tmp_path / "link")) == str(app)
    (tmp_path / "Procfile").symlink_to(app / "Procfile")
    assert load(tmp_path).root == os.path.realpath(tmp_path)
    assert find_root("-", None, str(app)) == str(app)


def test_env_files_of_the_named_environment_win_and_given_ones_replace_them(app: Path, tmp_path: Path) -> None:
    write(app / ".env", "A=1\nB=1\n")
    write(app / ".env.dev", "B=2\n")
    write(tmp_path / "x.env", "C=3")
    write(tmp_path / "y.env", "C=4")
    values = load(app, ProjectOptions(env_name="dev")).environment.values
    assert (values["A"], values["B"]) == ("1", "2")
    options = ProjectOptions(root="myapp", env_files=("x.env,y.env", "/dev/null"))
    values = load(tmp_path, options).environment.values
    assert "A" not in values
    assert values["C"] == "4"


def test_what_cannot_be_read_is_refused(app: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refusal(empty).startswith("Procfile:1:1: error: there is no such file; create it")
    assert refusal(empty, ProjectOptions(procfile="no/File")).startswith("no/File:1:1: error: there is no such file")
    assert refusal(app, ProjectOptions(procfile="a\0b")).startswith("a?b:1:1: error: its name has a NUL byte")
    assert (
        refusal(app, ProjectOptions(root="nowhere"))
        == 'there is no folder "nowhere"; give the folder of the app with -d'
    )
    assert refusal(tmp_path, ProjectOptions(procfile="myapp")).startswith("myapp:1:1: error: is a folder")
    assert refusal(app, ProjectOptions(env_files=("no.env",))).startswith("no.env:1:1: error: there is no such file")
    assert refusal(app, ProjectOptions(env_files=("a,,b",))).startswith("an empty file name")
    assert "cannot be the name of an environment" in refusal(app, ProjectOptions(env_name="../x"))
    write(app / ".env", "nonsense\n")
    assert refusal(app).startswith(".env:1:1: error: this line has no value")
    assert refusal(tmp_path, ProjectOptions(root="myapp")).startswith("myapp/.env:1:1: error:")


@pytest.mark.parametrize(
    ("option", "inherited", "in_file", "override", "base"),
    [
        (None, None, None, False, 5000),
        (None, None, "3000", False, 3000),
        (None, "4000", "3000", False, 4000),
        (None, "4000", "3000", True, 3000),
        (7000, "4000", "3000", True, 7000),
        (7000, "nonsense", None, False, 7000),
        (None, "", "3000", False, 3000),
        (None, "", None, False, 5000),
        (None, "65335", None, False, 65335),
    ],
)
def test_the_base_port_is_the_strongest_port_there_is(
    app: Path, option: int | None, inherited: str | None, in_file: str | None, override: bool, base: int
) -> None:
    if in_file is not None:
        write(app / ".env", f"PORT={in_file}")
    environ = {} if inherited is None else {"PORT": inherited}
    assert load(app, ProjectOptions(port=option, env_override=override), **environ).base_port == base


def test_a_port_that_is_none_is_refused_with_its_origin(app: Path) -> None:
    assert refusal(app, ProjectOptions(port=0)) == "--port 0 is no port; give one from 1 to 65535"
    assert refusal(app, ProjectOptions(port=65536)) == "--port 65536 is no port; give one from 1 to 65535"
    for wrong in ("abc", "0", "65536", "-1", "5000.0", "9" * 5000):
        message = refusal(app, PORT=wrong)
        assert message.startswith(f'PORT is "{wrong[:40]}", which is no port; give a number from 1 to 65535')
        assert message.endswith("(in the inherited environment)")
    assert (
        refusal(app, PORT="65400")
        == 'process type "release" would get port 65600, above 65535; start lower, with --port'
    )
    write(app / ".env", "\nPORT=abc")
    assert refusal(app) == '.env:2:1: error: PORT is "abc", which is no port; give a number from 1 to 65535'


def test_an_instance_gets_what_procsup_sets_over_everything_else(app: Path) -> None:
    write(app / ".env", "PS=x\nPROCSUP_TYPE=x\nPROCSUP_INSTANCE=x\nPROCSUP_UNIQUE_INT=x\nPROCSUP_PORT_web=x\nA=b\n")
    project = load(app, PWD=str(app.parent))
    environment = project.instance_environment("my-worker", 3, 5102, 9, {"web": 5000, "my-worker": 5100})
    assert environment == {
        "PATH": "/bin",
        "A": "b",
        "PORT": "5102",
        "PS": "my-worker.3",
        "PROCSUP_TYPE": "my-worker",
        "PROCSUP_INSTANCE": "3",
        "PROCSUP_UNIQUE_INT": "9",
        "PROCSUP_PORT_web": "5000",
        "PROCSUP_PORT_my_worker": "5100",
        "PYTHONUNBUFFERED": "1",
        "PWD": str(app),
    }


def test_pythonunbuffered_stays_as_it_was_set(app: Path) -> None:
    environment = load(app, PYTHONUNBUFFERED="").instance_environment("web", 1, 5000, 1, {})
    assert environment["PYTHONUNBUFFERED"] == ""


def test_a_fingerprint_changes_with_what_an_instance_is_started_from_only(app: Path) -> None:
    before = load(app)
    assert before.fingerprint("web") == load(app).fingerprint("web")
    assert before.fingerprint("web") != before.fingerprint("my-worker")
    write(app / "Procfile", "new: a\nweb: serve $PORT\nmy-worker: work harder\n")
    moved = load(app)
    assert moved.fingerprint("web") == before.fingerprint("web")
    assert moved.fingerprint("my-worker") != before.fingerprint("my-worker")
    write(app / ".env", "A=1")
    assert load(app).fingerprint("web") != before.fingerprint("web")
    (app / ".env").unlink()
    # A running instance keeps its port, so where ports begin is nothing to restart it for.
    assert load(app, ProjectOptions(port=6000), PORT="1").fingerprint("web") == before.fingerprint("web")


def test_a_conflict_and_a_readable_env_file_are_warned_of(app: Path) -> None:
    write(app / ".env", "A=1")
    (app / ".env").chmod(0o644)
    conflict, readable = load(app, A="2").warnings
    assert conflict.startswith("A differs between .env:1 and the inherited environment")
    assert readable == ".env can be read by other users; run: chmod o-r .env"


def test_root_is_warned_of_files_that_another_user_can_change(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(app / ".env", "A=1")
    for name in ("Procfile", ".env"):
        (app / name).chmod(0o602)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert [line.split(" can ")[0] for line in load(app).warnings] == [".env", "Procfile"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert load(app).warnings == ()
