"""The inputs that the fuzzer starts from, and those it once found something with, without the fuzzer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import targets

INPUTS = [(name, path) for name in targets.TARGETS for path in targets.corpus(name)]


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=[f"{name}-{path.name}" for name, path in INPUTS])
def test_an_input_once_found_keeps_to_what_was_promised(name: str, path: Path) -> None:
    targets.target(name).one(path.read_bytes())


@pytest.mark.parametrize("name", targets.TARGETS)
def test_a_target_has_somewhere_to_start_from(name: str) -> None:
    sizes = [path.stat().st_size for path in targets.corpus(name)]
    assert len(sizes) >= 3
    assert max(sizes) <= targets.target(name).LONGEST
