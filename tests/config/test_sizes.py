"""What the instances of a type may use: a size by its name, or memory and cpu themselves."""

from __future__ import annotations

import click
import pytest

from procsup.cli.outlets import Size
from procsup.config.limits import describe
from procsup.config.settings import Limits
from procsup.config.settings_file import parse_settings
from procsup.config.sizes import in_words, read_size, write_size
from procsup.errors import ConfigError

MIB = 1 << 20


def limits(text: str, name: str = "web") -> Limits:
    return parse_settings(text.encode(), ("web", "worker"), "Procfile").limits(name)


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(ConfigError) as caught:
        limits(text)
    return [(each.line, each.message) for each in caught.value.problems]


def test_three_sizes_are_there_without_being_defined() -> None:
    assert limits('size = "S"') == Limits(256 * MIB, 0.5)
    assert limits('size = "M"') == Limits(512 * MIB, 1.0)
    assert limits('size = "L"') == Limits(1024 * MIB, 2.0)
    assert limits("") == Limits(None, None)


def test_a_table_of_sizes_adds_to_them_and_replaces_them() -> None:
    text = 'size = "{}"\n[sizes]\nS = {{ memory = "100M" }}\nhuge = {{ memory = "2GiB", cpu = 8 }}\n'
    assert limits(text.format("S")) == Limits(100 * MIB, None)
    assert limits(text.format("huge")) == Limits(2048 * MIB, 8.0)
    assert limits(text.format("M")) == Limits(512 * MIB, 1.0)


def test_what_a_type_says_itself_wins_over_its_size() -> None:
    text = 'size = "S"\n[processes.web]\nmemory = "300M"\n[processes.worker]\nsize = "L"\ncpu = 0.25\n'
    assert limits(text, "web") == Limits(300 * MIB, 0.5)
    assert limits(text, "worker") == Limits(1024 * MIB, 0.25)


def test_a_type_s_own_size_wins_over_the_memory_of_all() -> None:
    text = 'memory = "1G"\ncpu = 4\n[processes.worker]\nsize = "S"\n'
    assert limits(text, "web") == Limits(1024 * MIB, 4.0)
    assert limits(text, "worker") == Limits(256 * MIB, 0.5)


def test_an_unknown_size_is_an_error_with_its_line_and_what_was_meant() -> None:
    assert problems('[processes.web]\nsize = "hug"\n[sizes]\nhuge = { cpu = 8 }\n') == [
        (2, 'no size "hug"; did you mean "huge"?')
    ]
    assert problems('size = "XXL"\n') == [(1, 'no size "XXL"; there are: S, M, L')]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('memory = "12"', "1M or more"),
        ("memory = 256", "1M or more"),
        ('memory = "-1G"', "1M or more"),
        ("cpu = 0", "a number of cores"),
        ("cpu = 0.001", "a number of cores"),
        ("cpu = true", "a number of cores"),
        ("cpu = nan", "a number of cores"),
        ('cpu = "2"', "a number of cores"),
        ("size = 3", "a text"),
        ("sizes = 3", "a table of sizes"),
        ("[sizes]\nS = {}", "a table of sizes"),
        ("[sizes]\nS = { disk = 3 }", "a table of sizes"),
        ('[sizes]\nS = { memory = "1" }', "1M or more"),
    ],
)
def test_what_cannot_be_is_said_with_what_is_wanted(line: str, wanted: str) -> None:
    [(_, message)] = problems(line)
    assert wanted in message


def test_limits_are_told_in_words() -> None:
    assert describe(Limits(256 * MIB, 0.5)) == "memory 256 MiB, cpu 0.5"
    assert describe(Limits(None, 2.0)) == "cpu 2"
    assert describe(Limits()) == "none"
    assert [in_words(each) for each in (900, 3 << 10, 3 << 19, 300 * MIB, 1 << 30, 3 << 29)] == [
        "900 B", "3 KiB", "1.5 MiB", "300 MiB", "1 GiB", "1.5 GiB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["512K", "10m", "10 M", "1GiB", "3gb", "1", "007M", "0", "0M", "x", "10X", "-1", "", "9" * 5000]
)
def test_log_size_and_the_command_line_take_the_same_sizes(text: str) -> None:
    size = read_size(text)
    if size is None:
        assert problems(f'log_size = "{text}"') == [(1, 'log_size must be a size, as in "512K", "10M" or "1G"')]
        with pytest.raises(click.BadParameter, match="is no size; write 512K"):
            Size().convert(text, None, None)
    else:
        assert parse_settings(f'log_size = "{text}"'.encode(), ("web",), "Procfile").log_size == size
        assert Size().convert(text, None, None) == size


def test_a_size_is_written_as_it_is_read() -> None:
    written = ("1", "1000", "512K", "1536K", "10M", "3G", "5000G")
    assert tuple(write_size(read_size(each) or 0) for each in written) == written
    assert [read_size(each) for each in ("512K", "10 m", "1gib")] == [512 << 10, 10 << 20, 1 << 30]
