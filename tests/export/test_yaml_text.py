"""What we write as YAML is read as what it was, by a reader of others."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from procsup.export.dns_names import dns_names
from procsup.export.yaml_text import to_yaml
from tests.export.nasty import texts

_scalars = texts | st.booleans() | st.integers(-(2**40), 2**40) | st.sampled_from((0.5, 0.25, 3.0))
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=12
)


@given(st.lists(st.dictionaries(texts, _values, min_size=1, max_size=4), min_size=1, max_size=3))
def test_what_is_written_is_read_again(documents: list[dict[str, object]]) -> None:
    assert list(yaml.safe_load_all(to_yaml(documents))) == documents


def test_half_a_character_is_refused() -> None:
    with pytest.raises(UnicodeError):
        to_yaml([{"key": "\udc80"}])


@given(st.lists(st.text("abAB01-_", min_size=1, max_size=63), unique=True, max_size=12))
def test_names_are_labels_and_each_its_own(names: list[str]) -> None:
    labels = dns_names(names)
    assert list(labels) == names
    assert len(set(labels.values())) == len(names)
    for label in labels.values():
        assert len(label) <= 45
        assert label[0].isalpha()
        assert label[-1] != "-"
        assert all(letter.isdigit() or letter == "-" or "a" <= letter <= "z" for letter in label)


def test_who_has_a_good_name_keeps_it_and_others_stay_near_theirs() -> None:
    assert dns_names(["Web", "web", "my_worker", "--", "9to5", "w" * 63])["web"] == "web"
    found = dns_names(["Web", "web", "my_worker", "--", "9to5", "w" * 63])
    assert found["my_worker"] == "my-worker"
    assert found["9to5"] == "x-9to5"
    assert found["Web"].startswith("web-")
    assert found["--"] == "x"
