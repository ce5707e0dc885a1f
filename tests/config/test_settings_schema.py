"""The JSON Schema that editors complete procsup.toml with says what the reader says."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

import procsup
from procsup.config.settings import Settings, TypeSettings
from procsup.config.settings_file import parse_settings
from procsup.config.settings_keys import OF_A_TYPE, OF_THE_APP
from procsup.config.settings_schema import json_schema, schema_text
from procsup.errors import ConfigError

SHIPPED = Path(procsup.__file__).parent / "config" / "procsup.schema.json"
GROUPS = "\n[relationships]\nmysql = ['MYSQL_*']\n"

# Values of every kind, and of every key's own kind, right and wrong.
VALUES = (
    "-1", "0", "1", "2", "10000", "10001", "1000000", "1000001", "0.5", "1.5", "-0.5", "1024", "1025.5", "1e9",
    "999999999.5", "true", "false", "'always'", "'on-failure'", "'never'", "'sometimes'", "'Always'", "''", "'x'",
    "'a b'", '"a\\u0000b"', '"a\\nb"', "'ä'", "[]", "['x']", "['x', 'y']", "['x', 'x']", "['X']", "['a-b']", "['']",
    "[1]", "[['x']]", "'TERM'", "'term, 1'", "'TSTP, 10, TERM, 15, KILL'", "' INT , 0.5 , KILL '", "'10'",
    "'TERM, 1, 2'", "'TERM,'", "'RTMIN+1'", "'256M'", "'2G'", "'1 GiB'", "'0'", "'0M'", "'12'", "'12X'", "{}",
    "{ A = 'x' }", "{ A = 1, B = true }", "{ A = 0.5 }", "{ 1A = 'x' }", "{ 'A-B' = 'x' }", "{ A = [] }",
    "{ A = {} }", "{ db = ['DB_*', 'X?'] }", "{ db = 'DB' }", "{ db = 'a b' }", "{ db = [] }", "{ db = 1 }",
    "{ S = { memory = '1G' } }", "{ S = { memory = 1 } }", "{ S = { cpu = 2 } }",
    "{ S = { cpu = 0.5, memory = '1M' } }", "{ S = {} }", "{ S = { x = 1 } }", "{ S = 1 }", "'mysql'", "['mysql']",
    "['S']", "'S'", "'*.py'", "['src/**/*.py', '!x']", "'udp://127.0.0.1:514'", "'unix:/dev/log'", "'log'", "'/tmp'",
    "'../x'", "'port'", "'127.0.0.1:8000'", "'[::1]:8000'", "'notify'", "'http /x'", "'log ready'", "'web'",
    "['web']", "'512K'", "'10 m'", "'1gib'",
)  # fmt: skip
# What a schema cannot say of a value of the right form: which names the files have, which signals the system has.
BEYOND_A_SCHEMA = (
    "no process type", "none of these would ever start", "no relationship", "there is no signal",
    "stops nothing", "nothing comes after KILL", "no size", "of 1M or more", "mean nothing in them",
)  # fmt: skip


def accepted(text: str) -> tuple[bool, str]:
    try:
        parse_settings(text.encode(), ("web", "queue"), "Procfile")
    except ConfigError as error:
        return False, str(error)
    return True, ""


def valid(text: str) -> bool:
    return bool(jsonschema.Draft202012Validator(json_schema()).is_valid(tomllib.loads(text)))


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_one_that_is_shipped_is_up_to_date() -> None:
    advice = "write it anew: procsup check --schema > procsup/config/procsup.schema.json"
    assert SHIPPED.read_text() == schema_text(), advice


def test_it_describes_every_key_and_there_is_a_field_for_each() -> None:
    described = json.loads(schema_text())["properties"]
    assert all(each["description"] for each in described.values())
    assert set(described) == {*OF_A_TYPE, *OF_THE_APP, "processes"}
    assert set(described["processes"]["additionalProperties"]["properties"]) == set(OF_A_TYPE)
    assert set(OF_A_TYPE) == set(TypeSettings._fields)
    assert set(OF_THE_APP) == set(Settings._fields) - {"types", "defaults", "places", "read_from"}


@pytest.mark.parametrize("key", [*OF_A_TYPE, *OF_THE_APP])
def test_the_schema_and_the_reader_take_the_same_values(key: str) -> None:
    """At the top and in a table of a process type."""
    differ: list[str] = []
    taken = 0
    for value in VALUES:
        texts = [f"{key} = {value}"]
        if key in OF_A_TYPE:
            texts.append(f"{GROUPS if key == 'relationships' else ''}[processes.web]\n{key} = {value}")
        for text in texts:
            reader, why = accepted(text)
            taken += reader
            if reader != valid(text) and not any(each in why for each in BEYOND_A_SCHEMA):
                differ.append(f"{text!r}: {'taken' if reader else why}, and {'valid' if valid(text) else 'not valid'}")
    assert not differ[:3]
    assert taken, "add a value for it to VALUES"


@pytest.mark.parametrize(
    "text", ["xyzzy = 1", "[processes.web]\napp = 'x'", "processes = 1", "[[processes.web]]", "[processes]\n'a b' = {}"]
)
def test_neither_takes_keys_that_are_not_there(text: str) -> None:
    assert not valid(text)
    assert not accepted(text)[0]


def test_the_places_that_the_reader_notes_are_those_of_all_keys() -> None:
    text = "count = 1\n[env]\nA = 1\n" + GROUPS + "[processes.web]\ngrace = 2\nenv = { B = 1 }\n"
    settings = parse_settings(text.encode(), ("web",), "Procfile")
    assert settings.places == {
        ("", "count"): "procsup.toml:1",
        ("", "env"): "procsup.toml:2",
        ("", "env.A"): "procsup.toml:3",
        ("", "relationships"): "procsup.toml:5",
        ("", "relationships.mysql"): "procsup.toml:6",
        ("web", "grace"): "procsup.toml:8",
        ("web", "env"): "procsup.toml:9",
        ("web", "env.B"): "procsup.toml:9",
    }
