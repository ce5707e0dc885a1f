"""The lines that writers write, each with its writer and number, and the proof that all came out whole.

A line is 100 bytes with its newline. The writer is `cat GATE LINES HOLD`: it waits at a gate, sends a file that is in
the page cache, and then stays (nobody ever opens the other end of HOLD), for some tools stop all when one child ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LENGTH = 100
SIGN = b"#@"
BLOCK = 8 * 2**20


@dataclass(frozen=True)
class Verdict:
    """What is wrong with what came out; all zero if nothing is."""

    lost: int = 0
    torn: int = 0
    disordered: int = 0
    misnamed: int = 0

    @property
    def clean(self) -> bool:
        return self == Verdict()

    def __str__(self) -> str:
        faults = {"lost": self.lost, "torn or mixed": self.torn, "out of order": self.disordered}
        faults["under a wrong name"] = self.misnamed
        return (
            ", ".join(f"{number:,} {what}" for what, number in faults.items() if number) or "none lost, torn or mixed"
        )


def make(path: Path, writer: int, count: int) -> None:
    """Write the file of one writer: `count` numbered lines."""
    filler = b"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 " * 2
    with path.open("wb") as stream:
        for first in range(0, count, 10_000):
            numbers = range(first, min(first + 10_000, count))
            heads = (b"%s%d:%09d " % (SIGN, writer, number) for number in numbers)
            stream.writelines((head + filler)[: LENGTH - 1] + b"\n" for head in heads)


def judge(output: memoryview, files: dict[int, bytes], named: bool) -> Verdict:
    """Compare the whole output with the files; with `named`, the prefix of each line must name its writer (`w1`).

    The quick way compares big pieces, in order. Only where that fails is each line looked at.
    """
    at = dict.fromkeys(files, 0)
    whole = True
    misnamed = 0
    for lines in _blocks(output):
        for writer, data in files.items():
            sign = b"%s%d:" % (SIGN, writer)
            mine = [line for line in lines if sign in line]
            payload = b"\n".join([line[1 - LENGTH :] for line in mine]) + b"\n" if mine else b""
            whole = whole and payload == data[at[writer] : at[writer] + len(payload)]
            at[writer] += len(payload)
            if named:
                name = b"w%d" % writer
                misnamed += sum(name not in prefix for prefix in {line[: 1 - LENGTH] for line in mine})
            else:
                whole = whole and not any(len(line) >= LENGTH for line in mine)
    if whole and all(at[writer] == len(data) for writer, data in files.items()):
        return Verdict(misnamed=misnamed)
    return _each_line(output, files, named, misnamed)


def _each_line(output: memoryview, files: dict[int, bytes], named: bool, misnamed: int) -> Verdict:
    seen: dict[int, set[int]] = {writer: set() for writer in files}
    last = dict.fromkeys(files, -1)
    torn = disordered = 0
    for lines in _blocks(output):
        for line in lines:
            if SIGN not in line:
                continue
            payload = line[1 - LENGTH :] if named else line
            found = _number(payload, files)
            if found is None:
                torn += 1
                continue
            writer, number = found
            disordered += number <= last[writer]
            last[writer] = number
            seen[writer].add(number)
    lost = sum(len(data) // LENGTH - len(seen[writer]) for writer, data in files.items())
    return Verdict(lost, torn, disordered, misnamed)


def _number(payload: bytes, files: dict[int, bytes]) -> tuple[int, int] | None:
    """Whose line it is and which, if it is whole."""
    head, _, _ = payload.partition(b" ")
    writer, _, number = head.removeprefix(SIGN).partition(b":")
    if not (writer.isdigit() and number.isdigit() and int(writer) in files):
        return None
    start = int(number) * LENGTH
    whole = files[int(writer)][start : start + LENGTH] == payload + b"\n"
    return (int(writer), int(number)) if whole else None


def _blocks(output: memoryview) -> Iterator[list[bytes]]:
    """The lines, some megabytes at a time; a piece without its newline at the very end is one too."""
    rest = b""
    for start in range(0, len(output), BLOCK):
        lines = (rest + bytes(output[start : start + BLOCK])).split(b"\n")
        rest = lines.pop()
        yield lines
    yield [rest]
