"""Where the keys of a TOML file stand, for files of every style; tomllib says which keys there are."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.config.toml_places import Path, nearest, places

VALUES = (
    "1", "0x1f", "-1.5e3", "true", "inf", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00", "07:32:00",
    '""', "''", '"a # = [x] \\" {"', "'a # = [x] \\'", '"""a"""', "'''a'''",
    '"""\nx = 1 # "no" key\n[no]\n\\""" """', "'''\n[no]\nx = 1 ''\n'''", '"""a"""""', "'''a'''''", '""""a"""',
    "[]", "[ ]", "[1, 2,]", '[ # a ] \n "b]", # {\n [ "c" ], { no = 1 },\n]', "[[1], [2]]",
)  # fmt: skip
NAMES = ("a", "b-c", "D_1", "7", '"q"', "'q'", '"a.b"', '" = "', "'# ['", '"\\u00e9\\n"', '""', "'\\'", '"]"')
BLANKS = st.sampled_from(("", " ", "\t", "  "))
ENDS = st.sampled_from(("", " ", "# no = 1", ' # "', " # [no]"))


class Written(NamedTuple):
    """A piece of TOML, and the offsets in it of the keys that it names first."""

    text: str
    keys: tuple[tuple[Path, int], ...]


def meaning(name: str) -> str:
    return next(iter(tomllib.loads(f"{name} = 1")))


@st.composite
def dotted(draw: st.DrawFn) -> Written:
    text, path, keys = draw(BLANKS), (), []
    for position, name in enumerate(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))):
        text += (draw(BLANKS) + "." + draw(BLANKS)) if position else ""
        path = (*path, meaning(name))
        keys.append((path, len(text)))
        text += name
    return Written(text + draw(BLANKS), tuple(keys))


@st.composite
def assignments(draw: st.DrawFn, depth: int = 2) -> Written:
    key = draw(dotted())
    text = f"{key.text}={draw(BLANKS)}"
    if depth and draw(st.booleans()):
        inner = draw(st.lists(assignments(depth=depth - 1), max_size=3))
        text += "{"
        keys = list(key.keys)
        for position, each in enumerate(inner):
            text += "," if position else ""
            keys += [((*key.keys[-1][0], *path), offset + len(text)) for path, offset in each.keys]
            text += each.text
        return Written(text + draw(BLANKS) + "}", tuple(keys))
    return Written(text + draw(st.sampled_from(VALUES)), key.keys)


@st.composite
def files(draw: st.DrawFn) -> Written:
    text, table, keys = "", (), []
    for kind in draw(st.lists(st.sampled_from(("key", "key", "table", "array", "blank")), max_size=8)):
        if kind == "blank":
            text += draw(BLANKS)
        elif kind == "key":
            written = draw(assignments())
            keys += [((*table, *path), offset + len(text)) for path, offset in written.keys]
            text += written.text
        else:
            written = draw(dotted())
            begin, end = ("[[", "]]") if kind == "array" else ("[", "]")
            keys += [(path, offset + len(text) + len(begin)) for path, offset in written.keys]
            table = written.keys[-1][0]
            text += begin + written.text + end
        text += draw(ENDS) + "\n"
    return Written(text, tuple(keys))


def paths(value: Any, above: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield (*above, key)
            yield from paths(each, (*above, key))


@settings(max_examples=400)
@given(files())
def test_every_key_is_found_where_it_was_written_first(written: Written) -> None:
    try:
        read = tomllib.loads(written.text)
    except tomllib.TOMLDecodeError:
        return  # the same key twice, for example
    expected: dict[Path, int] = {}
    for path, offset in written.keys:
        if len(path) <= 5:
            expected.setdefault(path, offset)
    found = places(written.text.split("\n"))
    begins = [0]
    for line in written.text.split("\n"):
        begins.append(begins[-1] + len(line) + 1)
    assert {path: begins[line - 1] + column - 1 for path, (line, column) in found.items()} == expected
    assert {path for path in paths(read) if len(path) <= 5} <= set(found)


def test_what_is_not_found_has_the_place_of_what_it_stands_in() -> None:
    found = places(["", "[a.b]", "c = [{d = 1}]"])
    assert nearest(found, ("a", "b", "c", "d")) == (3, 1)
    assert nearest(found, ("a", "b", "x", "y")) == (2, 4)
    assert nearest(found, ("x",)) == (1, 1)
