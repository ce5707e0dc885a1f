"""`python -m benchmarks.reliability`: make the table of what holds when things break, all of it or some rows."""

from __future__ import annotations

import argparse
import platform
import shlex
import signal
import sys
import time
from pathlib import Path

from benchmarks import peers
from benchmarks.bench import Options, bench
from benchmarks.reliability import contenders, ours
from benchmarks.reliability.faults import FAULTS
from benchmarks.reliability.page import installed_procsup, page
from benchmarks.reliability.playing import play
from benchmarks.reliability.scenarios import SCENARIOS
from benchmarks.reliability.stage import Finding, Verdict, adopt_orphans

PAGE = ours.ROOT / "docs" / "reliability.md"
ALL_LIMIT = 12 * 60.0
TESTS_SHARE = 0.5  # of that time, at most


def main() -> int:
    arguments = _arguments()
    if arguments.write and (arguments.only or arguments.no_tests or arguments.tool):
        print("--write needs all rows, all tools and the tests; leave out the other options", file=sys.stderr)
        return 2
    # An end that is asked for goes through every `finally`, so that nothing stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup all tools would inherit that it is ignored
    adopt_orphans()
    end = time.monotonic() + ALL_LIMIT
    rows = arguments.only or list(FAULTS)
    print("installing peers …", file=sys.stderr)
    found = peers.install(arguments.cache, peers.RELIABILITY)
    versions = {"procsup": installed_procsup(), **found.versions, "Python": platform.python_version()}
    tools = _tools(arguments, found)
    findings: dict[tuple[str, str], Finding] = {}
    with bench(Options(), found, arguments.procsup) as made:
        tested = {}
        if not arguments.no_tests:
            print("procsup's own tests …", file=sys.stderr)
            tested = ours.run_tests(made, arguments.only or [], ALL_LIMIT * TESTS_SHARE)
        for row in rows:
            if row not in SCENARIOS:
                continue
            for tool, finding in zip(tools, play(made, row, tools, end), strict=True):
                findings[row, tool.name] = finding
                print(f"{row} {tool.name}: {finding.verdict.value}: {finding.text}", file=sys.stderr)
    command = shlex.join(["python", "-m", "benchmarks.reliability", *sys.argv[1:]])
    text = page(rows, tools, findings, tested, versions, [*found.remarks, *made.remarks], command)
    print(text)
    if arguments.write:
        PAGE.write_text(text)
    failed = any(each.failed for each in tested.values())
    return int(failed or any(seen.verdict is Verdict.NOT for (_, name), seen in findings.items() if name == "procsup"))


def _tools(arguments: argparse.Namespace, found: peers.Peers) -> list[contenders.Tool]:
    tools: list[contenders.Tool] = [contenders.Procsup(arguments.procsup)]
    if found.honcho is not None:
        tools.append(contenders.Honcho(found.honcho))
    if found.supervisord is not None and found.supervisorctl is not None:
        tools.append(contenders.Supervisord(found.supervisord, found.supervisorctl))
    return [tool for tool in tools if not arguments.tool or tool.name in arguments.tool]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=FAULTS, metavar="fNN", help="these rows only")
    parser.add_argument("--tool", nargs="+", metavar="NAME", help="these tools only")
    parser.add_argument("--no-tests", action="store_true", help="leave out procsup's own tests")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md too (all rows)")
    parser.add_argument("--cache", type=Path, default=peers.default_cache(), help="where the peers are installed")
    procsup = Path(sys.executable).parent / "procsup"
    parser.add_argument("--procsup", type=Path, default=procsup, help="the command to try (beside this python)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
