"""The test command: `python3 tests` sets up what the tests need beside Python, and runs them. Arguments go to pytest;
who wants some of the tests only is not given what only the others need.

Imports nothing but the standard library, as nothing else may be there yet. Stops at the first step that fails.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "installed-for-tests"
IN_CI = os.environ.get("CI") == "true"
# Last come those that start real processes; all that is not named here comes first, in the order of the alphabet.
WITH_PROCESSES = ("tests/runtime", "tests/e2e", "tests/faults", "tests/boot")
IN_ORDER = "pure ones first, then real processes, then a booted system"
# What real services and faults need: a file that the package brings, and the package's name with Debian.
PACKAGES = {
    "/usr/bin/redis-server": "redis-server",
    "/usr/sbin/rabbitmq-server": "rabbitmq-server",
    "/usr/lib/postgresql": "postgresql",
    "/usr/sbin/rsyslogd": "rsyslog",
    "/usr/bin/faketime": "faketime",
    "/usr/bin/systemd-nspawn": "systemd-container",
    "/usr/sbin/debootstrap": "debootstrap",
    "/usr/bin/qemu-system-x86_64": "qemu-system-x86",
    "/usr/bin/cpio": "cpio",
    "/usr/bin/runsvdir": "runit",
    "/usr/bin/s6-svscan": "s6",
    "/usr/bin/curl": "curl",
    "/usr/bin/docker-compose": "docker-compose",
    "/usr/bin/irb": "ruby",
}


class Failed(Exception):
    """A step did not succeed; the message is for people, the code for the shell."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Step(NamedTuple):
    title: str
    run: Callable[[], None]


def steps(pytest_arguments: list[str]) -> tuple[Step, ...]:
    some = " ".join(pytest_arguments)
    system = Step("A small system to boot", make_root_file_system)
    return (
        Step("Virtual environment in .venv", make_environment),
        Step("procsup and what its tests need", install),
        Step("Packages of the system", provide_packages),
        Step("Lint", lambda: tool("ruff", "check")),
        Step("Format", lambda: tool("ruff", "format", "--check")),
        Step("Types", lambda: tool("mypy")),
        *((system,) if not some or "tests/boot" in some else ()),
        Step(f"Tests: {some or IN_ORDER}", lambda: run_tests(pytest_arguments)),
        *(() if some else (Step("One minute of disturbances", soak),)),
    )


def make_environment() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 (who runs this may well have an older one)
        raise Failed(f"procsup needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable})")
    if _python_works():
        return
    if subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=False).returncode:
        raise Failed("this Python cannot make a virtual environment; on Debian: apt-get install python3-venv")


def _python_works() -> bool:
    """A .venv that is there may be that of a Python which has gone, is too old, or lived in another folder."""
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        done = subprocess.run([_program("python"), "-c", check], cwd=VENV, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def install() -> None:
    """Nothing is asked of the network when what pyproject.toml wants is there, and procsup is this folder's."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + os.fsencode(ROOT)).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted and _is_ours():
        return
    call(
        _program("python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--editable",
        ".[dev,examples]",
    )
    STAMP.write_text(wanted)


def _is_ours() -> bool:
    where = "import os, procsup; print(os.path.dirname(procsup.__file__))"
    done = subprocess.run([_program("python"), "-c", where], cwd=VENV, capture_output=True, text=True, check=False)
    return done.stdout.strip() == str(ROOT / "procsup")


def provide_packages() -> None:
    missing = [package for file, package in PACKAGES.items() if not os.path.exists(file)]
    if not missing:
        return
    if not IN_CI:
        print(f"not installed: {', '.join(missing)}; the tests that need them will be skipped")
        return
    as_root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    call(*as_root, "apt-get", "update", "--quiet", "--quiet")
    call(*as_root, "apt-get", "install", "--quiet", "--quiet", "--yes", "--no-install-recommends", *missing)


def make_root_file_system() -> None:
    """Before the tests, whose time is limited: it takes a minute or two, once per machine."""
    done = subprocess.run([_program("python"), "-m", "tests.boot.rootfs"], cwd=ROOT, check=False)
    if done.returncode and IN_CI:
        raise Failed("there is no system to boot")


def run_tests(arguments: list[str]) -> None:
    """One run for all, so that its last line counts them all."""
    chosen = arguments or [*_pure_tests(), *WITH_PROCESSES]
    tool("pytest", "--quiet", *chosen)


def soak() -> None:
    """A busy machine may take three times as long to answer."""
    call(_program("python"), "-m", "benchmarks.soak", "--minutes", "1", "--slack", "3")


def _pure_tests() -> list[str]:
    entries = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").iterdir())
    return [
        entry
        for entry in entries
        if entry not in WITH_PROCESSES and (any((ROOT / entry).glob("test_*.py")) or Path(entry).match("test_*.py"))
    ]


def tool(name: str, *arguments: str) -> None:
    call(_program(name), *arguments)


def call(*command: str) -> None:
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        raise Failed(f"{os.path.basename(command[0])} failed", code)


def _program(name: str) -> str:
    return str(VENV / "bin" / name)


def main() -> int:
    try:
        for step in steps(sys.argv[1:]):
            print(f"== {step.title}", flush=True)
            step.run()
    except Failed as failed:
        print(f"== {failed}", file=sys.stderr)
        return failed.code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
