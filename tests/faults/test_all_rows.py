"""Every fault of the list has a test by its number, or stands here with the reason why it has none yet."""

from __future__ import annotations

import ast
import re
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
_PLACES = ("faults", "boot")
_ROWS = [f"f{number:02}" for number in range(1, 51)]
_NOT_YET: dict[str, str] = {}


def _tests() -> list[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    sources = [path for place in _PLACES for path in sorted((_TESTS / place).glob("test_*.py"))]
    return [
        (path, node)
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(), str(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_f")
    ]


def _row(name: str) -> str | None:
    found = re.match(r"test_(f\d\d)_\w", name)
    return found[1] if found else None


def test_every_row_has_a_test_or_a_reason() -> None:
    tested = {_row(node.name) for _, node in _tests()}
    assert [row for row in _ROWS if row not in tested and row not in _NOT_YET] == []


def test_a_reason_goes_when_the_test_comes() -> None:
    assert _NOT_YET.keys() <= set(_ROWS)
    assert not _NOT_YET.keys() & {_row(node.name) for _, node in _tests()}


def test_no_name_means_a_row_that_is_not_in_the_list() -> None:
    assert [node.name for _, node in _tests() if _row(node.name) not in _ROWS] == []
