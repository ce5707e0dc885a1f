"""Any bytes as the kept formation: read or complained about, and what was read can be started from and kept again."""

from __future__ import annotations

import json
import os
import re
import tempfile

from procsup.core.actions import KeepFormation
from procsup.core.events import ProjectRead, ScaleChange, ScaleRequested
from procsup.core.model import RequestRefused
from procsup.core.rules import ProcessType
from procsup.core.supervisor import Supervisor
from procsup.errors import ConfigError
from procsup.runtime.formation_store import load, save
from tests.fuzz.complaints import check_error

LONGEST = 12 * 1024
TOKENS = (
    *(b'{"version": 1, "formation": {', b'"web": ', b'"worker": ', b'"release": ', b'"version":', b'"formation":'),
    *(b"true", b"false", b"null", b"NaN", b"Infinity", b"1.0", b"1e400", b"-0", b"-1", b"\\ud800", b"\\u0000", b"{}"),
    *(b"9" * 64, b"[" * 64, b"10000", b"1000001", b"\xef\xbb\xbf", b"\xff", b"[]", b",", b"\n", b'"\\n": 1'),
)
_DEFAULTS = {"web": 1, "worker": 1, "release": 0}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}\Z")
_MOST = 1_000_000
_ROOM = 200  # instances; the real limit would make each input slow


def one(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        path = os.path.join(folder, "formation.json")
        with open(path, "wb") as file:
            file.write(data)
        try:
            kept = load(folder)
        except ConfigError as error:
            check_error(error, data.decode(errors="replace").split("\n"), path)
            kept = {}
        else:
            _check_meaning(data, kept)
        formation = _start_from(kept)
        save(folder, formation)
        assert load(folder) == formation
        assert os.listdir(folder) == ["formation.json"]


def _check_meaning(data: bytes, kept: dict[str, int]) -> None:
    for name, count in kept.items():
        assert _NAME.match(name)
        assert type(count) is int
        assert 0 <= count <= _MOST
    written = json.loads(data)
    assert written["formation"] == kept
    assert type(written["version"]) is int


def _start_from(kept: dict[str, int]) -> dict[str, int]:
    """As a start does it; and the formation as it would be kept after somebody has scaled."""
    supervisor = Supervisor(max_instances=_ROOM)
    counts = {name: kept.get(name, count) for name, count in _DEFAULTS.items()}
    try:
        supervisor.handle(ProjectRead(tuple(map(ProcessType, _DEFAULTS)), counts, kept), 0.0)
    except RequestRefused:
        assert sum(counts.values()) > _ROOM
        return dict(kept)
    assert len(supervisor.instances()) == sum(counts.values())
    assert supervisor.formation == counts
    if not 0 < sum(counts.values()) < _ROOM:
        return dict(kept)
    (*_, keep) = supervisor.handle(ScaleRequested((ScaleChange("web", 1),)), 1.0)
    kept_now = {**kept, "web": 1}
    assert [each.formation for each in (keep,) if isinstance(each, KeepFormation)] == [kept_now]
    return kept_now
