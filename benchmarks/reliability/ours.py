"""procsup's own tests of the rows: run them, and read from their report what they measured.

A test is named `test_fNN_…`; what it records with `record_property` is for this table.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.bench import MARK, Bench

FOLDERS = ("tests/faults", "tests/boot")
ROOT = Path(__file__).resolve().parent.parent.parent
MOST = 3  # figures of a kind in a cell, and kinds
_NAME = re.compile(r"test_(f\d\d)_")


@dataclass
class Tested:
    """The tests of one row: how many had which outcome, and what they recorded."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    recorded: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        counts = {"passed": self.passed, "**failed**": self.failed, "skipped": self.skipped}
        text = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
        measured = [f"{what}: {', '.join(values[:MOST])}" for what, values in self.recorded.items()]
        return "; ".join([text, *measured[:MOST]])


def run_tests(bench: Bench, rows: list[str], limit: float) -> dict[str, Tested]:
    """Run the tests of these rows (none: all); those that have no time left within `limit` are missing."""
    folders = [folder for folder in FOLDERS if (ROOT / folder).is_dir()]
    report = bench.folder / "tests.xml"
    argv = [sys.executable, "-m", "pytest", *folders, "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    argv += ["--continue-on-collection-errors", "-o", "junit_family=xunit1"]
    argv += ["-k", " or ".join(f"test_{row}_" for row in rows)] if rows else []
    environment = {**os.environ, MARK: f"{bench.folder.name}.tests."}
    log = bench.folder / "tests.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            bench.remarks.append(f"the tests did not end within {limit:.0f} s; those not reached are missing")
        finally:
            _end(process)
    print(log.read_text(errors="replace").strip().rpartition("\n")[2], file=sys.stderr)
    if process.returncode not in (0, 1, 5):
        bench.remarks.append(f"pytest ended with {process.returncode}")
    return _read(report) if report.exists() else {}


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
    if process.poll() is None:
        process.kill()
        process.wait(10)


def _read(report: Path) -> dict[str, Tested]:
    found: dict[str, Tested] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  written just now, by pytest
        name = _NAME.match(case.get("name", ""))
        if name is None:
            continue
        row = found.setdefault(name[1], Tested())
        outcomes = {child.tag for child in case}
        if outcomes & {"failure", "error"}:
            row.failed += 1
        elif "skipped" in outcomes:
            row.skipped += 1
        else:
            row.passed += 1
        for each in case.iter("property"):
            values = row.recorded.setdefault(each.get("name", ""), [])
            values += [value] if (value := each.get("value", "")) not in values else []
    return found
