"""The soak as Markdown: a table of what was done and what came of it, and every violation with what came before it."""

from __future__ import annotations

from benchmarks.report import machine
from benchmarks.samples import mebibytes, seconds
from benchmarks.soak.clients import Clients
from benchmarks.soak.ear import Ear
from benchmarks.soak.invariants import Invariants
from benchmarks.soak.journal import Journal

PREFACE = """\
# The soak

procsup with some 60 processes of nine kinds (some ignore SIGTERM, some crash, some have a child in a session of its
own, some listen on their port), which a generator disturbs at random: kills, suspensions, commands, reloads, clients
that hang or are killed, bursts of output, a reader that pauses, no free descriptors, a suspended supervisor, upgrades
in place. About every five seconds it stops for a moment and checks that all is as it was asked for: no more and no
fewer processes, none twice, numbers unique, every line there, commands answered within a second, memory and
descriptors as at first.
What is done stands in `benchmarks/soak/chaos.py`, what is checked in `invariants.py`. The seed makes the same choices
again, not the same moments. This page is made by the command below; do not edit it.
"""


def _of_100(share: int, values: list[float]) -> str:
    """So many of a hundred are not larger."""
    return seconds(sorted(values)[share * (len(values) - 1) // 100]) if values else "—"


def line(minute: int, journal: Journal, clients: Clients, ear: Ear, invariants: Invariants) -> str:
    """What is printed every minute."""
    size = invariants.last
    held = f"{mebibytes(size.memory)}, {size.descriptors} descriptors" if size is not None else "not at rest yet"
    slowest = _of_100(100, [each.took for each in clients.answers])
    return (
        f"minute {minute}: {journal.kinds.total()} events, {ear.spawns} starts, {journal.checks} checks, "
        f"{len(journal.violations)} violations; slowest answer {slowest}; {held}"
    )


def markdown(
    command: str,
    seed: int,
    shutdown: float | None,
    journal: Journal,
    clients: Clients,
    ear: Ear,
    invariants: Invariants,
) -> str:
    events = ", ".join(f"{kind} {count}" for kind, count in journal.kinds.most_common())
    took, own = [each.took for each in clients.answers], [each.own for each in clients.answers]
    first, last = invariants.first, invariants.last
    sizes = ((mebibytes(each.memory), each.descriptors, each.spare) if each else ("—",) * 3 for each in (first, last))
    memory, descriptors, spare = zip(*sizes, strict=True)
    rows = {
        "minutes": f"{journal.seconds / 60:.1f}",
        "seed": str(seed),
        "events": f"{journal.kinds.total()}: {events}",
        "processes started": str(ear.spawns),
        "bursts of 20,000 lines read to their end": str(ear.bursts),
        "upgrades in place": str(ear.upgrades),
        "checks": str(journal.checks),
        "violations": str(len(journal.violations)),
        "commands timed": str(len(took)),
        "slowest answer": f"{_of_100(100, took)}; without the waits for a processor {_of_100(100, own)}",
        "99 of 100 answers within": f"{_of_100(99, took)}; without the waits for a processor {_of_100(99, own)}",
        "slowest answer while descriptors were out": _of_100(100, [each.took for each in clients.narrow_answers]),
        "memory after the warm-up and at the end": f"{memory[0]} and {memory[1]}",
        "descriptors after the warm-up and at the end": f"{descriptors[0]} and {descriptors[1]}",
        "of these not the instances' own": f"{spare[0]} and {spare[1]}",
        "shutdown": seconds(shutdown) if shutdown is not None else "—",
    }
    lines = [f"- Command: `{command}`", f"- Machine: {machine()}", "", "| | |", "|---|---|"]
    lines += [f"| {what} | {value} |" for what, value in rows.items()]
    for violation in journal.violations:
        lines += ["", f"After {violation.at:.1f} s: {violation.what}", "", "```", *violation.before, "```"]
    return "\n".join(lines) + "\n"


def page(table: str) -> str:
    return f"{PREFACE}\n{table}"
