"""What the test command does: all of it without arguments, and no more than is needed for some of the tests."""

from __future__ import annotations

from importlib import import_module

import pytest


def titles(*arguments: str) -> list[str]:
    return [step.title for step in import_module("tests.__main__").steps(list(arguments))]


def test_without_arguments_a_system_is_made_and_disturbances_come_last() -> None:
    whole = titles()
    assert "A small system to boot" in whole
    assert whole[-2].startswith("Tests: pure ones first")
    assert whole[-1] == "One minute of disturbances"


@pytest.mark.parametrize("arguments", [("tests/core",), ("-k", "scale")])
def test_for_some_of_the_tests_no_system_is_made_and_nothing_comes_after_them(arguments: tuple[str, ...]) -> None:
    some = titles(*arguments)
    assert "A small system to boot" not in some
    assert some[-1] == f"Tests: {' '.join(arguments)}"


def test_tests_that_boot_have_their_system_made_first() -> None:
    assert titles("tests/boot/test_units.py")[-2:] == ["A small system to boot", "Tests: tests/boot/test_units.py"]
