"""What holds for every complaint about a file: a place in it, and one line that can be shown anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from procsup.errors import ConfigError, Problem

_LONGEST = 400


def lines_of(data: bytes) -> list[str]:
    """As an editor would number them."""
    text = re.sub(rb"\A(\xef\xbb\xbf)+", b"", data)
    return [line.removesuffix(b"\r").decode(errors="replace") for line in text.split(b"\n")]


def check_error(error: ConfigError, lines: Sequence[str], file: str) -> None:
    assert error.exit_code == 2
    assert error.problems
    assert list(error.problems) == sorted(set(error.problems)), "not in reading order, or said twice"
    check_problems(error.problems, lines, file)


def check_problems(problems: Iterable[Problem], lines: Sequence[str], file: str) -> None:
    for problem in problems:
        assert problem.file == file
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        check_sentence(problem.message)


def check_sentence(text: str) -> None:
    assert text.isprintable(), text
    assert 0 < len(text) <= _LONGEST, text
    assert ";" in text, f"it does not say what to do: {text}"
