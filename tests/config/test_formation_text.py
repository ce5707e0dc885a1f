"""Counts as people type them, for -m and for scale."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.config.formation import CountWord, parse_formation, parse_scale
from procsup.errors import ProcsupError, UsageError

TYPES = ["web", "worker", "my-job", "release"]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], {}),
        (["web=2,worker=3"], {"web": 2, "worker": 3}),
        (["web=2", "worker=3"], {"web": 2, "worker": 3}),
        ([" web = 2 , my-job=0"], {"web": 2, "my-job": 0}),
        (["all=2"], {"web": 2, "worker": 2, "my-job": 2}),
        (["web=5,all=0,release=1"], {"web": 5, "worker": 0, "my-job": 0, "release": 1}),
        (["web=10000"], {"web": 10000}),
        (["web=007", "web=7"], {"web": 7}),
    ],
)
def test_a_formation_gives_the_counts_of_the_types_it_means(items: list[str], expected: dict[str, int]) -> None:
    assert parse_formation(items, TYPES) == expected


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("", '"" has an empty part; write web=2,worker=3'),
        ("web=1,", '"web=1," has an empty part; write web=2,worker=3'),
        ("web", '"web" names no count; write web=1'),
        ("=1", '"=1" names no process type; write web=2'),
        ("we b=1", '"we b" is no name of a process type; write web=2'),
        ("wroker=1", 'no process type or instance "wroker" in Procfile; did you mean "worker"?'),
        ("web=", '"web=": the count must be a whole number from 0 to 10000'),
        ("web=1.5", '"web=1.5": the count must be a whole number from 0 to 10000'),
        ("web=1_0", '"web=1_0": the count must be a whole number from 0 to 10000'),
        ("web=٣", '"web=٣": the count must be a whole number from 0 to 10000'),
        ("web=-1", '"web=-1" is a change, not a count; write web=N, or use "scale"'),
        ("web=+1", '"web=+1" is a change, not a count; write web=N, or use "scale"'),
        ("web=10001", '"web=10001": no more than 10000 instances; write a smaller number'),
        ("web=1,web=2", '"web" is given twice, as 1 and 2; give it once'),
    ],
)
def test_a_formation_that_makes_no_sense_is_refused(item: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_formation([item], TYPES)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ()),
        (["worker=3"], (CountWord("worker", 3, relative=False),)),
        (["worker=+2"], (CountWord("worker", 2, relative=True),)),
        (["worker=-1"], (CountWord("worker", -1, relative=True),)),
        (["worker+2"], (CountWord("worker", 2, relative=True),)),
        (["my-job=-1", "all=0"], (CountWord("my-job", -1, relative=True), CountWord("all", 0, relative=False))),
        (["a=1,b=+1"], (CountWord("a", 1, relative=False), CountWord("b", 1, relative=True))),
    ],
)
def test_a_scale_sets_or_changes_counts(args: list[str], expected: tuple[CountWord, ...]) -> None:
    assert parse_scale(args) == expected


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("worker-1", '"worker-1" could be a name, since names may contain "-"; write worker=-1'),
        ("worker", '"worker" names no count; write worker=3, worker=+1 or worker=-1'),
        ("worker=", '"worker=": the count must be a whole number from 0 to 10000'),
        ("worker=+", '"worker=+": the count must be a whole number from 0 to 10000'),
        ("worker=+-1", '"worker=+-1": the count must be a whole number from 0 to 10000'),
        ("worker=-10001", '"worker=-10001": no more than 10000 instances; write a smaller number'),
        ("+1", '"+1" names no process type; write worker=3'),
        ("web.1=1", '"web.1" is no name of a process type; write worker=3'),
        ("", '"" has an empty part; write worker=3'),
        ("w=1,w=+1", '"w" is given twice; give it once'),
    ],
)
def test_a_scale_that_makes_no_sense_is_refused(arg: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_scale([arg])
    assert str(caught.value) == message


@given(st.lists(st.one_of(st.text(max_size=20), st.from_regex(r"[a-z-]{0,3}[=+-]{0,2}\d{0,6},?")), max_size=4))
def test_garbage_gives_counts_or_our_error(items: list[str]) -> None:
    with contextlib.suppress(ProcsupError):
        assert all(0 <= count <= 10_000 for count in parse_formation(items, TYPES).values())
    with contextlib.suppress(ProcsupError):
        assert all(abs(change.amount) <= 10_000 for change in parse_scale(items))


def test_a_number_of_five_thousand_digits_is_refused_like_any_other() -> None:
    with pytest.raises(UsageError, match="no more than 10000"):
        parse_formation(["web=" + "9" * 5000], TYPES)
