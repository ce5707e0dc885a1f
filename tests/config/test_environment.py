"""What the .env files say, who wins against the inherited environment, and every error with its place."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.config.dotenv_file import parse_env_file
from procsup.config.environment import EnvFile, Environment, load_environment
from procsup.errors import ConfigError


def read(
    data: str | bytes, weaker: dict[str, str] | None = None, stronger: dict[str, str] | None = None
) -> dict[str, str]:
    raw = data.encode() if isinstance(data, str) else data
    return {name: value for name, value, _ in parse_env_file(raw, ".env", weaker or {}, stronger or {})}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# only\n\n  # comments", {}),
        ("A=b", {"A": "b"}),
        ("\ufeffA=b\r\nB = c d \r\n", {"A": "b", "B": "c d"}),
        ("\ufeff\ufeffA=b", {"A": "b"}),
        ("export A=b\nexport A\n", {"A": "b"}),
        ("A=", {"A": ""}),
        ("A=x#y # z", {"A": "x#y"}),
        ("A='x # y' # z", {"A": "x # y"}),
        ('A="x\\ny\\"z"', {"A": 'x\ny"z'}),
        ("A='x\\ny'", {"A": "x\\ny"}),
        ('A="x\ny"\nB=1', {"A": "x\ny", "B": "1"}),
        ("A=it's", {"A": "it's"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=1\nB=${A}2\nC=$A", {"A": "1", "B": "12", "C": "$A"}),
        ("B=${NO}x${NO:-default}", {"B": "xdefault"}),
        ("A=1\nB=${A:x}${${A:-y}$}${A", {"A": "1", "B": "${A:x}y$}${A"}),
        ("URL=http://u:p@h/?a=b", {"URL": "http://u:p@h/?a=b"}),
    ],
)
def test_values_are_read_as_python_dotenv_reads_them(text: str, expected: dict[str, str]) -> None:
    assert read(text) == expected


def test_interpolation_asks_the_strongest_first() -> None:
    text = "A=file\nB=${A} ${W} ${S}"
    assert read(text, {"A": "weak", "W": "weak"}, {"S": "strong"})["B"] == "file weak strong"
    assert read(text, {"W": "weak"}, {"A": "strong", "S": "strong"})["B"] == "strong weak strong"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("A=1\n\n  B\n", "3:3: error: this line has no value; write NAME=value (NAME= for an empty one)"),
        ("A=1\n\n\n this is not one", "4:2: error: neither an assignment nor a comment; write NAME=value"),
        ("=x", "1:1: error: no name before the value; write NAME=value"),
        ("A=1\nB=\"x\nC=2", "2:3: error: the quote is never closed; close it"),
        ("A = 'x", "1:5: error: the quote is never closed; close it"),
        ("export A='x' y", "1:14: error: text after the closing quote; quote the whole value"),
        ('A="x\ny" z', "2:4: error: text after the closing quote; quote the whole value"),
        ("A=1\n<<<<<<< HEAD\n", "2:1: error: a merge conflict marker; finish the merge"),
        ("=======\n", "1:1: error: a merge conflict marker; finish the merge"),
        ("'a=b'=c", '1:1: error: the name has a "=" in it; choose another'),
        (b"A=1\nB=\x00", "2:3: error: a NUL byte; remove it"),
        (b"A=1\nB=\xc3\xa9\xff", "2:4: error: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"A=1\rB=2", "1:4: error: a carriage return inside the line; end lines with LF or CRLF"),
    ],
)  # fmt: skip
def test_a_broken_line_is_an_error_with_its_place(data: str | bytes, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(data)
    assert str(caught.value) == f".env:{expected}"


def test_a_value_is_never_in_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        read("PASSWORD='hunter2' x\nKEY=\"hunter2\nTOKEN hunter2\nhunter2\n'TOKEN=hunter2'\n'TOKEN=hunter2'=x\n")
    assert "hunter2" not in str(caught.value)


def test_a_private_key_without_quotes_is_not_quoted_by_the_error() -> None:
    lines = ["KEY=-----BEGIN PRIVATE KEY-----", "c2VjcmV0c2VjcmV0", "c2VjcmV0cw==", "-----END PRIVATE KEY-----"]
    with pytest.raises(ConfigError) as caught:
        read("\n".join(lines))
    assert "this line has no value; write NAME=value" in str(caught.value)
    assert "c2Vj" not in str(caught.value)


def test_a_value_that_grows_without_bound_is_an_error() -> None:
    doubling = "A=xxxxxxxxxxxxxxxx\n" + "A=${A}${A}\n" * 40
    with pytest.raises(ConfigError, match=r"\.env:18:1: error: the value is longer than 1 MiB"):
        read(doubling)
    with pytest.raises(ConfigError, match="longer than 1 MiB"):
        read("A=" + "x" * 1000 + "\nB=" + "${A}" * 100_000)
    many = "A=" + "x" * 500_000 + "\n" + "".join(f"B{number}=${{A}}\n" for number in range(1000))
    with pytest.raises(ConfigError, match="the values of this file come to more than 8 MiB"):
        read(many)


@pytest.mark.parametrize("value", ["${" * 100_000, "${" * 100_000 + ":}", "${:" * 60_000 + "}"], ids=len)
def test_variables_that_are_never_closed_cost_no_time(value: str) -> None:
    began = time.process_time()
    assert read(f"A={value}") == {"A": value}
    assert time.process_time() - began < 5


@given(st.one_of(st.binary(max_size=200), st.text(alphabet="A=b'\"\\\n#$ {}:-export\r", max_size=60).map(str.encode)))
def test_garbage_gives_bindings_or_our_error(data: bytes) -> None:
    problems = ()
    bindings = []
    try:
        bindings = parse_env_file(data, ".env", {}, {})
    except ConfigError as error:
        problems = error.problems
        assert problems
    for line in (*(line for _, _, line in bindings), *(problem.line for problem in problems)):
        assert 1 <= line <= data.count(b"\n") + 1
    for name, value, _ in bindings:
        assert name
        assert not {"=", "\0"} & set(name)
        assert "\0" not in value


def load(folder: Path, inherited: dict[str, str], override: bool = False, **files: str) -> Environment:
    """One file for each keyword, weakest first."""
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return load_environment([EnvFile(str(folder / name), name) for name in files], inherited, override)


def test_the_inherited_environment_wins_and_override_turns_it(tmp_path: Path) -> None:
    files = {"a": "X=a\nY=a\nZ=a", "b": "Y=b\nZ=b"}
    assert dict(load(tmp_path, {"Z": "mine", "Q": "q"}, **files).values) == {"X": "a", "Y": "b", "Z": "mine", "Q": "q"}
    overridden = load(tmp_path, {"Z": "mine", "Q": "q"}, override=True, **files)
    assert dict(overridden.values) == {"X": "a", "Y": "b", "Z": "b", "Q": "q"}


def test_later_files_and_interpolation_see_the_same_winner(tmp_path: Path) -> None:
    files = {"a": "X=a", "b": "Y=${X}-${Z}"}
    assert load(tmp_path, {"X": "mine", "Z": "z"}, **files).values["Y"] == "mine-z"
    assert load(tmp_path, {"X": "mine", "Z": "z"}, override=True, **files).values["Y"] == "a-z"


def test_origins_are_told_strongest_first(tmp_path: Path) -> None:
    files = {"a": "X=1\nX=2", "b": "\nX=3"}
    there = [("b:2", "3"), ("a:2", "2"), ("a:1", "1")]
    inherited = ("inherited environment", "0")
    for override, expected in ((False, [inherited, *there]), (True, [*there, inherited])):
        origins = load(tmp_path, {"X": "0"}, override=override, **files).origin("X")
        assert [(origin.where, origin.value) for origin in origins] == expected
    assert load(tmp_path, {}, **files).origin("NO") == []


def test_secrets_that_lost_are_secrets_all_the_same(tmp_path: Path) -> None:
    environment = load(tmp_path, {"A_TOKEN": "third", "X": "plain"}, a="A_TOKEN=first\nA_TOKEN=second\nEMPTY_KEY=")
    assert sorted(environment.secrets) == ["first", "second", "third"]


def test_a_conflict_is_told_once_without_the_values(tmp_path: Path) -> None:
    files = {"a": "X=secret1\nSAME=s\nX=secret2", "b": "N=1"}
    inherited = {"X": "secret3", "SAME": "s"}
    (line,) = load(tmp_path, inherited, **files).conflicts
    assert (
        line == "X differs between a:3 and the inherited environment: "
        "the inherited environment wins (--env-override turns it)"
    )
    (line,) = load(tmp_path, inherited, override=True, **files).conflicts
    assert line == "X differs between a:3 and the inherited environment: a:3 wins (--env-override)"


def test_an_equal_value_that_wins_over_another_is_no_conflict(tmp_path: Path) -> None:
    assert load(tmp_path, {"X": "1"}, a="X=0", b="X=1").conflicts == ()


def test_a_missing_file_is_an_error_only_where_it_was_asked_for(tmp_path: Path) -> None:
    missing = str(tmp_path / "no.env")
    assert load_environment([EnvFile(missing, "no.env")], {"A": "b"}, False).values == {"A": "b"}
    with pytest.raises(ConfigError) as caught:
        load_environment([EnvFile(missing, "no.env", required=True)], {}, False)
    assert str(caught.value) == "no.env:1:1: error: there is no such file; create it, or name another"


def test_errors_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {}, a="B", b="ok=1", c="=")
    assert [problem.file for problem in caught.value.problems] == ["a", "c"]
    with pytest.raises(ConfigError, match="folder:1:1: error: is a folder; put a file there"):
        load_environment([EnvFile(str(tmp_path / "folder"), "folder")], {}, False)


def test_an_endless_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="larger than 8 MiB"):
        load_environment([EnvFile("/dev/zero", "/dev/zero")], {}, False)


def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=b")
    for mode, count in ((0o600, 0), (0o640, 0), (0o644, 1)):
        path.chmod(mode)
        assert len(load_environment([EnvFile(str(path), ".env")], {}, False).warnings) == count
    assert load_environment([EnvFile("/dev/null", "/dev/null")], {}, False).warnings == ()


def test_dotenv_is_not_imported_where_there_is_no_file() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from procsup.config.environment import *; import procsup.config.project;"
        "load_environment([EnvFile('/no/such/.env', '.env')], {}, False);"
        "print([name for name in ('dotenv', 'pathlib', 'logging', 'difflib', 'hashlib', 'tempfile')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ROOT}
    )
    assert done.stdout == "[]\n"


ROOT = str(Path(__file__).parents[2])
