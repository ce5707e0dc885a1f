"""Every row of the Procfile's grammar, and every error with its place."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.config.procfile import parse_procfile
from procsup.errors import ConfigError, Problem


def commands(data: bytes) -> dict[str, str]:
    return {entry.name: entry.command for entry in parse_procfile(data, "Procfile").entries}


def errors(data: bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_procfile(data, "Procfile")
    assert caught.value.exit_code == 2
    return str(caught.value).split("\n")


def warnings(data: bytes) -> list[str]:
    return [warning.describe("warning") for warning in parse_procfile(data, "Procfile").warnings]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"web: run\n", {"web": "run"}, id="one entry"),
        pytest.param(b"web: run", {"web": "run"}, id="no newline at the end"),
        pytest.param(b"web:run", {"web": "run"}, id="no space after the colon"),
        pytest.param(b"web :run\n", {"web": "run"}, id="space before the colon"),
        pytest.param(b" \t web\t:\t run it \t\r\n", {"web": "run it"}, id="white space everywhere"),
        pytest.param(b"\xef\xbb\xbfweb: run\n", {"web": "run"}, id="byte order mark"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfweb: run\n", {"web": "run"}, id="two byte order marks"),
        pytest.param(b"web: run\r\n\r\nworker: go\r\n", {"web": "run", "worker": "go"}, id="CRLF"),
        pytest.param(b"\n  \n# a comment\n   # another: one\nweb: run\n", {"web": "run"}, id="blanks and comments"),
        pytest.param(b"# goes on? no \\\nweb: run\n", {"web": "run"}, id="a comment does not go on"),
        pytest.param(b"web: run # not a comment", {"web": "run # not a comment"}, id="# belongs to the shell"),
        pytest.param(b"web: a:b : c", {"web": "a:b : c"}, id="later colons belong to the shell"),
        pytest.param(b"Web_2-x: run", {"Web_2-x": "run"}, id="all kinds of name characters"),
        pytest.param(b"-: run\n_: go", {"-": "run", "_": "go"}, id="odd but allowed names"),
        pytest.param(b"w" * 63 + b": run", {"w" * 63: "run"}, id="longest name"),
        pytest.param("web: run ü 日本".encode(), {"web": "run ü 日本"}, id="UTF-8 in commands"),
        pytest.param("web: a\u2028b\x0cc".encode(), {"web": "a\u2028b\x0cc"}, id="only LF ends a line"),
        pytest.param(b"web: a \\\n  b\nc: d", {"web": "a   b", "c": "d"}, id="continuation"),
        pytest.param(b"web: a \\\r\nb\\\r\nc\r\n", {"web": "a bc"}, id="continuations with CRLF"),
        pytest.param(b"web: a\\  \nb", {"web": "ab"}, id="white space behind the backslash"),
        pytest.param(b"web: \\\n  run", {"web": "run"}, id="command in the next line"),
        pytest.param(b"web: a \\\n# b", {"web": "a # b"}, id="no comment inside a continuation"),
        pytest.param(b"web: a\\\\\nb: c", {"web": "a\\\\", "b": "c"}, id="an escaped backslash does not go on"),
        pytest.param(b"web: a\\\\\\\nb", {"web": "a\\\\b"}, id="three backslashes do"),
        pytest.param(b"web: a \\\n\nb: c", {"web": "a", "b": "c"}, id="a blank line ends a continuation"),
        pytest.param(b"web: 'a\\\nb' \\\nc", {"web": "'a\\\nb' c"}, id="single quotes keep the backslash"),
        pytest.param(b'web: "it\'s\\\nb"', {"web": '"it\'sb"'}, id="double quotes do not"),
        pytest.param(b"web: it\\'s\\\nb", {"web": "it\\'sb"}, id="an escaped quote opens nothing"),
        pytest.param(b"web: a # it's \\\nb", {"web": "a # it's \\\nb"}, id="a shell comment does not swallow"),
        pytest.param(b"web: a#it\\\nb", {"web": "a#itb"}, id="a # inside a word is no comment"),
        pytest.param(b"web: a\\\n\\\n#it\\\nb", {"web": "a#itb"}, id="nor in a word that began lines before"),
        pytest.param(b"we\\\nb\\\n: run", {"web": "run"}, id="a name that goes on in the next line"),
        pytest.param(b"web: echo =======\n", {"web": "echo ======="}, id="markers only count at the line's start"),
    ],
)
def test_a_valid_file_gives_its_entries(data: bytes, expected: dict[str, str]) -> None:
    assert commands(data) == expected


LONG = "w" * 64


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ["1:1: error: no process type in the file; write lines such as web: COMMAND"]),
        (b"\xef\xbb\xbf\n# x\n", ["1:1: error: no process type in the file; write lines such as web: COMMAND"]),
        (b"web: a\n  foo bar\n", ["2:3: error: no colon; write NAME: COMMAND (a comment begins with #)"]),
        (b"web.4: x", ['1:1: error: bad name "web.4": letters, digits, "_" and "-" only; write "web-4"']),
        (b"my app : x", ['1:1: error: bad name "my app": letters, digits, "_" and "-" only; write "my-app"']),
        ("\u00a0web: x".encode(), ['1:1: error: bad name "�web": letters, digits, "_" and "-" only; write "web"']),
        ("é: x".encode(), ['1:1: error: bad name "é": letters, digits, "_" and "-" only; choose another']),
        (f"{LONG}: x".encode(), [f'1:1: error: the name "{LONG[:63]}…" is longer than 63 characters; shorten it']),
        (b"  : x", ["1:3: error: no name before the colon; write NAME: COMMAND"]),
        (b"web:", ['1:4: error: no command after "web:"; add one, or remove the line']),
        (b" web :  \t", ['1:6: error: no command after "web:"; add one, or remove the line']),
        (
            b"web:  # off",
            ['1:7: error: a comment in place of the command of "web"; add a command, or begin the line with #'],
        ),
        (
            b"web: a\nb: c\n\n  web: d\nweb: e",
            [
                '4:3: error: "web" was defined before, in line 1; rename or remove one of the two',
                '5:1: error: "web" was defined before, in line 1; rename or remove one of the two',
            ],
        ),
        (
            b"<<<<<<< HEAD\na: b\n||||||| base\n=======\nc: d\n>>>>>>> other\n",
            [f"{line}:1: error: a merge conflict marker; finish the merge" for line in (1, 3, 4, 6)],
        ),
        (b"web: a \\\n=======\nb: c", ["2:1: error: a merge conflict marker; finish the merge"]),
        (b"web: a\x00b\x00", ["1:7: error: a NUL byte; remove it"]),
        ("web: é\udcff".encode(errors="surrogateescape"),
         ["1:7: error: byte 0xff is not UTF-8; save the file as UTF-8"]),
        (b"a\xffb: c", ["1:2: error: byte 0xff is not UTF-8; save the file as UTF-8"]),
        (b"a: b\rc: d\r", ["1:5: error: a carriage return inside the line; end lines with LF or CRLF"]),
        ("web: x".encode("utf-16"), ["1:1: error: the file is UTF-16; save it as UTF-8"]),
        (b"web: x\\", ["1:7: error: the line ends in a backslash and no line follows; remove the backslash"]),
        (
            b"web: x \\\n  y\\  ",
            ["2:4: error: the line ends in a backslash and no line follows; remove the backslash"],
        ),
        (b"we\\\nb.4: x", ['1:1: error: bad name "web.4": letters, digits, "_" and "-" only; write "web-4"']),
        (b"\\\n  web.4: x", ['2:3: error: bad name "web.4": letters, digits, "_" and "-" only; write "web-4"']),
        (b"web: \\\n  # x",
         ['2:3: error: a comment in place of the command of "web"; add a command, or begin the line with #']),
    ],
)  # fmt: skip
def test_an_error_has_its_place_and_advice(data: bytes, expected: list[str]) -> None:
    assert errors(data) == [f"Procfile:{each}" for each in expected]


def test_all_errors_of_a_file_come_at_once_in_reading_order() -> None:
    found = errors(b"web.1: a\nweb:\nnothing\nok: \xff\nok: b\n<<<<<<< HEAD\nx: \x00\n")
    assert [each.split(": error: ")[0] for each in found] == [
        "Procfile:1:1",
        "Procfile:2:4",
        "Procfile:3:1",
        "Procfile:4:5",
        "Procfile:5:1",
        "Procfile:6:1",
        "Procfile:7:4",
    ]


def test_lines_of_entries_count_continuations_and_comments() -> None:
    parsed = parse_procfile(b"# x\nweb: a \\\n b\nworker: c\n\\\nlast: d\n", "Procfile")
    assert [(entry.name, entry.line) for entry in parsed.entries] == [("web", 2), ("worker", 4), ("last", 6)]


@pytest.mark.parametrize(
    ("data", "place", "word"),
    [
        (b" web: a", "1:1", "white space before the name"),
        (b"web : a", "1:4", "white space before the colon"),
        (b"we\\\nb : a", "2:2", "white space before the colon"),
        (b"release: a", "1:1", "not a long-running process"),
        (b"all: a", "1:1", "every type"),
        (b"web: a &", "1:6", '"&" at the end puts the command in the background'),
        (b"web:  nohup a", "1:7", '"nohup" puts'),
        (b"web: cd x && nohup a", "1:6", '"nohup" puts'),
        (b"web: unicorn --daemon -c x", "1:6", '"--daemon" puts'),
        (b"web: redis-server --daemonize yes", "1:6", '"--daemonize yes" puts'),
        (b"My_Web: a", "1:1", 'no DNS label, as Kubernetes needs; "my-web" would be one'),
        (b"-web: a", "1:1", "no DNS label"),
    ],
)
def test_check_warns_of_traps(data: bytes, place: str, word: str) -> None:
    (warning,) = warnings(data)
    assert warning.startswith(f"Procfile:{place}: warning: ")
    assert word in warning


@pytest.mark.parametrize(
    "command",
    ["a && b", "redis-server --daemonize no", "x --daemon-port 3", "echo nohup", "x \\&", "a & wait", "x --no-daemon"],
)
def test_check_does_not_warn_of_the_harmless(command: str) -> None:
    assert warnings(f"web: {command}".encode()) == []


def test_a_colon_in_the_line_after_the_name_is_not_warned_of() -> None:
    assert warnings(b"web\\\n: run") == []


line = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["web: run", "web", ":", "#", "\\", "<<<<<<< a", "=======", "a: '\\", 'b: "\\', "\r", "\x00",
    " x : y"]),
)  # fmt: skip


@given(st.one_of(st.binary(max_size=300), st.lists(line, max_size=8).map(lambda lines: "\n".join(lines).encode())))
def test_garbage_gives_entries_or_our_error(data: bytes) -> None:
    problems: tuple[Problem, ...] = ()
    names: list[str] = []
    try:
        names = [entry.name for entry in parse_procfile(data, "Procfile").entries]
    except ConfigError as error:
        problems = error.problems
    assert bool(names) != bool(problems)
    assert len(set(names)) == len(names)
    for problem in problems:
        assert 1 <= problem.line <= data.count(b"\n") + 1
        assert problem.column >= 1
        assert "\n" not in problem.message


def test_a_hundred_lines_take_about_a_millisecond() -> None:
    data = b"".join(b"worker-%d: bundle exec sidekiq -c 5 -q queue%d\n" % (n, n) for n in range(100))

    def once() -> float:
        begun = time.perf_counter()
        parse_procfile(data, "Procfile")
        return time.perf_counter() - begun

    assert min(once() for _ in range(20)) < 0.01  # ten times what it takes, for a machine that does other things


def test_a_very_long_continuation_is_read_in_linear_time() -> None:
    begun = time.process_time()
    parse_procfile(b"web: " + b"a 'b' \\\n" * 50_000 + b"c\n", "Procfile")
    assert time.process_time() - begun < 5
