"""Any bytes as a .env file: what python-dotenv reads from it, with nothing skipped, or complaints without a value."""

from __future__ import annotations

import io
import os
import re

from dotenv.main import DotEnv, resolve_variables

from procsup.config.dotenv_file import MAX_VALUE, parse_env_file
from procsup.config.environment import Binding, Environment
from procsup.config.files import MAX_SIZE
from procsup.config.secrets import mask_text, masked
from procsup.errors import ConfigError
from tests.fuzz.complaints import check_error, lines_of

FILE = ".env"
LONGEST = 4096
TOKENS = (
    *(b"A=", b"B=${A}", b"${A:-x}", b"${NO}", b"export ", b"export", b"'", b'"', b"\\", b"\\n", b"\\'", b'\\"'),
    *(b"\r\n", b"\n", b" #", b"#", b"=", b"\xef\xbb\xbf", b"\xc2\xa0", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0c", b"\x1c"),
    *(b"<<<<<<< ", b"=======", b"KEY", b"TOKEN=", b"PWD=", b"PATH", b"HOME", b"${PATH}", b"://u:p@h", b"\0", b"\xff"),
    *(b"A=${A}${A}\n", b"\\x", b"\\u", b"${:-}"),
)
_LONG_WORD = re.compile(r"[^\s\"']{16,}")  # longer than any that our own messages are made of


def one(data: bytes) -> None:
    inherited = dict(os.environ)  # python-dotenv looks there, too
    for override in (False, True):
        try:
            bindings = [
                Binding(*each)
                for each in parse_env_file(data, FILE, inherited if override else {}, {} if override else inherited)
            ]
        except ConfigError as error:
            check_error(error, lines_of(data), FILE)
            _check_no_value_in(str(error), data)
            continue
        _check_bindings(bindings, data)
        _check_same_as_dotenv(bindings, data, override=override)
        _check_secrets(bindings, inherited, override=override)


def _check_no_value_in(message: str, data: bytes) -> None:
    assert not any(word in message for word in _LONG_WORD.findall(data.decode(errors="replace")))


def _check_bindings(bindings: list[Binding], data: bytes) -> None:
    lines = lines_of(data)
    assert [each.line for each in bindings] == sorted(each.line for each in bindings)
    for each in bindings:
        assert each.name.split("\n")[0] in lines[each.line - 1], each
        assert each.name
        assert "=" not in each.name
        assert "\0" not in each.name + each.value
        assert len(each.value) <= MAX_VALUE
        os.fsencode(each.name + each.value)
    assert sum(len(each.value) for each in bindings) <= MAX_SIZE


def _check_same_as_dotenv(bindings: list[Binding], data: bytes, *, override: bool) -> None:
    data = re.sub(rb"\A(\xef\xbb\xbf)+", b"", data)  # how many it takes away depends on its version
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")  # as it opens files itself
    parsed = DotEnv(None, stream=text).parse()
    # A bare `export NAME` takes the value away for python-dotenv; it does not for a shell, nor for us.
    theirs = resolve_variables(((name, value) for name, value in parsed if value is not None), override=override)
    assert {each.name: each.value for each in bindings} == theirs


def _check_secrets(bindings: list[Binding], inherited: dict[str, str], *, override: bool) -> None:
    from_file = {each.name: each.value for each in bindings}
    values = {**inherited, **from_file} if override else {**from_file, **inherited}
    layer = tuple(reversed(bindings))
    environment = Environment(values, ((FILE, layer),), inherited, override)
    secrets = environment.secrets
    shown = masked(values, secrets)
    for conflict in environment.conflicts:
        assert not any(secret in conflict for secret in secrets if len(secret) >= 16)
    for each in bindings:
        assert environment.origin(each.name)[0].value == values[each.name]
    for secret in secrets:
        if len(secret) >= 8:
            assert secret not in mask_text(f"a {secret}b", secrets)
            assert not any(secret in value for value in shown.values())
