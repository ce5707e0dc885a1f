"""Who may import whom, and what else keeps the house in order: read from the source, nothing is imported for it.

The rules are one dictionary. Who wants to break one has a reason, and writes it down in docs/decisions.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "procsup"


class May(NamedTuple):
    """What a part of the house may import: of ours, of others', and of the standard library what is restricted."""

    ours: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    restricted: tuple[str, ...] = ()


# Of the standard library, what only some may use; the rest is free for all but core.
RESTRICTED = ("asyncio", "time", "datetime", "subprocess", "multiprocessing", "threading", "logging")

# The base of plain values, which is as pure as core and in which there is nothing but that.
EVERYBODY_MAY = ("procsup.value",)

# The longest prefix of a module's name decides. A name in `ours` stands for all below it.
RULES: dict[str, May] = {
    "procsup": May(),
    "procsup.__main__": May(ours=("procsup.cli.main",)),
    "procsup.errors": May(),
    "procsup.value": May(),
    "procsup.core": May(ours=("procsup.core",)),
    "procsup.config": May(ours=("procsup.config", "procsup.errors")),
    "procsup.config.dotenv_file": May(ours=("procsup.config", "procsup.errors"), others=("dotenv",)),
    "procsup.output": May(ours=("procsup.output", "procsup.errors"), restricted=("asyncio", "time")),
    "procsup.control.parameters": May(),
    "procsup.control.protocol": May(ours=("procsup.control.parameters", "procsup.errors")),
    "procsup.control.address": May(ours=("procsup.errors",)),
    "procsup.control.peer": May(),
    "procsup.control.client": May(ours=("procsup.control.protocol", "procsup.control.address", "procsup.errors")),
    "procsup.control.search": May(ours=("procsup.control.client", "procsup.control.address", "procsup.errors")),
    "procsup.control": May(ours=("procsup.control", "procsup.errors"), restricted=("asyncio",)),  # the server's side
    # An engine knows the picture and nothing of where it comes from; core numbers the instances in it.
    "procsup.export": May(
        ours=("procsup.export", "procsup.errors", "procsup.config.readiness", "procsup.config.settings")
    ),
    "procsup.export.model": May(ours=("procsup.config",)),
    "procsup.export.picture": May(ours=("procsup.export.model", "procsup.config", "procsup.core", "procsup.errors")),
    "procsup.runtime": May(
        ours=(
            "procsup.__version__",
            "procsup.runtime",
            "procsup.core",
            "procsup.config",
            "procsup.output",
            "procsup.control.server",
            "procsup.control.visitors",
            "procsup.control.listener",
            "procsup.control.protocol",
            "procsup.control.address",
            "procsup.control.peer",
            "procsup.errors",
        ),
        restricted=("asyncio", "time", "subprocess"),
    ),
    "procsup.cli": May(ours=("procsup",), others=("click", "rich"), restricted=("time",)),
    "procsup.cli.logs": May(ours=("procsup",), others=("click",), restricted=("time", "datetime")),
}
# psutil belongs to two rooms of the runtime.
for _room in ("usage", "remains"):
    RULES[f"procsup.runtime.trees.{_room}"] = RULES["procsup.runtime"]._replace(others=("psutil",))

RULES["procsup.runtime.changes"] = RULES["procsup.runtime"]._replace(others=("watchfiles",))

# The resolver cannot be asked without waiting; a thread of the loop's own would be waited for at the end.
RULES["procsup.output.syslog_link"] = May(
    ours=RULES["procsup.output"].ours, restricted=(*RULES["procsup.output"].restricted, "threading")
)

# Core decides and does nothing else: no clock, no I/O, no loop.
CORE_MAY_USE = {"__future__", "collections", "collections.abc", "dataclasses", "enum", "heapq", "signal", "typing"}

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "base", "misc"}
LONGEST_FILE = 300
# When something was said: what console, history and syslog tell, and what `logs --since` asks for.
SHOWS_THE_TIME = {
    "procsup.output.console",
    "procsup.output.formats",
    "procsup.output.history",
    "procsup.output.rfc5424",
    "procsup.output.syslog",
    "procsup.cli.logs",
}
READS_THE_ENVIRONMENT = "procsup.cli.options"


class Import(NamedTuple):
    module: str
    line: int
    name: str | None = None

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[Import]:
    """All of them, those inside functions and for type checkers as well."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import("." * node.level + (node.module or ""), node.lineno, each.name) for each in node.names)


def rule(module: str) -> May:
    while module not in RULES:
        module = module.rpartition(".")[0]
    return RULES[module]


def below(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def breaks(module: str, found: Import) -> str | None:
    """Why an import is against the rules, if it is."""
    may = rule(module)
    if found.module.startswith("."):
        return "relative imports hide who imports whom"
    if found.top == "procsup":
        ours = (*may.ours, *EVERYBODY_MAY)
        return None if below(found.module, ours) or below(found.full, ours) else f"may not import {found.full}"
    if found.top not in sys.stdlib_module_names:
        return None if found.top in may.others else f"may not import {found.top}"
    if below(module, ("procsup.core", *EVERYBODY_MAY)):
        return None if found.module in CORE_MAY_USE else f"core may not import {found.module}"
    return f"may not import {found.top}" if found.top in RESTRICTED and found.top not in may.restricted else None


SOURCES = sorted(PACKAGE.rglob("*.py"))
every_source = pytest.mark.parametrize("path", SOURCES, ids=module_name)


@every_source
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    module = module_name(path)
    broken = [f"{path}:{each.line}: {why}" for each in imports(path) if (why := breaks(module, each))]
    assert not broken, "\n".join(broken)


# Seldom anything is switched on for a folder of control groups, and only who has switched it on can take it back.
_KNOWN_CIRCLE = ("procsup.runtime.limits.cgroups", "procsup.runtime.limits.controllers")


def test_nobody_imports_in_a_circle() -> None:
    """Not even inside of functions, where Python would not mind; what is only for type checkers does not count."""
    names = {module_name(path) for path in SOURCES}
    imported = {module_name(path): {_module_of(each, names) for each in _needed(path)} & names for path in SOURCES}
    imported[_KNOWN_CIRCLE[0]].remove(_KNOWN_CIRCLE[1])
    TopologicalSorter(imported).prepare()  # raises CycleError, with the circle


def _module_of(found: Import, names: set[str]) -> str:
    return found.full if found.full in names else found.module


def _needed(path: Path) -> Iterator[Import]:
    tree = parsed(path)
    checked = [node for node in ast.walk(tree) if isinstance(node, ast.If) and _is_type_checking(node.test)]
    lines = {line for node in checked for line in range(node.lineno, node.body[-1].lineno + 1)}
    return (each for each in imports(path) if each.line not in lines)


def _is_type_checking(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"


@every_source
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(parsed(path)) or path.name == "__main__.py"


@every_source
def test_no_file_outgrows_its_room(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_FILE, "find the second room in it"


@every_source
def test_no_name_says_nothing(path: Path) -> None:
    assert not FORBIDDEN_NAMES.intersection(module_name(path).split("."))


@every_source
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    readers = [
        f"{path}:{node.lineno}"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "environb", "getenv", "getenvb"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    readers += [f"{path}:{each.line}" for each in imports(path) if each.full in {"os.environ", "os.getenv"}]
    assert not readers or module_name(path) == READS_THE_ENVIRONMENT, f"ask {READS_THE_ENVIRONMENT}: {readers}"


def test_what_may_have_been_meant_is_guessed_in_one_place() -> None:
    guessing = {module_name(path) for path in SOURCES for each in imports(path) if each.top == "difflib"}
    assert guessing == {"procsup.errors"}


def _clocks_read(source: ast.Module) -> set[str]:
    """What is used of the module `time`, by its names there."""
    named = {
        node.attr for node in ast.walk(source) if isinstance(node, ast.Attribute) and _is_module(node.value, "time")
    }
    named |= {
        alias.name
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
    }
    return named


def _is_module(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


@every_source
def test_the_wall_clock_is_read_by_those_who_show_it_only(path: Path) -> None:
    """People and time servers set it. And a clock that counts a suspend would let all time-outs end at the resume."""
    shows_it = module_name(path) in SHOWS_THE_TIME
    may = {"monotonic", "sleep"} | ({"time", "localtime", "gmtime", "strftime"} if shows_it else set())
    assert not _clocks_read(parsed(path)) - may
    assert shows_it or not [each for each in imports(path) if each.top == "datetime"]


def test_a_reading_of_the_wall_clock_would_be_seen() -> None:
    for text in ("import time\ntime.time()", "from time import time", "import time\ntime.clock_gettime(7)"):
        assert _clocks_read(ast.parse(text)) - {"monotonic", "sleep"}


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("procsup.core.model", Import("os", 1)),
        ("procsup.core.model", Import("procsup.errors", 1, "UsageError")),
        ("procsup.config.project", Import("click", 1)),
        ("procsup.config.project", Import("time", 1)),
        ("procsup.control.client", Import("asyncio", 1)),
        ("procsup.control.client", Import("procsup.control", 1, "server")),
        ("procsup.runtime.daemon", Import("psutil", 1)),
        ("procsup.runtime.daemon", Import("procsup.cli.options", 1, "environment")),
        ("procsup.output.pump", Import("procsup.core.model", 1, "InstanceName")),
        ("procsup.output.pump", Import(".console", 1, "Console")),
        ("procsup.export.systemd", Import("procsup.config.project", 1, "Project")),
        ("procsup.export.model", Import("procsup.runtime.rules", 1, "plan")),
    ],
)
def test_the_rules_would_see_who_breaks_them(module: str, imported: Import) -> None:
    assert breaks(module, imported)


_OF_A_PROJECT = ("procsup.config.environment", "procsup.config.procfile", "procsup.config.settings")


def test_a_client_starts_without_what_it_does_not_need() -> None:
    """Each of these costs more than the question that the client asks."""
    heavy = ("asyncio", "rich", "psutil", "dotenv", "dataclasses", "subprocess", *_OF_A_PROJECT)
    program = (
        "import sys; import procsup.cli.main, procsup.cli.scale, procsup.cli.orders, procsup.control.search;"
        "import procsup.config.formation, procsup.config.location;"
        f"print(*[name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# For features that few ask for.
_RARELY = tuple(
    f"procsup.{each}"
    for each in (
        "config.limits", "config.readiness", "config.settings_file", "config.sizes", "runtime.limits.controllers",
        "runtime.limits.confinement", "runtime.server_socket", "runtime.mounts", "runtime.release",
        "runtime.release_order", "runtime.users",
    )
)  # fmt: skip


_RARELY_AT_REST = tuple(
    f"procsup.{each}"
    for each in (
        "config.globs", "config.readiness", "config.settings_file", "config.settings_values", "output.bounded_file",
        "output.files", "output.foot", "output.journal", "output.raw_mode", "output.recollection", "output.syslog",
        "runtime.changes", "runtime.focus", "runtime.mounts", "runtime.probes", "runtime.release",
        "runtime.release_order", "runtime.users", "runtime.upgrade.document_reader", "runtime.upgrade.heirlooms",
        "runtime.upgrade.successor", "runtime.upgrade.taking_over",
    )
)  # fmt: skip


def test_the_first_child_is_started_before_what_only_the_loop_needs_is_loaded() -> None:
    heavy = ("asyncio", "tomllib", "rich", "psutil", "dotenv", "dataclasses", "subprocess", "socket", "json", *_RARELY)
    program = (
        "import sys; import procsup.runtime.start, procsup.runtime.beginning;"
        f"print(*[name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_supervisor_at_rest_has_loaded_nothing_that_nobody_asked_for() -> None:
    """Of what writes its memory down for an upgrade all has to be there, and nothing of what reads it."""
    heavy = ("fnmatch", "queue", "rich", "psutil", "termios", "tomllib", *_RARELY_AT_REST)
    program = (
        "import sys; import procsup.cli.start, procsup.runtime.start, procsup.runtime.supervise;"
        "procsup.runtime.upgrade.upgrader.Upgrader.prepare();"
        f"print(*[name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_who_looks_after_what_a_dead_supervisor_left_needs_no_loop() -> None:
    """The guardian is there when memory is short, and the sweep before a start holds up the first child."""
    program = (
        "import sys; import procsup.runtime.trees.leftovers, procsup.runtime.guardian; print('asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
