"""The globs of `watch`: which files they mean, and where those may come to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from procsup.config.globs import files_in, folders_of, globs, ignored, matches
from procsup.config.settings_values import Unfit


@pytest.mark.parametrize(
    ("glob", "path", "meant"),
    [
        ("*.py", "app.py", True),
        ("*.py", "app/models/user.py", True),
        ("*.py", "app.pyx", False),
        ("Gemfile", "engines/shop/Gemfile", True),
        ("./*.py", "app.py", True),
        ("./*.py", "app/models.py", False),
        ("app/*.py", "app/models.py", True),
        ("app/*.py", "app/models/user.py", False),
        ("app/*.py", "lib/app/models.py", False),
        ("app/**/*.py", "app/models.py", True),
        ("app/**/*.py", "app/a/b/c.py", True),
        ("templates/**", "templates/a.html", True),
        ("templates/**", "templates/a/b.html", True),
        ("templates/**", "templates", False),
        ("templates/**", "templates2/a.html", False),
        ("templates/", "templates/a/b.html", True),
        ("**/static/*.css", "static/a.css", True),
        ("**/static/*.css", "shop/static/a.css", True),
        ("**", "any/thing", True),
        ("v?.[ch]", "src/v1.h", True),
        ("v?.[ch]", "src/v10.h", False),
    ],
)
def test_a_glob_means_the_files_that_people_expect(glob: str, path: str, meant: bool) -> None:
    assert matches(path, [glob]) is meant


def test_many_stars_take_no_time() -> None:
    assert not matches("/".join(["a"] * 100), ["**/a/**/b"])


@pytest.mark.parametrize("glob", ["/etc/passwd", "../other/*.py", "a/../../b", "!*.txt", "*.{html,css}", "", 1, [""]])
def test_what_could_never_be_seen_or_means_nothing_is_refused(glob: object) -> None:
    with pytest.raises(Unfit, match=r'as in \["\*\.py", "templates/\*\*"\]'):
        globs(glob)


@pytest.mark.parametrize(
    "path",
    [
        ".git/index",
        "app/__pycache__/models.cpython-311.pyc",
        "node_modules/left-pad/index.js",
        "app/models.pyc",
        ".app.py.swp",
        ".models.py.swx",
        "app/4913",
        "app.py~",
        ".#app.py",
        "#app.py#",
        "app.py___jb_tmp___",
    ],
)
def test_what_tools_and_editors_write_is_ignored(path: str) -> None:
    assert ignored(path)


@pytest.mark.parametrize("path", ["app.py", "app/git/index.py", ".env", "swap.swf", "modules/a.js", "logo.swp.png"])
def test_what_people_write_is_not(path: str) -> None:
    assert not ignored(path)


def test_only_the_folders_are_looked_at_that_can_matter(tmp_path: Path) -> None:
    (tmp_path / "app" / "views").mkdir(parents=True)
    root = str(tmp_path)
    assert folders_of(root, ["app/*.py"]) == (f"{root}/app",)
    assert folders_of(root, ["app/views/**", "app/**/*.py"]) == (f"{root}/app",)
    assert folders_of(root, ["app/views/**", "app/v*/x"]) == (f"{root}/app",)
    assert folders_of(root, ["templates/**", "app/*.py"]) == (root,)  # it may come to be
    assert folders_of(root, ["*.py", "app/*.html"]) == (root,)


def test_of_a_folder_that_has_just_appeared_the_first_thousand_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    for number in range(1005):
        (tmp_path / "node_modules" / str(number)).touch()
    assert list(files_in(str(tmp_path))) == []
    for number in range(1005):
        (tmp_path / str(number)).touch()
    assert len(list(files_in(str(tmp_path)))) == 1000
