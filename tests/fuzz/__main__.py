"""Runs one target under atheris: `python -m tests.fuzz procfile --seconds 600`.

Goes on after a finding, so that one does not hide the next: each kind is told once, and its input is kept. Needs
atheris, which the tests do not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fuzz import targets

SLOW = 1.0  # seconds of the processor's time for one input, with the instruments in


class Findings:
    """What went wrong, one of each kind."""

    def __init__(self, folder: Path, one: Callable[[bytes], None]) -> None:
        self._folder = folder
        self._one = one
        self._known: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def watch(self, data: bytes) -> None:
        began = time.process_time()
        try:
            self._one(data)
        except Exception as error:
            self._keep(data, _kind(error), traceback.format_exc())
        if time.process_time() - began > SLOW:
            self._keep(data, "slow", f"{time.process_time() - began:.1f} s for {len(data)} bytes")

    def _keep(self, data: bytes, kind: str, text: str) -> None:
        if kind in self._known:
            return
        self._known.add(kind)
        path = self._folder / hashlib.sha256(data).hexdigest()[:12]
        path.write_bytes(data)
        print(f"== finding {len(self._known)}: {kind}, in {path}: {data[:300]!r}\n{text}", file=sys.stderr, flush=True)


def _kind(error: Exception) -> str:
    """Where it came up and what was called to get there, without which all assertions of a check would be one."""
    frames = traceback.extract_tb(error.__traceback__)
    return " ".join([type(error).__name__, *(f"{Path(each.filename).stem}:{each.lineno}" for each in frames[-2:])])


def _dictionary(path: Path, tokens: Sequence[bytes]) -> Path:
    path.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in tokens))
    return path


def _fuzz(name: str, seconds: int, folder: Path) -> None:
    """Does not return: the fuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["procsup", "dotenv"]):
        target = targets.target(name)
    findings = Findings(folder / "findings", target.one)
    grown = folder / "corpus"
    grown.mkdir(exist_ok=True)
    flags = [f"-max_total_time={seconds}", f"-max_len={target.LONGEST}", "-timeout=60", "-print_final_stats=1"]
    flags += [f"-dict={_dictionary(folder / 'dictionary', target.TOKENS)}", f"-artifact_prefix={folder}/findings/"]
    atheris.Setup([sys.argv[0], *flags, str(grown), str(targets.CORPUS / name)], findings.watch)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=targets.TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="for the corpus as it grows, and the findings")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix=f"fuzz-{given.target}-"))
    fuzzer = os.fork()
    if not fuzzer:
        _fuzz(given.target, given.seconds, folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fuzzer hears it, too, and ends
    code = os.waitstatus_to_exitcode(os.waitpid(fuzzer, 0)[1])
    found = sum(1 for _ in (folder / "findings").glob("*"))
    print(f"== {given.target}: {found} findings, in {folder}", file=sys.stderr)
    return 1 if found or code else 0


sys.exit(main())
