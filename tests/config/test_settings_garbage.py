"""Whatever stands in procsup.toml, it is read or refused with places that are in it; nothing else ever happens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.config.settings_file import parse_settings
from procsup.config.settings_keys import OF_A_TYPE, OF_THE_APP, PROCESSES
from procsup.errors import ConfigError, Problem

TYPES = ("web", "queue")
WORDS = st.sampled_from(
    (
        *OF_A_TYPE,
        *OF_THE_APP,
        PROCESSES,
        *TYPES,
        "nobody",
        "A",
        "S",
        "env.A",
        "processes.web",
        "web.env",
        "''",
        '"é\\n"',
    )
)
SIGNS = (*"[]{}=.,'#\\\" \n\0\ufeff\u2028\x0cé\ud800", "[[", "]]", '"""', "'''", "\r\n")
PIECES = st.sampled_from(
    (
        *OF_A_TYPE, *OF_THE_APP, PROCESSES, *TYPES, *SIGNS, "1", "-1", "0x1", "1e9", "nan", "true", "1979-05-27",
        '"TERM, 10, KILL"', '"always"', "[processes.web]", "\n[env]\n", "count = 1\n", "<<<<<<< a",
    )
)  # fmt: skip
LEAVES = st.one_of(
    st.integers(),
    st.floats().map(str).map(lambda text: text if text in ("nan", "inf", "-inf") or "." in text else f"{text}.0"),
    st.sampled_from(
        ('"TERM, 5"', '"KILL"', '"web"', '"a b"', '"\\u0000"', '"mysql"', '"always"', "true", "07:32:00", "''")
    ),
).map(str)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(WORDS, inner), max_size=3).map(
            lambda items: "{" + ", ".join(f"{name} = {value}" for name, value in items) + "}"
        )
    ),
    max_leaves=6,
)
LINES = st.one_of(
    st.tuples(WORDS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.tuples(WORDS, WORDS).map(lambda pair: f"[{pair[0]}.{pair[1]}]"),
    WORDS.map(lambda word: f"[{word}]"),
    WORDS.map(lambda word: f"[[{word}]]"),
)


def read_or_refused(data: bytes) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        parse_settings(data, TYPES, "Procfile")
    except ConfigError as error:
        problems = error.problems
    assert list(problems) == sorted(problems)
    lines = data.decode(errors="replace").removeprefix("\ufeff").split("\n")
    for problem in problems:
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        assert problem.message.isprintable(), problem


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    read_or_refused(data)


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=30))
def test_random_pieces_of_such_files(pieces: list[str]) -> None:
    read_or_refused("".join(pieces).encode(errors="surrogatepass"))


@settings(max_examples=500)
@given(st.lists(LINES, max_size=6))
def test_random_lines_of_such_files(lines: list[str]) -> None:
    read_or_refused("\n".join(lines).encode())
