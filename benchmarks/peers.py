"""The tools procsup is measured against, each as its own registry has it, in a cache folder outside the tree.

Those that come as a system's package or as a binary of their own are taken from the PATH, or from `bin` in that folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SPEED = ("honcho", "circus", "concurrently", "foreman", "hivemind")
RELIABILITY = ("honcho", "supervisor")
_PYPI = ("honcho", "circus", "supervisor")
_FOUND = ("foreman", "hivemind")  # taken if the machine has them
INSTALL_LIMIT = 300.0


@dataclass(frozen=True)
class Peers:
    """Where each tool is (None: it could not be had) and which version it says it is."""

    honcho: Path | None
    circusd: Path | None
    circusctl: Path | None
    concurrently: Path | None
    supervisord: Path | None
    supervisorctl: Path | None
    foreman: Path | None
    hivemind: Path | None
    versions: dict[str, str]
    remarks: tuple[str, ...]


def default_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "procsup-benchmarks"


def install(cache: Path, wanted: Sequence[str] = SPEED) -> Peers:
    """Find or install these peers; one that cannot be installed becomes a remark.

    Remove the folder to get newer ones.
    """
    cache.mkdir(parents=True, exist_ok=True)
    remarks: list[str] = []
    versions: dict[str, str] = {}
    folder = cache / f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in (name for name in wanted if name in _PYPI):
        try:
            versions[name] = _from_pypi(folder, name)
        except (OSError, subprocess.SubprocessError) as error:
            remarks.append(f"{name} could not be installed and is left out ({_reason(error)})")
    try:
        if "concurrently" in wanted:
            versions["concurrently"], versions["node"] = _from_npm(cache / "node")
    except (OSError, subprocess.SubprocessError) as error:
        remarks.append(f"concurrently could not be installed and is left out ({_reason(error)})")

    found = {name: shutil.which(name) or shutil.which(name, path=cache / "bin") for name in _FOUND if name in wanted}
    for name, program in found.items():
        if program is None:
            remarks.append(f"{name} is not on this machine and is left out")
            continue
        number = re.search(r"\d[\w.]*", _run(program, "--version"))
        versions[name] = number[0] if number else "of unknown version"

    def where(path: Path, name: str) -> Path | None:
        return path if name in versions and path.exists() else None

    return Peers(
        honcho=where(folder / "bin/honcho", "honcho"),
        circusd=where(folder / "bin/circusd", "circus"),
        circusctl=where(folder / "bin/circusctl", "circus"),
        concurrently=where(cache / "node/node_modules/.bin/concurrently", "concurrently"),
        supervisord=where(folder / "bin/supervisord", "supervisor"),
        supervisorctl=where(folder / "bin/supervisorctl", "supervisor"),
        foreman=Path(program) if (program := found.get("foreman")) else None,
        hivemind=Path(program) if (program := found.get("hivemind")) else None,
        versions=versions,
        remarks=tuple(remarks),
    )


def _from_pypi(folder: Path, name: str) -> str:
    python = folder / "bin/python"
    if not python.exists():
        _run(sys.executable, "-m", "venv", str(folder))
    if not (folder / "bin" / {"circus": "circusd", "supervisor": "supervisord"}.get(name, name)).exists():
        _run(str(python), "-m", "pip", "install", "--quiet", name)
    return _run(str(python), "-c", f"from importlib.metadata import version; print(version('{name}'))").strip()


def _from_npm(folder: Path) -> tuple[str, str]:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise FileNotFoundError("there is no npm or no node")
    manifest = folder / "node_modules/concurrently/package.json"
    if not manifest.exists():
        _run(npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "concurrently")
    version = json.loads(manifest.read_text())["version"]
    return str(version), _run(node, "--version").strip().lstrip("v")


def _run(*argv: str) -> str:
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT)
    return done.stdout


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError) and error.stderr:
        return str(error.stderr).strip().splitlines()[-1]
    return str(error)
