"""What a child sees is the same under each engine as under procsup, byte for byte, whatever is in values and words.

Some hundred values at once, as an engine takes a second to start: the whole takes about ten.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.export.engines import ENGINES
from tests.export.example import HARD_NAME, ROOT, Example, free_port, until_gone
from tests.export.example import given as without_own
from tests.export.nasty import texts, words

_TELL = shlex.join([sys.executable, str(ROOT / "examples/export/tell.py"), "work"])
_MANY = st.lists(texts, min_size=60, max_size=100)


class Project(Example):
    def __init__(self, folder: Path, values: Mapping[str, str], word: str, port: int) -> None:
        folder.mkdir(parents=True)
        super().__init__(folder / HARD_NAME, folder / "reports", port)
        (self.folder / "Procfile").write_text(
            f"plain: {_TELL} --greeting={shlex.quote(word)}\nshell: true; {_TELL} --greeting={shlex.quote(word)}\n",
            newline="",
        )
        pairs = "\n".join(f"{name} = {_in_toml(value)}" for name, value in values.items())
        (self.folder / "procsup.toml").write_text(f"app = 'Export example'\n[env]\n{pairs}\n", newline="")


def _in_toml(value: str) -> str:
    """JSON's strings are TOML's but for the halves of characters, which it has in JSON only."""
    return "".join(
        f"\\U{ord(letter):08x}" if not letter.isprintable() else letter
        for letter in json.dumps(value, ensure_ascii=False)
    )


@given(_MANY, words)
@settings(max_examples=2, suppress_health_check=list(HealthCheck))
def test_a_child_sees_the_same_bytes_under_each_engine(tmp_path_factory, values: list[str], word: str) -> None:
    named = {f"V{number}{'_KEY' if number % 2 else ''}": value for number, value in enumerate(values)}
    folder = tmp_path_factory.mktemp("exact")
    project = Project(folder / "project", named, word, free_port())
    supervisor = project.start("--port", str(project.port))
    ours = project.until_told("ready", "plain.1", "shell.1")
    assert supervisor.stop() == 0
    assert {name: ours["plain.1"]["env"][name] for name in named} == named
    assert ours["plain.1"]["argv"] == ["work", f"--greeting={word}"]
    for engine in ENGINES:
        if not engine.there:  # in CI test_running.py fails then
            continue
        project.forget()
        target = folder / engine.name
        _, said = project.export(engine.name, target)
        assert "left out: no script" not in said
        with engine.running(target) as process:
            theirs = project.until_told("ready", "plain.1", "shell.1")
            engine.end(process)
        until_gone([each["pid"] for each in theirs.values()])
        assert sorted(project.told("stopped")) == ["plain.1", "shell.1"], "a shell that leads keeps no signal to itself"
        for name in ("plain.1", "shell.1"):
            assert without_own(theirs[name], *engine.own) == without_own(ours[name])
            assert theirs[name]["argv"] == ours[name]["argv"]
