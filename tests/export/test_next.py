"""The last line of an export, which says what to do with its files: with those, and with nobody else's."""

from __future__ import annotations

import glob
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from procsup.export.formats import FORMATS
from tests.e2e.app import App

each_format = pytest.mark.parametrize("format_", FORMATS)


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _said_next(said: str) -> str:
    return said.rpartition("; next: ")[2].strip()


def _named_in(folder: Path, advice: str) -> set[Path]:
    """The files of a folder that a line for a shell means."""
    if advice.startswith("add "):  # a pattern for supervisord
        found = {Path(each) for each in glob.glob(advice.removeprefix("add ").partition(" to files=")[0])}
    else:
        words = {each for each in shlex.split(advice.replace(";", " ; ")) if each.startswith(f"{folder}")}
        script = f"printf '%s\\n' {' '.join(map(_all_but_globs, words))}"
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
        found = {Path(each) for each in done.stdout.splitlines()}
    return {path for each in found for path in ([each] if each.is_file() else files(each))}


def _all_but_globs(word: str) -> str:
    return re.sub(r"[^A-Za-z0-9/\[\]*-]", lambda found: f"\\{found[0]}", word)


def _project_with_files_of_its_own(folder: Path) -> App:
    app = App(folder)
    app.write("Procfile", "web: exec serve\nweb-2: exec serve\nmail: exec mail\n")
    app.write("procsup.toml", 'app = "shop"\n[env]\nAPI_KEY = "s3cret"\n[processes.mail]\none_shot = true\n')
    others = "Info.plist shop.plist shop.web.old.plist docker-compose.yml package.json secrets/mine shop-web.1-old/run"
    for name in [*others.split(), "shop-web@.service.d/mine.conf", "shop-web@9x.service.d/mine.conf"]:
        (folder / name).parent.mkdir(exist_ok=True)
        app.write(name, "mine\n")
    return app


@pytest.mark.parametrize("counts", ["all=1", "web=12,web-2=3"])
@each_format
def test_what_to_do_in_the_projects_own_folder_names_only_what_was_written(
    tmp_path: Path, format_: str, counts: str
) -> None:
    app = _project_with_files_of_its_own(tmp_path / "it's a shop")
    before = set(files(app.folder))
    said = app.run("export", format_, ".", "-m", counts).stdout
    written = {path for path in files(app.folder) if not path.name.startswith(".procsup-export")} - before
    named = _named_in(app.folder, _said_next(said))
    assert named
    assert named <= written, "a file that is not of the export"
    if format_ in ("systemd", "launchd", "runit", "s6"):
        assert named == written
    if format_ in ("kubernetes", "nomad"):
        assert written - named == {path for path in written if path.parent.name == "jobs"}


def test_units_are_copied_by_the_line_that_is_said(tmp_path: Path) -> None:
    app = _project_with_files_of_its_own(tmp_path / "it's a shop")
    alone, units, others = tmp_path / "units", tmp_path / "a", tmp_path / "b"
    for folder, target in ((alone, units), (app.folder, others)):
        target.mkdir()
        said = _said_next(app.ok("export", "systemd", str(folder), "-m", "web=12"))
        copy, _, rest = said.replace("/etc/systemd/system", str(target)).partition(" && ")
        assert rest == "systemctl daemon-reload && systemctl enable --now shop.target"
        subprocess.run(["/bin/sh", "-c", copy], check=True)
    assert {path.relative_to(units) for path in files(units) if "procsup-export" not in path.name} == {
        path.relative_to(others) for path in files(others)
    }


@each_format
def test_a_formation_without_instances_is_said_to_start_nothing(tmp_path: Path, format_: str) -> None:
    shop = App(tmp_path / "shop")
    shop.write("Procfile", "web: exec serve\nworker: exec work\n")
    done = shop.run("export", format_, str(tmp_path / "out"), "-m", "all=0")
    assert "procsup: nothing of this runs by itself, as every count is 0; for another formation" in done.stderr
    assert done.stdout.startswith(f"shop for {format_}: ")
    assert "; next: " in done.stdout
    if format_ == "launchd":
        assert "no files in" in done.stdout
        assert "next: nothing, as launchd has no property list for what does not run" in done.stdout
    if format_ == "compose":
        assert "compose.yaml up SERVICE, which starts one" in done.stdout
    assert "nothing of this runs" not in shop.run("export", format_, str(tmp_path / "out"), "-m", "web=1").stderr
