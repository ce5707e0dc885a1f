from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.control import protocol
from procsup.control.protocol import METHODS, Refused, parse_request


def line(**members: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, **members}).encode()


def refusal(data: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        parse_request(data)
    return caught.value


def answerable(refused: Refused) -> None:
    assert protocol.decode(protocol.error_answer(refused.request_id, refused.code, refused.message))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NEAR_MISSES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": JSON,
        "method": st.sampled_from([*METHODS, "__class__", "info.__init__"]) | JSON,
        "params": st.dictionaries(st.sampled_from(["names", "changes", "wait", "rolling", "usage", "plan"]), JSON)
        | JSON,
    },
)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_are_refused(data):
    try:
        parse_request(data)
    except Refused as refused:
        answerable(refused)


@given(NEAR_MISSES | JSON)
def test_any_json_is_a_request_or_is_refused_with_an_answer_that_can_be_sent(value):
    try:
        request = parse_request(json.dumps(value).encode())
    except Refused as refused:
        answerable(refused)
    else:
        assert request.method in METHODS
        assert set(request.params) == set(METHODS[request.method].parameters)


def test_the_page_about_the_socket_has_every_method_with_its_parameters_and_defaults():
    page = Path(__file__).parents[2].joinpath("docs", "control-socket.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*?)\| .+ \|$", page, re.MULTILINE))
    assert list(rows) == list(METHODS)
    for name, method in METHODS.items():
        assert re.findall(r"`(\w+)`", rows[name]) == list(method.parameters), name
        for key, parameter in method.parameters.items():
            if isinstance(parameter.default, bool | float):
                assert f"`{key}` ({json.dumps(parameter.default).removesuffix('.0')})" in rows[name]


def test_every_method_checks_its_parameters():
    for name, method in METHODS.items():
        for key, parameter in method.parameters.items():
            with pytest.raises(ValueError, match=key):
                parameter.check(object(), key)
            if not parameter.required:
                default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
                parameter.check(default, f"{name}.{key}")


def test_left_out_parameters_take_their_defaults():
    assert parse_request(line(method="status")).params == {"usage": True}
    assert parse_request(line(method="restart")).params == {"names": [], "rolling": False}
    assert parse_request(line(method="scale", params={"changes": [CHANGE]})).params == {
        "changes": [CHANGE],
        "wait": False,
    }


CHANGE = {"type": "worker", "relative": False, "count": 3}


@pytest.mark.parametrize(
    ("method", "params", "wrong"),
    [
        ("status", {"usage": 1}, "usage must be true or false"),
        ("status", {"usge": True}, "no parameter 'usge'; there are: usage"),
        ("info", {"x": 1}, "there are: none"),
        ("stop", {}, "needs the parameter names"),
        ("stop", {"names": []}, "at least one name"),
        ("stop", {"names": "web"}, "names must be a list"),
        ("stop", {"names": ["web", "a b"]}, r"names\[1\] must be the name"),
        ("stop", {"names": ["\x1b[2J"]}, r"names\[0\] must be the name"),
        ("stop", {"names": ["x" * 81]}, r"names\[0\] must be the name"),
        ("stop", {"names": ["x"] * 20_001}, "a list of at most 20000"),
        ("scale", {"changes": []}, "at least one change"),
        ("scale", {"changes": [{"type": "web", "count": 1}]}, r"changes\[0\] must be an object with"),
        ("scale", {"changes": [{**CHANGE, "more": 1}]}, r"changes\[0\] must be an object with"),
        ("scale", {"changes": [CHANGE, {**CHANGE, "count": -1}]}, r"changes\[1\].count must be a whole number from 0"),
        ("scale", {"changes": [{**CHANGE, "count": True}]}, r"changes\[0\].count must be a whole number"),
        ("scale", {"changes": [{**CHANGE, "count": 1.0}]}, r"changes\[0\].count must be a whole number"),
        ("scale", {"changes": [{**CHANGE, "count": 10**9}]}, r"changes\[0\].count must be a whole number"),
        ("scale", {"changes": [{**CHANGE, "relative": 0}]}, r"changes\[0\].relative must be true or false"),
        ("scale", {"changes": [CHANGE], "wait": None}, "wait must be true or false"),
    ],
)
def test_a_wrong_parameter_is_refused_with_where_and_what(method, params, wrong):
    refused = refusal(line(method=method, params=params))
    assert refused.code == protocol.INVALID_PARAMS
    assert refused.request_id == 1
    with pytest.raises(Refused, match=wrong):
        raise refused


def test_a_relative_change_may_be_negative():
    change = {"type": "worker", "relative": True, "count": -2}
    assert parse_request(line(method="scale", params={"changes": [change]})).params["changes"] == [change]


@pytest.mark.parametrize("method", ["", "__class__", "info.__init__", "METHODS", "system.listMethods", "x" * 10_000])
def test_a_method_that_is_not_in_the_table_does_not_exist(method):
    refused = refusal(line(method=method))
    assert refused.code == protocol.METHOD_NOT_FOUND
    assert len(refused.message) < 300


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b"\x00",
        b"{",
        b'{"id": NaN}',
        b'{"id": Infinity}',
        b'{"id": -Infinity}',
        b"[" * 500_000,
        b'{"a":' * 150_000,
        b"1" * 5000,
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "info"}).encode("utf-16"),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_not_strictly_json_in_utf_8_is_a_parse_error(data):
    assert refusal(data).code == protocol.PARSE_ERROR


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b'"info"',
        b"[]",
        b'[{"jsonrpc":"2.0","id":1,"method":"info"}]',
        b"{}",
        b'{"jsonrpc":2.0,"id":1,"method":"info"}',
        b'{"jsonrpc":"1.0","id":1,"method":"info"}',
        line(method=7),
        line(method="info", id=1.5),
        b'{"jsonrpc":"2.0","id":1e999,"method":"info"}',
        line(method="info", id=True),
        line(method="info", id={}),
        line(method="info", id="x" * 257),
        b'{"jsonrpc":"2.0","method":"info","id":' + b"9" * 257 + b"}",
        b'{"jsonrpc":"2.0","method":"info","id":' + b"9" * 4300 + b"}",
    ],
)
def test_what_is_json_but_no_request_is_an_invalid_request(data):
    assert refusal(data).code == protocol.INVALID_REQUEST


def test_parameters_by_position_are_refused():
    assert refusal(line(method="stop", params=[["web"]])).code == protocol.INVALID_PARAMS


def test_a_request_without_an_id_wants_no_answer_and_one_with_null_does():
    assert not parse_request(b'{"jsonrpc":"2.0","method":"info"}').wants_answer
    assert parse_request(line(method="info", id=None)).wants_answer


def test_an_answer_of_any_size_goes_in_messages_of_at_most_one_mebibyte():
    result = ['"\\\u2028é\ud800' * 100] * 4000
    lines = list(protocol.answer("ä" * 256, result))
    assert len(lines) > 2
    assert all(len(each) <= protocol.MAX_MESSAGE and each.count(b"\n") == 1 for each in lines)
    *parts, last = [json.loads(each) for each in lines]
    assert json.loads("".join(part["params"]["text"] for part in parts)) == result
    assert last == {"jsonrpc": "2.0", "id": "ä" * 256, "result": None}


@pytest.mark.parametrize("size", range(protocol.MAX_MESSAGE - 3200, protocol.MAX_MESSAGE + 100, 37))
def test_an_answer_near_the_limit_keeps_to_it(size):
    assert all(len(each) <= protocol.MAX_MESSAGE for each in protocol.answer("é" * 256, "x" * size))


def test_an_answer_that_is_no_json_is_never_sent():
    with pytest.raises(ValueError, match="JSON"):
        list(protocol.answer(1, float("nan")))
    with pytest.raises(TypeError):
        list(protocol.answer(1, object()))
