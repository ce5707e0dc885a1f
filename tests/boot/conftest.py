from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.boot import rootfs
from tests.boot.machine import Machine, groups_left, remove_tree

# Another run on this machine may have its own machine booted, and one that is emulated takes its time.
_TIMEOUT = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(_TIMEOUT))


class Installed(NamedTuple):
    """A root file system with procsup in it, to be copied, and the /usr that belongs to it."""

    root: Path
    usr: Path


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    reason = rootfs.why_not()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("boot")
    lock = rootfs.one_at_a_time()
    try:
        whole = rootfs.prepare()
        rootfs.copy(whole, folder / "root")
        rootfs.install_procsup(folder / "root", whole / "usr", folder / "wheels")
        yield Installed(folder / "root", whole / "usr")
    finally:
        remove_tree(folder)  # pytest would keep it
        os.close(lock)


@pytest.fixture
def machine(installed: Installed, tmp_path: Path) -> Iterator[Machine]:
    """Not yet booted. Nothing of it is left afterwards."""
    root = tmp_path / "machine"
    rootfs.copy(installed.root, root)
    machine = Machine(root, installed.usr)
    try:
        yield machine
    finally:
        machine.pull_the_plug()
        left = groups_left()
        remove_tree(root)
    assert not left, f"control groups left: {left}"
