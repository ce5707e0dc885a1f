"""Any bytes as procsup.toml: settings that everybody can use, or mistakes with places that are in the file."""

from __future__ import annotations

from procsup.config.settings import Settings
from procsup.config.settings_file import parse_settings
from procsup.config.settings_keys import OF_A_TYPE, OF_THE_APP
from procsup.errors import ConfigError

LONGEST = 2048
TOKENS = (
    *(key.encode() for key in (*OF_A_TYPE, *OF_THE_APP)),
    *(
        b"[processes.web]\n",
        b"[processes.queue]\n",
        b"[env]\n",
        b"[relationships]\n",
        b"[[",
        b"]]",
        b"{",
        b"}",
        b"\r\n",
        b"#",
    ),
    *(
        b'"TERM, 10, KILL"',
        b'"""',
        b"'''",
        b"\\u0000",
        b"\\",
        b"nan",
        b"true",
        b"0x",
        b"1979-05-27",
        b"9" * 64,
        b"a.a.a.",
    ),
)
_TYPES = ("web", "queue")


def one(data: bytes) -> None:
    try:
        settings = parse_settings(data, _TYPES, "Procfile")
    except ConfigError as error:
        _check_places(data, error)
        return
    _check_values(settings)


def _check_places(data: bytes, error: ConfigError) -> None:
    lines = data.decode(errors="replace").lstrip("\ufeff").split("\n")
    assert error.problems
    assert list(error.problems) == sorted(error.problems)
    for problem in error.problems:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.message.isprintable()
        assert len(problem.message) < 1000


def _check_values(settings: Settings) -> None:
    for name in _TYPES:
        own = settings.of(name)
        assert all("\0" not in value and "=" not in key for key, value in own.env.items())
        assert all(step.wait is None or step.wait >= 0 for step in own.stop)
        assert own.count is None or own.count >= 0
        assert set(own.relationships) <= set(settings.relationships)
        assert all(settings.place(name, f"env.{key}") for key in settings.visible_env(name))
        assert settings.limits(name) is not None
