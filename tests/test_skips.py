"""In CI nothing is skipped: what would be has failed, be it by a mark, a fixture, the test itself or its module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = """
import pytest

@pytest.fixture
def lacking():
    pytest.skip("lacking by fixture")

@pytest.mark.skipif(True, reason="lacking by mark")
def test_mark(): pass

def test_word(): pytest.skip("lacking by word")

def test_fixture(lacking): pass

@pytest.mark.xfail(reason="known")
def test_known(): assert False

def test_good(): pass
"""


def outcome(folder: Path, ci: str) -> str:
    """What pytest says of these tests with the conftest of ours."""
    (folder / "test_some.py").write_text(TESTS)
    (folder / "test_module.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    options = ("-p", "tests.conftest", "-p", "no:cacheprovider", "-c", os.devnull, "--continue-on-collection-errors")
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", folder, "-rA", "-q", folder]
    environment = {**os.environ, "CI": ci, "COLUMNS": "300"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="CI is Linux")
def test_in_ci_what_would_be_skipped_fails_and_says_why(tmp_path: Path) -> None:
    said = outcome(tmp_path, "true")
    for reason in ("lacking by mark", "lacking by fixture", "lacking by word", "could not import 'no_such_module'"):
        assert f" - CI must not skip: {reason}" in said
    assert " skipped" not in said
    assert "1 failed, 1 passed, 1 xfailed, 3 errors" in said


def test_elsewhere_it_is_skipped(tmp_path: Path) -> None:
    assert "1 passed, 4 skipped, 1 xfailed" in outcome(tmp_path, "")
