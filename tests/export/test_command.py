"""`procsup export`: what it writes, what it leaves alone, and what it tells; for all formats."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from procsup.export.formats import FORMATS
from tests.e2e.app import App
from tests.export.example import Example, free_port

_SECRETS = (
    "k3y with spaces",
    "hunter2hunter2",
    "second line",
    "azN5IHdpdGggc3BhY2Vz",
    "c2Vjb25kIGxpbmU",
)  # base64, too
each_format = pytest.mark.parametrize("format_", FORMATS)


@pytest.fixture
def example(tmp_path: Path) -> Example:
    return Example(tmp_path / "project", tmp_path / "reports", free_port())


@pytest.fixture
def shop(tmp_path: Path) -> App:
    app = App(tmp_path / "shop")
    app.write("Procfile", "web: echo $FROM_SHELL $LEVEL\n")
    return app


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if not path.is_dir() or path.is_symlink())


def state(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Contents, modes and times of change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in files(folder)
    }


@each_format
def test_the_same_project_gives_the_same_bytes_in_whichever_shell(
    example: Example, tmp_path: Path, format_: str
) -> None:
    first, second = tmp_path / "a/first", tmp_path / "b/first"
    example.export(format_, first)
    example.environment |= {
        "LEVEL": "of the shell",
        "API_KEY": "also of the shell",
        "OTHER_TOKEN": "s3cret of the shell",
    }
    example.export(format_, second)
    assert [(name, *each[:2]) for name, each in state(first).items()] == [
        (name, *each[:2]) for name, each in state(second).items()
    ]
    before = state(first)
    said, _ = example.export(format_, first)
    assert "of them as before" in said
    assert state(first) == before


@each_format
def test_a_secret_is_in_no_file_that_others_can_read(example: Example, tmp_path: Path, format_: str) -> None:
    assert example.run("export", format_, str(tmp_path / "out"), umask=0).returncode == 0
    found = 0
    for path in files(tmp_path / "out"):
        has = any(secret.encode() in path.read_bytes() for secret in _SECRETS)
        found += has
        assert not has or stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert found


@each_format
def test_next_to_do_is_said_in_one_line_and_what_is_lost_by_name(
    example: Example, tmp_path: Path, format_: str
) -> None:
    (example.folder / "procsup.toml").write_text(
        (example.folder / "procsup.toml").read_text() + "\n[processes.release]\nwatch = '*.py'\n"
    )
    said, lost = example.export(format_, tmp_path / "out")
    assert said.count("\n") == 1
    assert said.startswith(f"Export example for {format_}: ")
    assert "; next: " in said
    assert "{}" not in said
    assert 'release: watch = ["*.py"] (procsup.toml:' in lost
    assert all(line.startswith("procsup: ") for line in lost.splitlines())


@each_format
def test_what_is_not_exported_any_more_goes_and_what_is_others_stays(
    example: Example, tmp_path: Path, format_: str
) -> None:
    folder = tmp_path / "out"
    example.export(format_, folder)
    (folder / "mine").write_text("mine")
    whole = set(state(folder))
    procfile = (example.folder / "Procfile").read_text()
    example.write("Procfile", "".join(line for line in procfile.splitlines(True) if not line.startswith("worker:")))
    settings = (example.folder / "procsup.toml").read_text()
    head, _, rest = settings.partition("[processes.worker]")
    example.write("procsup.toml", head + rest[rest.index("# Ignores") :])
    _, said = example.export(format_, folder)
    assert "still there" not in said
    less = set(state(folder))
    assert less <= whole
    assert "mine" in less
    assert not [name for name in less if "worker" in name]
    assert not [path for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir())], "empty folders"


def _only_file(folder: Path) -> Path:
    [found] = folder.glob("*.conf")
    return found


def test_a_file_that_is_not_ours_is_not_overwritten(shop: App, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "shop.conf").write_text("mine")
    done = shop.run("export", "supervisord", str(folder))
    assert done.returncode == 1
    assert "shop.conf (not of this export)" in done.stderr
    assert [path.name for path in files(folder)] == ["shop.conf"]
    assert shop.ok("export", "supervisord", str(folder), "--replace")
    assert "mine" not in (folder / "shop.conf").read_text()


def test_a_file_that_was_changed_since_is_not_overwritten(shop: App, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shop.ok("export", "supervisord", str(folder))
    _only_file(folder).write_text("changed by hand")
    before = state(folder)
    done = shop.run("export", "supervisord", str(folder), "-p", "6000")
    assert done.returncode == 1
    assert "shop.conf (changed since it was exported)" in done.stderr
    assert state(folder) == before


def test_links_in_the_folder_are_not_followed(shop: App, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "shop").symlink_to(elsewhere)
    (folder / "shop.conf").symlink_to(elsewhere / "target")
    for more in ((), ("--replace",)):
        done = shop.run("export", "supervisord", str(folder), *more)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert list(elsewhere.iterdir()) == []


def test_a_list_that_leads_out_of_the_folder_removes_nothing(shop: App, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shop.ok("export", "supervisord", str(folder))
    victim = tmp_path / "victim"
    victim.write_text("mine")
    [listed] = folder.glob(".procsup-export-*")
    text = listed.read_text().replace('"shop.conf": [', '"../victim": [], "shop.conf": [')
    listed.write_text(text)
    done = shop.run("export", "supervisord", str(folder))
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert victim.read_text() == "mine"


def test_two_applications_and_two_formats_share_a_folder(shop: App, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shop.ok("export", "supervisord", str(folder))
    shop.ok("export", "supervisord", str(folder), "--app", "other")
    shop.ok("export", "systemd", str(folder))
    assert {path.name for path in folder.glob("*.conf")} == {"shop.conf", "other.conf"}
    assert (folder / "shop.target").exists()


def test_another_application_of_the_same_name_is_told_of_the_first(shop: App, tmp_path: Path) -> None:
    shop.ok("export", "supervisord", str(tmp_path / "out"))
    (tmp_path / "elsewhere").mkdir()
    other = App(tmp_path / "elsewhere/shop")
    other.write("Procfile", "web: true\n")
    done = other.run("export", "supervisord", str(tmp_path / "out"))
    assert done.returncode == 1
    assert f'has an export of "shop" in {shop.folder}' in done.stderr


def test_what_only_the_shell_has_is_said_and_left_out(shop: App, tmp_path: Path) -> None:
    shop.write(".env", "LEVEL=file\n")
    shop.environment |= {"FROM_SHELL": "only there", "LEVEL": "shell"}
    said = shop.run("export", "runit", str(tmp_path / "out")).stderr
    assert "web uses $FROM_SHELL, which only your shell sets" in said
    assert "LEVEL differs between .env:1 and the environment procsup was called in: .env:1 is exported" in said
    assert "only there" not in said
    environment = (tmp_path / "out/shop-web.1/env").read_text()
    assert "export LEVEL=file\n" in environment
    assert "FROM_SHELL" not in environment


def test_counts_are_those_of_the_files_or_of_the_command_line(shop: App, tmp_path: Path) -> None:
    supervisor = shop.start()
    shop.until(lambda found: "web.1" in found)
    shop.ok("scale", "web=4")
    supervisor.stop()
    done = shop.run("export", "runit", str(tmp_path / "out"))
    assert "web: 4 were scaled here, and the files say 1" in done.stderr
    assert (tmp_path / "out/shop-web.1").is_dir()
    assert not (tmp_path / "out/shop-web.2").exists()
    shop.ok("export", "runit", str(tmp_path / "out"), "-m", "web=2")
    assert (tmp_path / "out/shop-web.2").is_dir()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sytemd", "out"), "sytemd"),
        (("systemd",), "DIR"),
        (("systemd", "out", "-m", "wbe=2"), 'did you mean "web"'),
        (("systemd", "out", "-m", "web=99999"), "10000"),
        (("systemd", "Procfile"), "Procfile"),
        (("systemd", "out", "--image", "shop:7"), "systemd runs no containers"),
        (("systemd", "Procfile/out"), "Procfile"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(shop: App, arguments: tuple[str, ...], words: str) -> None:
    done = shop.run("export", *arguments)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_in_which_an_engine_works_stays_and_is_told(shop: App, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shop.ok("export", "runit", str(folder), "-m", "web=3")
    (folder / "shop-web.2/supervise").mkdir()
    (folder / "shop-web.2/supervise/pid").touch()
    said = shop.run("export", "runit", str(folder)).stderr
    assert f"others have files in it: {folder}/shop-web.2; stop what runs from there" in said
    assert not (folder / "shop-web.3").exists()
    assert not (folder / "shop-web.2/run").exists()


def test_an_export_that_was_cut_off_is_finished_by_the_next(shop: App, tmp_path: Path) -> None:
    """Whatever of the old and the new is there, with the list that is written first."""
    folder, other = tmp_path / "out", tmp_path / "other"
    shop.ok("export", "supervisord", str(folder))
    shop.ok("export", "supervisord", str(other), "-p", "6000")
    (folder / "shop/web.sh").write_bytes((other / "shop/web.sh").read_bytes())
    [ours], [theirs] = folder.glob(".procsup-export-*"), other.glob(".procsup-export-*")
    both, new = json.loads(ours.read_text()), json.loads(theirs.read_text())
    for name, hashes in new["files"].items():
        both["files"][name] += hashes
    ours.write_text(json.dumps(both))
    shop.ok("export", "supervisord", str(folder), "-p", "7000")
    assert "PORT=7000" in (folder / "shop/web.sh").read_text()
    assert json.loads(ours.read_text())["files"].keys() == new["files"].keys()
    assert all(len(hashes) == 1 for hashes in json.loads(ours.read_text())["files"].values())
