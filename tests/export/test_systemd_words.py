"""Values in a unit: what is written stands for exactly the value, whatever characters it has.

That systemd reads them so is tried on a systemd that runs, by tests/boot.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from procsup.export.systemd_words import (
    Unsayable,
    environment,
    environment_file,
    exec_line,
    path,
    pattern,
    sentence,
)
from tests.faults.needs import needs

NASTY = "50% of $HOME; \"two\" 'one' \\ back\\slash ü ☃ #x `id` ~ * {a,b}"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["/bin/a", "b", "--c=d,e:f"], "/bin/a b --c=d,e:f"),
        (["/bin/a", ""], '/bin/a ""'),
        (["/bin/a b", "c d"], '"/bin/a b" "c d"'),
        (["/bin/a", "5%", "%i"], "/bin/a 5%% %%i"),
        (["/bin/a", "$HOME", "$$"], ":/bin/a $HOME $$"),
        (["/opt/$x/a b", "c"], ':"/opt/$x/a b" c'),
        (["/bin/a", ";", "\\;"], '/bin/a ";" "\\\\;"'),
        (["/bin/a", 'say "it\'s"', "\\n"], '/bin/a "say \\"it\'s\\"" "\\\\n"'),
        (["/bin/a", "line\nline\ttab\x01"], '/bin/a "line\\nline\\ttab\\x01"'),
        (["/bin/a", "ünï", "☃"], '/bin/a "ünï" "☃"'),
        (["/opt/it's/a", "b"], ':/bin/sh -c "exec \\"$0\\" \\"$@\\"" "/opt/it\'s/a" b'),
    ],
)
def test_a_command_is_these_words_and_nothing_in_them_is_expanded(words: list[str], line: str) -> None:
    assert exec_line(words) == line


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("plain", '"NAME=plain"'),
        ("", '"NAME="'),
        ("5% $HOME", '"NAME=5%% $HOME"'),
        ("a b'c\"d\\e", '"NAME=a b\'c\\"d\\\\e"'),
        ("two\nlines", '"NAME=two\\nlines"'),
        ("☃", '"NAME=☃"'),
    ],
)
def test_a_variable_in_a_unit(value: str, line: str) -> None:
    assert environment("NAME", value) == line


def test_a_file_of_variables_means_the_same_to_a_shell(tmp_path: Path) -> None:
    values = {"A": NASTY, "B": "two\nlines\\", "C": "", "D": " blank "}
    (tmp_path / "env").write_text(environment_file(values))
    program = '. ./env; printf "%s\\0" "$A" "$B" "$C" "$D"'
    done = subprocess.run(["/bin/sh", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split("\0")[:-1] == list(values.values())


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("/srv/my app", "/srv/my app"),
        ("/srv/5%", "/srv/5%%"),
        ("/srv/$a \"b\" 'c' \\d", "/srv/$a \"b\" 'c' \\d"),
        ("/srv/ends with ", "/srv/ends with /"),
        ("/srv/ends with\\", "/srv/ends with\\/"),
        ("/srv/☃", "/srv/☃"),
    ],
)
def test_a_path_stands_unquoted_and_keeps_its_end(value: str, line: str) -> None:
    assert path(value) == line


@pytest.mark.parametrize(
    ("value", "line"),
    [("/a b/5%.env", "/a b/5%%.env"), ("/a*b?[c]\\d", "/a\\*b\\?\\[c\\]\\\\d"), ("/blank ", "/blank[ ]")],
)
def test_a_file_of_variables_is_named_by_a_pattern_that_matches_only_it(value: str, line: str) -> None:
    assert pattern(value) == line


def test_a_sentence_stays_on_its_line() -> None:
    assert sentence("100%  of\nit, ☃ \\") == "100%% of it, ☃ "


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (lambda: exec_line(["/bin/a", "b\0"]), "NUL"),
        (lambda: exec_line(["/bin/a", "b\udcff"]), "UTF-8"),
        (lambda: exec_line(["a", "b"]), "absolute"),
        (lambda: environment("A B", "c"), "no name"),
        (lambda: environment("A", "\x1b[31m"), "control character"),
        (lambda: environment("A", "\udcff"), "UTF-8"),
        (lambda: environment_file({"A": "\x07"}), "A has the control character"),
        (lambda: path("srv"), "absolute"),
        (lambda: path("/a\nb"), "newline"),
        (lambda: pattern("/a\nb"), "newline"),
    ],
)
def test_what_no_quoting_can_say_is_refused_with_the_reason(say: object, why: str) -> None:
    assert callable(say)
    with pytest.raises(Unsayable, match=why):
        say()


@needs(shutil.which("systemd-analyze") is not None, "needs systemd-analyze (apt-get install systemd)")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    (folder := tmp_path / NASTY).mkdir()
    (tool := folder / "tool").write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    lines = (
        "[Unit]",
        f"Description={sentence(NASTY)}",
        "[Service]",
        f"ExecStart={exec_line([str(tool), NASTY, ';'])}",
        f"ExecReload={exec_line(['/bin/true', NASTY])}",
        f"WorkingDirectory={path(str(folder))}",
        f"EnvironmentFile=-{pattern(str(folder / 'env'))}",
        f"Environment={environment('NASTY', NASTY)}",
    )
    (unit := tmp_path / "nasty.service").write_text("\n".join(lines) + "\n")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert "nasty" not in done.stderr
    assert done.returncode == 0, done.stderr
