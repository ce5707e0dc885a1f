"""The argv that arrives is the one /bin/sh would give, for generated commands and for a list of nasty ones.

What expand_command leaves to the shell is the shell's by construction; what it runs itself is run here both ways. The
shells are /bin/sh and, where there is one, bash under the name sh (macOS's /bin/sh).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from procsup.config.expand import Command, expand_command

# printf as a program, not the builtin: it writes each of its arguments with a NUL behind it. The first argument
# tells no arguments from one that is empty.
PRINTF = shutil.which("printf", path="/usr/bin:/bin") or "/usr/bin/printf"
SHELLS = ["/bin/sh", *([bash] if (bash := shutil.which("bash", path="/bin:/usr/bin")) else [])]
DUMP = f"{PRINTF} '%s\\0' begin "
CASES = 2_500


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has files, so that a glob that should not have been expanded shows."""
    folder = tmp_path_factory.mktemp("globs")
    for name in ("a", "b", "ab", "x y", "[a]"):
        (folder / name).touch()
    return folder


def arrives(argv: list[str], executable: str, env: dict[str, str], cwd: Path) -> bytes:
    done = subprocess.run(
        argv, executable=executable, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return done.stdout + b"|" + done.stderr + b"|" + str(done.returncode).encode()


def assert_same(text: str, env: dict[str, str], unique_int: int, cwd: Path) -> Command:
    command = expand_command(text, env, unique_int)
    if command.shell:
        assert command.argv == ("/bin/sh", "-c", text.replace("<<UNIQUE_INT>>", str(unique_int)))
        return command
    ours = arrives(list(command.argv), command.argv[0], env, cwd)
    assert ours.startswith(b"begin\0")
    assert ours == b"".join(os.fsencode(word) + b"\0" for word in command.argv[2:]) + b"||0"
    for shell in SHELLS:
        shells = arrives(["sh", "-c", text.replace("<<UNIQUE_INT>>", str(unique_int))], shell, env, cwd)
        assert ours == shells, (text, env, shell)
    return command


NAMES = ["X", "Y", "Z_1", "EMPTY", "UNSET", "x"]
nasty_values = st.sampled_from(
    ["", " ", "a b", " a", "a ", "  a \t b\n", "\n", "*", "a*", "[a]", "?", "it's", '"', "\\", "a\\", "\\n", "$X",
     "`b`",
     "$(b)", "~", "#", "-n", "--", "=", "a=b", "é à", "\u00a0", "{a,b}", "!", "&", ";", "|", "%s", "a\tb", "\u2028",
     "Á\x81"]
)  # fmt: skip
values = st.one_of(
    nasty_values,
    st.text(alphabet="ab \t\n'\"é.-", max_size=8),
    st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6),
)
environments = st.fixed_dictionaries({}, optional={name: values for name in NAMES if name != "UNSET"})

variable = st.sampled_from(NAMES).flatmap(lambda name: st.sampled_from([f"${name}", f"${{{name}}}"]))
plain = st.sampled_from(
    ["a", "b=c", "--x", "-", "a#", ".", "é", "0:1", "%s", ",", "@", "<<UNIQUE_INT>>", "a.b/c", "+", "="]
)
escaped = st.sampled_from(["\\ ", "\\$", "\\a", '\\"', "\\'", "\\\\", "\\*", "\\#", "\\é", "\\\n", "\\~", "\\&"])
single = st.text(alphabet='a $"\\*#\né`;~', max_size=5).map(lambda text: f"'{text}'")
in_double = st.one_of(
    variable, plain, st.sampled_from([" ", "'", "*", "\\$", '\\"', "\\\\", "\\a", "\\\n", "#", "\n", "~", "!"])
)
double = st.lists(in_double, max_size=4).map(lambda parts: '"' + "".join(parts) + '"')
special = st.sampled_from(
    ["*", "?", "~", "#", "$", "`", ";", "&", "|", "(", "{a,b}", "[a]", "!", "$(a)", "${X:-a}", "$1", "'", '"', "\\",
     "\n", ">"]
)  # fmt: skip
piece = st.one_of(variable, variable, plain, plain, escaped, single, double)
word = st.lists(piece, min_size=1, max_size=4).map("".join)
blank = st.sampled_from([" ", "  ", "\t", " \\\n "])
rare_special = st.integers(0, 19).flatmap(lambda dice: special if dice == 0 else word)
arguments = st.lists(st.tuples(rare_special, blank).map("".join), max_size=5).map("".join)
starts = st.sampled_from(
    [DUMP, f'"{PRINTF}" %s\\\\0 begin ', "$PRINTF \"%s\\\\0\" 'be'gin\t", "${PRINTF} '%s\\0' \\begin "]
)


@pytest.mark.timeout(600)  # thousands of shells
def test_generated_commands_arrive_as_from_the_shell(folder: Path) -> None:
    taken = {True: 0, False: 0}

    @settings(max_examples=CASES, database=None, suppress_health_check=list(HealthCheck))
    @given(starts, arguments, environments, st.integers(1, 10_000))
    def compare(start: str, rest: str, env: dict[str, str], unique_int: int) -> None:
        full = {"PATH": "/usr/bin:/bin", "PRINTF": PRINTF, "LC_ALL": "C.UTF-8", **env}
        taken[assert_same(start + rest, full, unique_int, folder).shell] += 1

    compare()
    assert sum(taken.values()) >= 2_000
    assert taken[False] >= 0.4 * sum(taken.values()), "too few commands ran without a shell to prove anything"
    assert taken[True] >= 0.05 * sum(taken.values()), "too few commands were left to the shell"


NASTY_ENV = {
    "PATH": "/usr/bin:/bin",
    "PORT": "5000",
    "E": "",
    "SPACES": "  a  b  ",
    "NL": "a\nb\n",
    "ONLY": " \n\t ",
    "QUOTES": 'it\'s "so"',
    "STAR": "*",
    "BACK": "\\*",
    "DOLLAR": "$PORT",
    "CMD": "$(touch oops)",
    "DASH": "-n -e",
    "HASH": "# a",
    "UTF": "é à\u00a0b Á",
    "RAW": "\udcff\udc81",
}


@pytest.mark.parametrize(
    "rest",
    [
        "", "$E", '"$E"', "''", '""$E', "$E''", "$E$E", '"$E$E"', "$SPACES", 'x$SPACES"y"', '""$SPACES', '$SPACES""',
        '$SPACES"$E"$SPACES', "$SPACES$SPACES", "$ONLY", '"$ONLY"', "x${ONLY}y", "''$ONLY''", "$ONLY''", "$NL", '"$NL"',
        "$NL$PORT", "$QUOTES", '"$QUOTES"', "'$QUOTES'", '"$STAR"', '"$BACK"', "$DOLLAR", '"$DOLLAR"', "$CMD", '"$CMD"',
        "$DASH", "$HASH", "$E#", "$E #", "a#b", '""#', "\\#x", "$PORT$PORT", "$PORTx", "${PORT}x", "$PORT-x", "$PORT.x",
        "$PORT:$PORT", "'a'\\''b'", '"a\'b"', "'a\"b'", '"\\a\\$\\`\\"\\\\"', "\\a\\b\\\\", "a\\\nb", "a \\\n b",
        '"a\\\nb"',
        "'a\\\nb'", '"a\nb"', "'a\nb'", "$UTF", '"$UTF"', "é\\é", "$RAW", '"$RAW"x', "a=b", "--a=$SPACES",
        'a="$SPACES"',
        "%s", "@", "+(", "{}", "{a,b}", "a{", "~", "a~", "a:~", "a=~", "[", "]", "[a]", "!", "^", "a^b", "$", "$ a",
        '"$"',
        "$$", "$1", "${PORT:-1}", "${PORT", "`a`", "<<UNIQUE_INT>>", "'<<UNIQUE_INT>>'$PORT", "2>/dev/null", "| cat",
        "&& true", "; :", "\ta\t", "\\", "$E\\", "\u00a0", "a\u00a0b", "a\u2003b", "a\x0bb", "a\x0cb", "a\rb",
        "\x7f", "\x01",
    ],
)  # fmt: skip
def test_nasty_commands_arrive_as_from_the_shell(rest: str, folder: Path) -> None:
    assert_same(DUMP + rest, NASTY_ENV, 42, folder)
    assert not (folder / "oops").exists()
