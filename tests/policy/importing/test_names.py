"""Foreign names as DNS labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.documents import NAME
from policy.importing.names import labels

names = st.lists(st.lists(st.text(max_size=40), min_size=1, max_size=3).map(tuple), max_size=12)


@given(names, st.sets(st.from_regex(NAME, fullmatch=True), max_size=5), st.integers(20, 63))
def test_every_name_has_a_label_of_its_own(names, reserved, room):
    found = labels(names, reserved, room)
    assert found.keys() == set(names)
    assert len(set(found.values())) == len(found)
    assert not reserved & set(found.values())
    for label in found.values():
        assert NAME.fullmatch(label)
        assert len(label) <= room


@given(names)
def test_a_name_has_the_same_label_in_whatever_order(names):
    assert labels(names) == labels(names[::-1])


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (("messaging", "message_type", "marketing", "to_number", ""), None),
        (("Edge_Proxy", "remote.address"), "edge-proxy-remote-address"),
        (("a", "/api/*/action"), "a-api-action"),
    ],
)
def test_a_label_reads_like_its_name(name, label):
    expected = label or "messaging-message-type-marketing-to-number"
    assert labels([name]) == {name: expected}


def test_a_letter_of_another_script_never_passes_for_one_of_ascii():
    plain, cyrillic, kelvin = ("admin",), ("аdmin",), ("\u212aelvin",)
    found = labels([plain, cyrillic, kelvin])
    assert found[plain] == "admin"
    assert found[cyrillic].startswith("dmin-")
    assert found[kelvin].startswith("elvin-")


def test_two_names_that_would_be_one_label_both_have_a_digest():
    found = labels([("a_b",), ("a.b",), ("c",)])
    assert found[("c",)] == "c"
    assert found[("a_b",)].startswith("a-b-")
    assert found[("a.b",)].startswith("a-b-")


def test_a_name_is_its_parts_and_not_their_text():
    found = labels([("a", "b"), ("a", "b", "")])
    assert len(set(found.values())) == 2


def test_a_long_name_is_cut_and_has_a_digest():
    found = labels([("x" * 80,), ("x" * 81,)])
    assert {len(label) for label in found.values()} == {63}
    assert len(set(found.values())) == 2
