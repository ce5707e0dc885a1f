"""The tables as Markdown, with what a reader needs to make them again: the machine, the versions, the command."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.samples import Row

VERDICTS = {True: "yes", False: "**no**", None: "—"}

PREFACE = """\
# Benchmarks

Each figure is a median with the smallest and the largest beside it. All contenders of a row were measured in turns in
the same run (A B C A B C …), after one turn that does not count, so that what else the machine does meets all alike:
trust the ratios, not the times. What each row measures, and how, stands at the top of its module in
`benchmarks/rows/`. This page is made by the command below; do not edit it.
"""

# The sections behind the first table, and how each begins; what is in none of them is in that table.
OUTPUT = "The output path, with history and a follower"
SECTIONS = {
    OUTPUT: """\
What people put on it: procsup keeps its history, and a `procsup logs -f` hangs on it. The tools beside it prefix lines
and do nothing else; `benchmarks/prefixer.c` does as little as can be done, and shows what the kernel takes.
""",
}


def markdown(rows: Mapping[str, Sequence[Row]], bench: Bench, command: str, load: float) -> str:
    """Machine, versions, command, remarks, and the `rows` by section; "" is the first table."""
    remarks = [*bench.peers.remarks, *dict.fromkeys(bench.remarks)]
    facts = [
        f"- Command: `{command}`",
        f"- Machine: {machine()}; load average when it began: {load:.1f}",
        f"- Versions: {_versions(bench)}",
        *(f"- Remark: {remark}." for remark in remarks),
    ]
    text = "\n".join(facts) + "\n"
    if "" in rows:
        text += f"\n{_table(rows[''])}"
    for section, introduction in SECTIONS.items():
        if section in rows:
            text += f"\n## {section}\n\n{introduction}\n{_table(rows[section])}"
    return text


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| what | reach | procsup | beside it | result | reached |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        beside = "<br>".join(f"{who}: {figure}" for who, figure in row.against)
        cells = (row.what, row.reach, row.ours, beside, row.result, VERDICTS[row.met])
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def page(report: str) -> str:
    return f"{PREFACE}\n{report}"


def machine() -> str:
    cpu = re.search(r"^model name\s*:\s*(.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = re.match(r"[\d.]*\d", platform.release())
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cpu[1] if cpu else platform.machine()}, {cores} cores, {memory:.0f} GiB, "
        f"{platform.system()} {kernel[0] if kernel else ''}, {_distribution()}"
    )


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown distribution"


def _versions(bench: Bench) -> str:
    try:
        procsup = version("procsup") + _commit()
    except PackageNotFoundError:
        procsup = "not installed"
    found = {"procsup": procsup, "Python": platform.python_version(), "click": version("click"), **bench.peers.versions}
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _commit() -> str:
    argv = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return f" ({found})"


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
