"""Which commands run without a shell, and what they become; that this is the shell's argv is test_expand_as_shell's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.config.expand import Command, expand_command, find_executable
from procsup.config.shellwords import evaluate

ENV = {
    "PATH": "/usr/bin:/bin",
    "PORT": "5000",
    "EMPTY": "",
    "TWO": "a b",
    "PADDED": "  a \t\n b ",
    "STAR": "*.py",
    "BACK": "a\\b",
    "QUOTES": 'it\'s "x"',
    "CTRL": "a\x01b",
    "HOME": "/root",
}


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("gunicorn app:app -b 0.0.0.0:$PORT", ["gunicorn", "app:app", "-b", "0.0.0.0:5000"]),
        ("run ${PORT}x $PORT.", ["run", "5000x", "5000."]),
        ("run $UNSET $EMPTY x", ["run", "x"]),
        ('run "$UNSET" \'\' ""', ["run", "", "", ""]),
        ("run $TWO", ["run", "a", "b"]),
        ('run "$TWO"', ["run", "a b"]),
        ("run x$TWO'y'$TWO", ["run", "xa", "bya", "b"]),
        ("run x${PADDED}y", ["run", "x", "a", "b", "y"]),
        ("run '$PORT'", ["run", "$PORT"]),
        ("run \\$PORT", ["run", "$PORT"]),
        ('run "\\$PORT \\" \\\\ \\x"', ["run", '$PORT " \\ \\x']),
        ('run "$STAR" "$BACK"', ["run", "*.py", "a\\b"]),
        ("run $QUOTES", ["run", "it's", '"x"']),
        ("run a\\ b 'c d'\"e f\"", ["run", "a b", "c de f"]),
        ("run a#b x=y --k=v \\# '#'", ["run", "a#b", "x=y", "--k=v", "#", "#"]),
        ("run $EMPTY#x ''#y", ["run", "#x", "#y"]),
        ("run '*' \"[a]\" \\~ '{a,b}'", ["run", "*", "[a]", "~", "{a,b}"]),
        ("run \\\n  --more\\\nover", ["run", "--moreover"]),
        ("worker <<UNIQUE_INT>> x{{UNIQUE_INT}}y '<<UNIQUE_INT>>'", ["worker", "7", "x7y", "7"]),
        ("$TWO c", ["a", "b", "c"]),
        ("./run", ["./run"]),
        ("/bin/echo x", ["/bin/echo", "x"]),
        ("run $HOME/x", ["run", "/root/x"]),
        ("run ünï", ["run", "ünï"]),
        ("sleep 5", ["sleep", "5"]),
    ],
)
def test_a_plain_command_runs_by_itself(text: str, argv: list[str]) -> None:
    assert expand_command(text, ENV, 7) == Command(tuple(argv), False)


@pytest.mark.parametrize(
    "text",
    [
        "a | b", "a && b", "a; b", "a & b", "a &", "a > b", "a < b", "a 2>&1", "(a)", "a `b`", "a $(b)", "a $((1))",
        'a "$(b)"', 'a "`b`"', "run *", "run a?", "run [a]", "run ~", "run ~/x", "run x=~", "run {a,b}", "{ a; }",
        "! a",
        "run # comment", "# comment", "a\nb", "A=1 run", "A=1", "if a", "while", "echo x", "printf x", "test -f x",
        "[ a ]", "true", "kill 1", "pwd", "cd x", "exec run", "time run", "export A=1", ". x", "source x", "'echo' x",
        "run $1", "run $$", "run $?", "run $@", "run $#", "run $", "run a$", "run $'x'", 'run $"x"', 'run "a$"',
        "run ${A:-b}", "run ${#A}", "run ${A%b}", "run ${A", "run ${}", "run 'a", 'run "a', "run a\\", "run $PORTé",
        'run "${PORT}é$PORTé"', "run $STAR", "run x$STAR", "run $BACK", "$EMPTY", "$UNSET", "", "   ", "'' x",
        "\"$EMPTY\"",
        "run $PWD", "run $PPID", "run $_", "run $RANDOM", "run $LINENO", "run $BASH_VERSION", "run $SHELL", "run $TERM",
        "run $CTRL", 'run "$CTRL"', "run \x01", "run $PO\\\nRT", 'run "$PO\\\nRT"', "$EMPTY A=1", "run $IFS", "run !",
    ],
)  # fmt: skip
def test_everything_else_goes_to_the_shell_as_it_was_written(text: str) -> None:
    assert expand_command(text, ENV, 7) == Command(("/bin/sh", "-c", text), True)


@pytest.mark.parametrize(
    "extra",
    [
        {"IFS": ","},
        {"SHELLOPTS": "noglob"},
        {"BASHOPTS": "x"},
        {"BASH_FUNC_run%%": "() { :; }"},
        {"PATH": "%func:/bin"},
    ],
)
def test_an_environment_that_steers_the_shell_needs_the_shell(extra: dict[str, str]) -> None:
    assert not expand_command("run x", ENV, 1).shell
    assert expand_command("run x", ENV | extra, 1).shell


def test_without_a_path_only_the_shell_knows_where_to_look() -> None:
    assert expand_command("run x", {}, 1).shell


def test_the_unique_int_is_put_in_before_the_shell_reads_the_command() -> None:
    assert expand_command("a <<UNIQUE_INT>> | b {{UNIQUE_INT}}", ENV, 12).argv == ("/bin/sh", "-c", "a 12 | b 12")


def test_a_value_never_becomes_text_that_the_shell_reads() -> None:
    command = expand_command("run $EVIL | cat", ENV | {"EVIL": "; rm -rf /"}, 1)
    assert command.argv[2] == "run $EVIL | cat"


def test_the_unquoted_characters_that_need_no_shell_are_exactly_these() -> None:
    plain = {chr(code) for code in range(128) if evaluate(f"run x{chr(code)}y", {}) == ["run", f"x{chr(code)}y"]}
    assert plain == set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:,@%+=#-")


@given(st.text(max_size=60), st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=10)), st.integers(1, 99))
def test_garbage_always_gives_a_command(text: str, env: dict[str, str], unique_int: int) -> None:
    command = expand_command(text, {"PATH": "/bin", **env}, unique_int)
    assert command.argv
    assert command.argv[0]


@given(st.text(alphabet="ab $\"'\\{}\n#=X", max_size=40))
def test_garbage_made_of_shell_syntax_always_gives_a_command(text: str) -> None:
    command = expand_command(text, {"PATH": "/bin", "X": " a  b "}, 1)
    assert command.shell == (command.argv == ("/bin/sh", "-c", text))


def test_an_unclosed_quote_is_found_in_linear_time() -> None:
    assert expand_command('run "' + "a\\" * 200_000, ENV, 1).shell


def make(path: Path, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)


def test_a_program_is_found_in_the_instances_path(tmp_path: Path) -> None:
    make(tmp_path / "two" / "tool")
    env = {"PATH": f"{tmp_path}/one:{tmp_path}/two"}
    assert find_executable("tool", env, "/") == f"{tmp_path}/two/tool"


def test_a_file_that_is_not_executable_is_passed_over_for_one_that_is(tmp_path: Path) -> None:
    make(tmp_path / "one" / "tool", 0o644)
    (tmp_path / "zero" / "tool").mkdir(parents=True)
    make(tmp_path / "two" / "tool")
    env = {"PATH": f"{tmp_path}/zero:{tmp_path}/one:{tmp_path}/two"}
    assert find_executable("tool", env, "/") == f"{tmp_path}/two/tool"


@pytest.mark.parametrize("path", ["bin", "./bin"])
def test_a_relative_entry_of_path_counts_from_the_instances_folder(tmp_path: Path, path: str) -> None:
    make(tmp_path / "bin" / "tool")
    assert find_executable("tool", {"PATH": path}, str(tmp_path)) == f"{path}/tool"


@pytest.mark.parametrize("path", ["", "/nowhere:", ":/nowhere"])
def test_an_empty_entry_of_path_is_the_instances_folder(tmp_path: Path, path: str) -> None:
    make(tmp_path / "tool")
    assert find_executable("tool", {"PATH": path}, str(tmp_path)) == "tool"


def test_a_name_with_a_slash_is_not_looked_up(tmp_path: Path) -> None:
    make(tmp_path / "bin" / "tool")
    assert find_executable("bin/tool", {"PATH": "/nowhere"}, str(tmp_path)) == "bin/tool"
    with pytest.raises(FileNotFoundError):
        find_executable("./tool", {"PATH": f"{tmp_path}/bin"}, str(tmp_path))


def test_without_path_the_systems_default_is_searched() -> None:
    assert os.path.basename(find_executable("sh", {}, "/")) == "sh"


def test_what_is_missing_and_what_may_not_be_executed_are_told_apart(tmp_path: Path) -> None:
    make(tmp_path / "tool", 0o644)
    with pytest.raises(FileNotFoundError):
        find_executable("nothing", {"PATH": str(tmp_path)}, "/")
    with pytest.raises(FileNotFoundError):
        find_executable("", {"PATH": str(tmp_path)}, "/")
    with pytest.raises(PermissionError):
        find_executable("tool", {"PATH": str(tmp_path)}, "/")
    with pytest.raises(PermissionError):
        find_executable(str(tmp_path), {"PATH": str(tmp_path)}, "/")


def test_a_script_without_a_shebang_is_found_like_any_program(tmp_path: Path) -> None:
    make(tmp_path / "script")
    (tmp_path / "script").write_text("exit 0\n")  # exec answers ENOEXEC: for whoever starts it to handle
    assert find_executable("script", {"PATH": str(tmp_path)}, "/") == f"{tmp_path}/script"
