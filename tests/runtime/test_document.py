"""The file in which one version tells another what it knows: read back as it was written, or refused with a reason."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

import pytest

from procsup.core.model import Exit, Fault, InstanceName, Running, Wish
from procsup.output.source import Source
from procsup.runtime.upgrade.document import FORMAT, Header, make_file, write
from procsup.runtime.upgrade.document_reader import Unreadable, load_file, read, read_header

HEADER = Header(FORMAT, "1.2", "/usr/bin/python3", ("start", "-p", "5000"), (3, 4))


class Pair(NamedTuple):
    one: object
    other: object = "by default"


CLASSES = {each.__name__: each for each in (Pair, Exit, Fault, InstanceName, Running, Wish)}


def there_and_back(value: object) -> Any:
    return read(write(HEADER, value, {}), CLASSES)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -1,
        0.1,
        1e300,
        "grüße\udc80\n",
        b"\0\xff" * 1000,
        [],
        [1, 2.0, None],
        [b"a", [b""], (b"b",)],
        (),
        (1, (2, "x")),
        {1, 2},
        frozenset({"a"}),
        {"a": 1, 2: (3,)},
        {InstanceName("web", 1): Running(1, 2.0, 3)},
        Exit(1, fault=Fault.NOT_READY),
        Pair(Wish.GONE, Pair(b"x", None)),
    ],
    ids=repr,
)
def test_what_is_written_is_read(value: object) -> None:
    found = there_and_back(value)
    assert found == value
    assert type(found) is type(value)


def test_one_source_is_one_source_wherever_it_is_named() -> None:
    source, other = Source("web.1", "web", "stdout", 7), Source("web.1", "web", "stdout", 7)
    source.cut = True
    found = there_and_back({"a": source, "b": (source, other)})
    assert found["a"] is found["b"][0]
    assert found["b"][1] is not found["a"]
    assert (found["a"].name, found["a"].cut, found["b"][1].cut) == ("web.1", True, False)


def test_a_field_that_the_older_version_did_not_have_gets_its_default() -> None:
    class Older(NamedTuple):
        one: object

    data = write(HEADER, Older(1), {Older: "Pair"})
    assert read(data, CLASSES) == Pair(1, "by default")


def test_a_field_that_is_not_known_any_more_is_an_error() -> None:
    class Newer(NamedTuple):
        one: object
        strange: int

    with pytest.raises(Unreadable, match=r"procsup 1\.2 is not understood: Pair has no strange"):
        read(write(HEADER, Newer(1, 2), {Newer: "Pair"}), CLASSES)


def test_what_is_no_plain_value_cannot_be_written_and_what_is_not_in_the_table_not_read() -> None:
    with pytest.raises(TypeError, match="object cannot be handed over"):
        write(HEADER, object(), {})
    with pytest.raises(Unreadable, match="nothing that is called Pair"):
        read(write(HEADER, Pair(1), {}), {})


def test_another_format_is_refused_but_its_header_is_read() -> None:
    data = write(HEADER.but(format=FORMAT + 1), 1, {})
    assert read_header(data) == HEADER.but(format=FORMAT + 1)
    with pytest.raises(Unreadable, match=f"of format {FORMAT + 1}; this one reads {FORMAT}"):
        read(data, CLASSES)


@pytest.mark.parametrize(
    "data", [b"", b"x" * 100, b"%016d{}" % 2, b"%016d[]" % 2, b"%016d" % 10**9, b'%016d{"header":1}' % 12]
)
def test_anything_else_is_no_memory(data: bytes) -> None:
    with pytest.raises(Unreadable):
        read(data, CLASSES)
    with pytest.raises(Unreadable):
        read_header(data)


def test_bytes_are_not_in_the_json() -> None:
    data = write(HEADER, Pair(b"\xff" * 1000), {})
    length = int(data[:16])
    assert json.loads(data[16 : 16 + length])["content"]["one"]["size"] == 1000
    assert len(data) == 16 + length + 1000


@pytest.mark.parametrize("in_memory", [True, False])
def test_the_file_has_no_name_and_is_nobody_elses(
    in_memory: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    descriptor = make_file(b"memory" * 1000, str(tmp_path))
    try:
        assert not os.get_inheritable(descriptor)
        assert os.fstat(descriptor).st_nlink == 0
        assert list(tmp_path.iterdir()) == [tmp_path / "state"] or list(tmp_path.iterdir()) == []
        assert load_file(descriptor) == load_file(descriptor) == b"memory" * 1000
    finally:
        os.close(descriptor)
