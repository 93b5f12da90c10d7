"""Counters' names: one for each combination of values, readable, and of a bounded length."""

import pytest

from policy.quota.keys import key_prefix, quota_key, rule_of, shown_key, shown_of

PREFIX = key_prefix("calm", "0", "token-bucket")


def key_of(*values: str, limit: str = "0", algorithm: str = "token-bucket") -> str:
    return quota_key("calm", limit, algorithm, values)


def test_a_key_says_whose_counter_it_is() -> None:
    key = key_of("ann", "GET")
    assert key.startswith(PREFIX)
    assert (PREFIX, rule_of(key), shown_of(key)) == ("mm:q:calm:0:t:", "calm", "ann, GET")


def test_another_limit_or_algorithm_is_another_counter() -> None:
    others = (key_of("ann", limit="1"), key_of("ann", algorithm="fixed-window"))
    assert len({key_of("ann"), *others}) == 3


def test_values_that_read_alike_do_not_share() -> None:
    long = "x" * 200
    values = (["a, b"], ["a", "b"], ["a", "", "b"], ["ab"], [long], [long + "y"], [], [""])
    assert len({key_of(*one) for one in values}) == len(values)


@pytest.mark.parametrize("value", ["a" * 5000, "ü" * 5000, "\ud800" * 5000, "😀" * 99])
def test_a_key_can_be_sent_and_is_bounded(value: str) -> None:
    key = key_of(value)
    assert len(key.encode()) <= len(PREFIX) + 25 + 100
    assert shown_of(key)


def test_a_colon_in_a_value_stays_in_it() -> None:
    assert shown_of(key_of("a:b:c")) == "a:b:c"


def test_a_foreign_key_is_of_no_rule() -> None:
    assert rule_of("mm:d:abc") == ""


def test_what_is_shown_in_an_answer_is_cut() -> None:
    assert shown_key(["ann", "GET"]) == "ann, GET"
    assert shown_key(["x" * 300]) == "x" * 255 + "…"
