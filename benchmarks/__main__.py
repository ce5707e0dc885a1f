"""`python -m benchmarks`: make the tables of what procsup promises about speed, all of it or some rows."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from benchmarks.bench import Bench, Options, bench
from benchmarks.peers import default_cache, install
from benchmarks.report import OUTPUT, markdown, page
from benchmarks.rows import bounds, crowd, idle, output, replace, scale, start, writers
from benchmarks.samples import Row

ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "start": start.rows,
    "crowd": crowd.rows,
    "replace": replace.rows,
    "idle": idle.rows,
    "writers": writers.rows,
    "output": output.rows,
    "bounds": bounds.rows,
    "scale": scale.rows,
}
IN_SECTION = {"output": OUTPUT, "bounds": OUTPUT}  # the others are in the first table
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main() -> int:
    arguments = _arguments()
    if arguments.write and arguments.only:
        print("--write needs all rows; leave out --only", file=sys.stderr)
        return 2
    if not sys.platform.startswith("linux"):
        print("the benchmarks read /proc: run them on Linux", file=sys.stderr)
        return 2
    # An end that is asked for goes through every `finally`, so that nothing stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load = os.getloadavg()[0]
    options = Options(**{field.name: getattr(arguments, field.name) for field in fields(Options)})
    print("installing peers …", file=sys.stderr)
    peers = install(arguments.cache)
    procsup = arguments.procsup if _works(arguments.procsup) else None
    rows: dict[str, list[Row]] = {}
    with bench(options, peers, procsup) as made:
        if procsup is None:
            made.remarks.append("procsup does not run beside this python and is left out")
        for name in arguments.only or ROWS:
            print(f"{name} …", file=sys.stderr)
            rows.setdefault(IN_SECTION.get(name, ""), []).extend(ROWS[name](made))
    report = markdown(rows, made, shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]), load)
    print(report)
    if arguments.write:
        PAGE.write_text(page(report))
    return 1 if any(row.met is False for section in rows.values() for row in section) else 0


def _works(procsup: Path) -> bool:
    try:
        return subprocess.run([procsup, "--help"], capture_output=True, timeout=30, check=False).returncode == 0
    except OSError:
        return False


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=ROWS, help="this family of rows only; repeatable")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md too (all rows)")
    parser.add_argument("--rounds", type=int, default=Options.rounds, help="turns of each contender (%(default)s)")
    parser.add_argument("--instances", type=int, default=Options.instances, help="for crowd and bounds (%(default)s)")
    parser.add_argument("--idle-children", type=int, default=Options.idle_children, help="for idle (%(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=Options.idle_seconds, help="for idle (%(default)s)")
    parser.add_argument(
        "--lines", type=int, default=Options.lines, help="for writers and output, all together (%(default)s)"
    )
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where the peers are installed")
    procsup = Path(sys.executable).parent / "procsup"
    parser.add_argument("--procsup", type=Path, default=procsup, help="the command to measure (beside this python)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
