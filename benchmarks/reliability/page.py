"""docs/reliability.md: the rows, what was seen on each tool, and what a reader needs to make it again."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from benchmarks.reliability.contenders import Tool
from benchmarks.reliability.faults import FAULTS, UNPLAYED
from benchmarks.reliability.ours import Tested
from benchmarks.reliability.stage import Finding, Verdict, without

OPENING = """\
# When things break

Faults that users of such tools met, what must hold then, and what was seen when each was made to happen: to procsup,
and in the same way to honcho and supervisord, as far as it makes sense for them. Made by `{command}`
on {date}; do not edit it, run it again.

- Machine: {machine}.
- Versions: {versions}.
- **holds** is what the row asks for, **partly** some of it, **does not hold** less; **—** is not tried, with the
  reason. What the words behind it say counts more. The figures are of one run, on a machine that does other things
  too, and of the same scenario for all three (`benchmarks/reliability`), which for some rows is smaller than what the
  row asks for.
- "own tests" are those of procsup's repository (`tests/faults`, `tests/boot`): they play more of each row, and these
  are their figures. Where one fails, procsup does not hold the row, whatever the scenario saw.
- procsup over hours: [soak.md](soak.md).
"""


def page(
    rows: Sequence[str],
    tools: Sequence[Tool],
    findings: Mapping[tuple[str, str], Finding],
    tested: Mapping[str, Tested],
    versions: Mapping[str, str],
    remarks: Sequence[str],
    command: str,
) -> str:
    """The whole page, as Markdown."""
    opening = OPENING.format(
        command=command,
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        machine=_machine(),
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
    )
    all_seen = {(row, tool.name): _judge(row, tool, findings, tested) for row in rows for tool in tools}
    head = ["row", "fault → must hold", *(tool.name for tool in tools), "procsup's own tests"]
    lines = [opening, _cells(head), _cells(["---"] * len(head))]
    for row in rows:
        fault = FAULTS[row]
        seen = [_cell(all_seen[row, tool.name]) for tool in tools]
        lines.append(_cells([row, f"{fault.happens} → {fault.must}", *seen, str(tested.get(row, "—"))]))
    lines += ["", _summary(rows, tools, all_seen), "", "How each was set up:", ""]
    lines += [f"- **{tool.name}**: {tool.setup}." for tool in tools]
    lines += ["", *(f"- Remark: {remark}." for remark in dict.fromkeys(remarks))] if remarks else []
    return "\n".join(lines) + "\n"


def _judge(row: str, tool: Tool, findings: Mapping[tuple[str, str], Finding], tested: Mapping[str, Tested]) -> Finding:
    """The scenario's word; for procsup its own tests have one too."""
    finding = findings.get((row, tool.name))
    tests = tested.get(row) if tool.name == "procsup" else None
    if tests is not None and tests.failed:
        seen = f"; the scenario: {finding.text}" if finding else ""
        return Finding(Verdict.NOT, f"an own test fails{seen}")
    if finding is None and tests is not None and tests.passed:
        return Finding(Verdict.HOLDS, "as far as its own tests go")
    if finding is None and tool.name == "procsup":
        return without("own tests skipped" if tests is not None else "no test")
    return finding or without(UNPLAYED.get(row, ""))


def _summary(rows: Sequence[str], tools: Sequence[Tool], seen: Mapping[tuple[str, str], Finding]) -> str:
    lines = [_cells(["of these rows", *(verdict.value for verdict in Verdict)]), _cells(["---"] * 5)]
    for tool in tools:
        verdicts = [seen[row, tool.name].verdict for row in rows]
        lines.append(_cells([tool.name, *(str(verdicts.count(verdict)) for verdict in Verdict)]))
    return "\n".join(lines)


def _cell(finding: Finding) -> str:
    mark = finding.verdict.value if finding.verdict is Verdict.NONE else f"**{finding.verdict.value}**"
    return f"{mark}: {finding.text}" if finding.text else mark


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _machine() -> str:
    kernel = re.match(r"\d+\.\d+", platform.release())
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cores} cores, {memory:.0f} GiB, Linux {kernel[0] if kernel else ''}, load average {os.getloadavg()[0]:.1f}"
    )


def installed_procsup() -> str:
    return version("procsup")
