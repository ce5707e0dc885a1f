"""Projects whose values and commands mean something to every engine, and the picture that is taken of them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypothesis import strategies as st

from procsup.config.project import ProjectOptions, load_project
from procsup.export.model import App, Type
from procsup.export.picture import Machine, picture

_LETTERS = "".join(chr(number) for number in range(1, 127)) + "\x7f\x80\x85\xa0é߀\u2028\u2029\ufeff\ufffd\ufffe😀"
_PIECES = ("$", "$$", "${", "}", "${HOME}", "$(PORT)", "$$(x)", "%{", "%%{", "{{", "}}", "\\", "'", '"', "\r\n", "''",
           "yes", "null", "1e3", "0x10", "-", ": ", " #", "<<", "\\u0041", "\\n", " ")  # fmt: skip
texts = st.lists(st.sampled_from(_PIECES) | st.text(st.sampled_from(_LETTERS), max_size=8), max_size=6).map("".join)
# For every other one the name says that the value is secret.
_names = st.builds("{}{}".format, st.sampled_from(("V_", "V_KEY_")), st.text("abcXYZ019_", min_size=1, max_size=6))
variables = st.dictionaries(_names, texts, max_size=25)
# As an argument; what stands in a Procfile is one line, and has no character that ends it.
words = texts.map(lambda text: "".join(letter for letter in text if letter not in "\n\r\x85\u2028\u2029\x0b\x0c"))


def take(procfile: str, settings: str = "", environment: Mapping[str, str] | None = None, **counts: int) -> App:
    """`environment` are the app's variables, of procsup.toml."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "shop")
        root.mkdir()
        (root / "Procfile").write_text(procfile, newline="")
        pairs = ", ".join(f"{name} = {_in_toml(value)}" for name, value in (environment or {}).items())
        (root / "procsup.toml").write_text(f"env = {{ {pairs} }}\n{settings}", newline="")
        project = load_project(ProjectOptions(str(root / "Procfile"), env_override=True), {}, folder, lambda: b"")
        machine = Machine({"PATH": os.environ["PATH"]}, None, lambda type_, name: f"/mounts/{type_}/{name}", _login)
        return picture(project, counts, machine)


def _login(user: str) -> Mapping[str, str]:
    return {"HOME": f"/home/{user}", "USER": user, "LOGNAME": user}


def _in_toml(value: str) -> str:
    """JSON's strings are TOML's but for the characters that JSON needs not escape, and for halves of characters."""
    return "".join(
        f"\\U{ord(letter):08x}" if not letter.isprintable() else letter
        for letter in json.dumps(value, ensure_ascii=False)
    )


def telling(word: str, more: str = "") -> str:
    """A command that shows its arguments as they came to it."""
    return f"printf '<%s>' {shlex.quote(word)} {more}".rstrip()


def run(argv: Sequence[str], folder: str = "/", **environment: str) -> str:
    """As an engine does: no shell but the one that is in it."""
    done = subprocess.run(
        list(argv), env={"PATH": os.environ["PATH"], **environment}, cwd=folder, capture_output=True, timeout=20
    )
    return done.stdout.decode()


def of(app: App, name: str) -> Type:
    return next(each for each in app.types if each.name == name)
