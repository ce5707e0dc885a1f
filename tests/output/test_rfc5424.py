"""Each line as a message of RFC 5424."""

from __future__ import annotations

import re

import pytest

from procsup.errors import UsageError
from procsup.output.rfc5424 import Messages
from procsup.output.source import Source
from procsup.output.syslog_address import SyslogAddress, read_address

NOW = 1_700_000_000.25
WEB = Source("web.1", "web", "stdout", 812)
HEAD = b'<14>1 2023-11-14T22:13:20.250000Z box shop/web.1 812 stdout [procsup@32473 instance="web.1" type="web" '
HEAD += b'stream="stdout"]'


def made(line: bytes, source: Source = WEB, host: str = "box", app: str = "shop") -> bytes:
    [message] = Messages(host, app).make(source, [line], NOW)
    return message


def test_the_parts_of_a_message() -> None:
    assert made(b"hello [/red] \t\x1b[0m") == HEAD + b" hello [/red] \t\x1b[0m"


def test_a_blank_line_is_a_message_without_text() -> None:
    assert made(b"") == HEAD


@pytest.mark.parametrize(
    ("stream", "number", "kind"),
    [("stdout", 14, "web"), ("stderr", 12, "web"), ("procsup", 13, "procsup")],
)
def test_how_serious_it_is_is_judged_by_the_stream(stream: str, number: int, kind: str) -> None:
    assert made(b"x", Source("web.1", kind, stream, 1)).startswith(b"<%d>1 " % number)


def test_a_byte_order_mark_says_utf8_where_it_is_true_and_makes_a_difference() -> None:
    assert made("grüße".encode()) == HEAD + b" \xef\xbb\xbfgr\xc3\xbc\xc3\x9fe"
    assert made("grüße".encode("latin-1")) == HEAD + b" gr\xfc\xdfe"
    assert made(b"plain") == HEAD + b" plain"


@pytest.mark.parametrize(
    ("app", "instance", "shown"),
    [
        ("shop", "web.1", "shop/web.1"),
        ("my shop é", "web.1", "my_shop__/web.1"),
        ("", "web.1", "web.1"),
        ("a" * 60, "web.1", "a" * 42 + "/web.1"),
        ("shop", "w" * 46 + ".1", "w" * 46 + ".1"),
        ("shop", "w" * 63 + ".12", "w" * 45 + ".12"),
    ],
)
def test_names_fit_into_the_fields_of_the_header(app: str, instance: str, shown: str) -> None:
    message = made(b"x", Source(instance, "web", "stdout", 1), "hö st", app).split(b" ")
    assert message[2] == b"h__st"
    assert message[3] == shown.encode()
    assert len(shown) <= 48


def test_a_host_without_a_name_is_a_dash() -> None:
    assert made(b"x", host="").split(b" ")[2] == b"-"


def test_a_long_line_comes_in_numbered_parts_that_are_not_cut_within_a_character() -> None:
    line = "é€😀".encode() * 2000
    messages = Messages("box", "shop").make(WEB, [line], NOW)
    assert all(len(message) <= 8192 for message in messages)
    found = [re.fullmatch(rb'.*stream="stdout" part="(\d+)"\] \xef\xbb\xbf(.*)', each, re.DOTALL) for each in messages]
    assert [int(each[1]) for each in found] == list(range(1, len(messages) + 1))
    assert b"".join(each[2] for each in found) == line


def test_a_long_line_of_other_bytes_is_cut_too() -> None:
    line = b"\x80" * 20_000
    messages = Messages("box", "shop").make(WEB, [line], NOW)
    assert b"".join(each.partition(b"] ")[2] for each in messages) == line


# The address


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("unix:/dev/log", SyslogAddress("unix", "/dev/log"), "unix:/dev/log"),
        ("unix:///dev/log", SyslogAddress("unix", "/dev/log"), "unix:/dev/log"),
        ("/dev/log", SyslogAddress("unix", "/dev/log"), "unix:/dev/log"),
        ("run/log", SyslogAddress("unix", "/app/run/log"), "unix:/app/run/log"),
        ("unix:log", SyslogAddress("unix", "/app/log"), "unix:/app/log"),
        ("udp://host", SyslogAddress("udp", host="host", port=514), "udp://host:514"),
        ("udp://[::1]", SyslogAddress("udp", host="::1", port=514), "udp://[::1]:514"),
        ("tcp://[::1]:601/", SyslogAddress("tcp", host="::1", port=601), "tcp://[::1]:601"),
        ("tcp://10.0.0.1:6514", SyslogAddress("tcp", host="10.0.0.1", port=6514), "tcp://10.0.0.1:6514"),
    ],
)
def test_addresses(text: str, address: SyslogAddress, shown: str) -> None:
    assert read_address(text, "/app") == address
    assert str(address) == shown


@pytest.mark.parametrize(
    "text",
    ["", "log", "host:514", "unix:", "tcp://host", "tcp://:514", "udp://host:0", "udp://host:65536", "tcp://h:1:2",
     "udp://host:x", "http://host:514", "tcp://[::1:5", "tcp://[::1]5", "udp://a b", "tcp://user@host:5", "udp://h:５"],
)  # fmt: skip
def test_what_is_no_address_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="write unix:PATH, udp://HOST:514 or tcp://HOST:PORT"):
        read_address(text, "/app")


def test_a_path_too_long_for_a_socket_and_a_host_that_nobody_knows() -> None:
    with pytest.raises(UsageError, match="107 bytes"):
        read_address("/" + "x" * 107, "/")
    with pytest.raises(UsageError, match=r"nowhere\.invalid is not known: "):
        read_address("udp://nowhere.invalid", "/").resolve()
