"""Commands as procsup shows them: whatever becomes of a secret on the way, it is not to be seen."""

from __future__ import annotations

import errno

import pytest

from procsup.config.expand import expand_command
from procsup.config.shown import shown_command, shown_refusal

ENVIRONMENT = {
    "PATH": "/bin",
    "TOKEN": "canary token",
    "PIN_KEY": "c9",
    "GLOB_KEY": "canary*",
    "QUOTE_KEY": "can'ary",
    "DB": "db://u:canary@h/x",
    "EMPTY_KEY": "",
    "PLAIN": "seen",
}
SECRETS = ("canary token", "c9", "canary*", "can'ary")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("serve --key $TOKEN $PLAIN", "serve --key **** seen"),
        ('serve "--key=$TOKEN"', "serve --key=****"),
        ("serve --pin${PIN_KEY}x", "serve --pin****x"),
        ("serve $QUOTE_KEY", "serve ****"),
        ("serve $DB", "serve db://u:****@h/x"),
        ("serve $GLOB_KEY", "/bin/sh: serve $GLOB_KEY"),
        ("serve $TOKEN | tee", "/bin/sh: serve $TOKEN | tee"),
        ("serve 'canary token' <<UNIQUE_INT>>", "serve '****' 7"),
        ("serve \"$EMPTY_KEY\" 'a b'", "serve '' 'a b'"),
        ("$TOKEN --flag", "**** --flag"),
    ],
)
def test_a_command_is_shown_with_its_values_but_no_secret(text: str, shown: str) -> None:
    assert shown_command(text, ENVIRONMENT, SECRETS, 7) == shown


@pytest.mark.parametrize(
    ("text", "filename"),
    [("$TOKEN --flag", "****"), ("$DB", "db://u:****@h/x"), ("./canary*/x", "/bin/sh"), ("./serve", "./serve")],
)
def test_a_command_that_cannot_be_started_is_named_without_the_secret(text: str, filename: str) -> None:
    argv = expand_command(text, ENVIRONMENT, 1).argv
    error = FileNotFoundError(errno.ENOENT, "No such file", argv[0])
    shown = shown_refusal(error, text, argv, ENVIRONMENT, SECRETS, 1)
    assert isinstance(shown, FileNotFoundError)
    assert (shown.filename, shown.strerror) == (filename, "No such file")


def test_what_has_no_file_name_gets_none() -> None:
    shown = shown_refusal(OSError(errno.EMFILE, "Too many"), "serve", ("serve",), ENVIRONMENT, SECRETS, 1)
    assert (shown.errno, shown.strerror, shown.filename) == (errno.EMFILE, "Too many", None)


def test_too_much_to_hand_over_names_what_is_longest() -> None:
    error = OSError(errno.E2BIG, "Argument list too long", "serve")
    large = {**ENVIRONMENT, "BIG": "x" * 131072}
    assert "the longest variable, BIG, has 128 KiB" in shown_refusal(error, "serve", ("serve",), large, (), 1).strerror
    argv = ("serve", "x" * 200_000)
    assert "the longest argument has 195 KiB" in shown_refusal(error, None, argv, large, (), 1).strerror
