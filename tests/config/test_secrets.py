"""What is masked in everything that procsup itself prints."""

from __future__ import annotations

import time

import pytest

from procsup.config.secrets import is_secret, mask, mask_text, masked, secret_values


@pytest.mark.parametrize(
    "name",
    [
        "API_KEY",
        "token",
        "CLIENT_SECRET",
        "DB_PASSWORD",
        "PGPASS",
        "DB_PWD",
        "AWS_CREDENTIALS",
        "BASIC_AUTH",
        "SENTRY_DSN",
        "PRIVATE",
    ],
)
def test_a_name_that_sounds_secret_is(name: str) -> None:
    assert is_secret(name)
    assert mask(name, "value") == "****"
    assert mask(name, "") == ""


@pytest.mark.parametrize("name", ["PORT", "PATH", "DEBUG", "PWD", "OLDPWD", "DATABASE_URL"])
def test_other_names_are_not(name: str) -> None:
    assert not is_secret(name)
    assert mask(name, "value") == "value"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("postgres://user:hunter2@host:5432/db", "postgres://user:****@host:5432/db"),
        ("redis://:hunter2@host/0", "redis://:****@host/0"),
        ("amqp://u:p@ss@host", "amqp://u:****@host"),
        ("amqp://u:p/ss@host", "amqp://u:****@host"),
        ("a postgres://u:p@h and redis://u:p@h", "a postgres://u:****@h and redis://u:****@h"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("http://host/?password=x&user=y", "http://host/?password=****&user=y"),
        ("https://user@host/", "https://user@host/"),
        ("1s3://u:p@h", "1s3://u:****@h"),
        ("a://b://u:p@h://c:d", "a://b:****@h://c:d"),
        ("no url: a@b", "no url: a@b"),
    ],
)
def test_a_password_in_a_url_is_masked_whatever_the_name(value: str, shown: str) -> None:
    assert mask("DATABASE_URL", value) == shown
    assert mask_text(value, []) == shown


def test_known_values_are_masked_in_any_text() -> None:
    values = secret_values(
        {"API_KEY": "abcdefghij", "TOKEN": "abcdefghijkl", "PIN_KEY": "5", "EMPTY_KEY": "", "PORT": "5000"}.items()
    )
    assert values == ("abcdefghij", "abcdefghijkl", "5")
    assert mask_text("run xabcdefghijkl abcdefghij 5 5000 --n=5", values) == "run x**** **** **** 5000 --n=****"


def test_a_switch_with_the_name_of_a_secret_does_not_mask_every_true_and_1() -> None:
    assert secret_values({"USE_AUTH": "true", "KEY_CHECK": "1", "PASS": "No"}.items()) == ()
    assert not is_secret("PROCSUP_PORT_auth")


def test_a_secret_inside_of_another_value_is_masked() -> None:
    values = {"TOKEN": "abcdefghij", "HOOK": "https://h/abcdefghij/x", "DB": "db://u:p@h/", "PLAIN": "seen"}
    assert masked(values, ["abcdefghij"]) == {
        "TOKEN": "****",
        "HOOK": "https://h/****/x",
        "DB": "db://u:****@h/",
        "PLAIN": "seen",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SECRET_KEY=abc run PORT=5", "SECRET_KEY=**** run PORT=5"),
        ("run --api-key=abc --host=h", "run --api-key=**** --host=h"),
        ("TOKEN='a b' run", "TOKEN=**** run"),
        ("run token", "run token"),
    ],
)
def test_a_secret_written_into_a_command_is_masked(text: str, shown: str) -> None:
    assert mask_text(text, []) == shown


@pytest.mark.parametrize(
    "text", ["a://" * 50_000, "a://x:" * 30_000, "a." * 100_000 + "://"], ids=lambda text: text[:6]
)
def test_a_long_word_is_searched_in_no_time_and_to_its_end(text: str) -> None:
    began = time.process_time()
    assert mask_text(text, []) == text
    assert mask_text(f"{text}http://u:hunter2@h", []).endswith(":****@h")
    assert time.process_time() - began < 5
