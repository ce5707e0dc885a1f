"""The page of the benchmarks is made by their command, all of it."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.__main__ import IN_SECTION, ROWS
from benchmarks.bench import Bench, Options
from benchmarks.peers import Peers
from benchmarks.report import OUTPUT, SECTIONS, markdown, page
from benchmarks.samples import Row

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def test_each_row_stands_in_its_section_and_the_others_in_the_first_table(tmp_path: Path) -> None:
    early, late = (Row(what, "fast", "1 s", (("honcho", "2 s"),), "0.5", True) for what in ("start", "output"))
    bench = Bench(tmp_path, Options(), Peers(*[None] * 8, versions={}, remarks=()), None, ["it rained"])
    made = page(markdown({OUTPUT: [late], "": [early]}, bench, "python -m benchmarks", 0.1))
    first, second = made.split(f"\n## {OUTPUT}\n")
    assert "| start | fast | 1 s | honcho: 2 s | 0.5 | yes |" in first
    assert "- Remark: it rained." in first
    assert "| output |" in second
    assert "| start |" not in second


def test_the_page_has_no_section_that_the_command_does_not_make() -> None:
    assert IN_SECTION.keys() <= ROWS.keys()
    assert set(IN_SECTION.values()) == set(SECTIONS)
    assert set(re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)) <= set(SECTIONS)
