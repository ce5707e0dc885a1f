"""The targets by name, and the inputs that each of them starts from."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

CORPUS = Path(__file__).parent / "corpus"
TARGETS = ("protocol", "procfile", "dotenv_file", "formation_store", "formation_text", "sanitizer", "settings_file")


class Target(Protocol):
    TOKENS: Sequence[bytes]  # what the fuzzer may paste in, as it cannot guess words; at most 64 bytes each
    LONGEST: int  # bytes of an input

    def one(self, data: bytes) -> None:
        """Raises for whatever should not be; AssertionError where something is not as promised."""


def target(name: str) -> Target:
    return cast("Target", importlib.import_module(f"tests.fuzz.{name}"))


def corpus(name: str) -> list[Path]:
    return sorted((CORPUS / name).iterdir())
