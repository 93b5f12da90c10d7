"""Quota rules in the engine: limits, overrides, cost, drafts, shadows, best effort, retries."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.attributes import AttributeBag
from policy.meter import Limits, Override, Overrides, Term
from policy.quota import Dedup, Quota
from policy.results import DecidedBy
from tests.policy.deciding import decide, deciding

MINUTE = {"window": 60, "algorithm": "fixed-window"}


def quota(**fields: Any) -> dict[str, Any]:
    return {"kind": "quota", "name": "q"} | fields


def test_several_limits_are_charged_together() -> None:
    engine = deciding(
        quota(limits=[{"limit": 3, **MINUTE}, {"limit": 2, "window": 3600}], dimensions=[])
    )
    first, second, third = (decide(engine) for _ in range(3))
    assert (first.remaining, first.limit, first.window_us) == (1, 2, 3_600_000_000)
    assert second.allowed
    assert (third.allowed, third.limit) == (False, 2)
    assert decide(engine, hits=0).remaining == 0  # the refused one took nothing of the minute
    assert [decide(deciding(quota(limit=3, **MINUTE)), hits=3).allowed] == [True]


def test_a_request_costs_what_the_expression_says() -> None:
    engine = deciding(quota(limit=100, **MINUTE, cost="request.size"))
    assert decide(engine, {"request.size": 40}).remaining == 60
    assert decide(engine, {"request.size": 20}, hits=2).remaining == 20
    assert not decide(engine, {"request.size": 21}).allowed
    assert decide(engine).remaining == 19  # absent: one
    assert decide(engine, {"request.size": -5}).remaining == 18
    assert decide(engine, {"request.size": 0}).remaining == 18


OVERRIDES = [
    {"name": "batch", "when": {"source.service": "batch*"}, "limit": 1, **MINUTE},
    {"name": "batch-big", "when": {"source.service": "batch-big*"}, "limit": 2, **MINUTE},
    {"name": "ann", "when": {"source.user": "ann"}, "limit": 3, **MINUTE},
    {
        "name": "ann-at-a",
        "when": {"source.user": "ann", "source.service": "a"},
        "limit": 4,
        **MINUTE,
    },
    {"name": "root", "when": {"source.user": "root"}, "unlimited": True},
]
PER_USER = quota(
    limit=9, **MINUTE, dimensions=["source.service", "source.user"], overrides=OVERRIDES
)


def test_an_overrides_counters_can_be_told_from_the_rules() -> None:
    engine = deciding(PER_USER)
    keys = [
        engine.matching_quotas(AttributeBag({"source.user": user}))[0].charge.takes[0].key
        for user in ("bob", "ann")
    ]
    assert [key.split(":")[3] for key in keys] == ["0", "ann.0"]


@pytest.mark.parametrize("leased", [True, False])
def test_a_rule_says_whether_parts_may_be_taken_in_advance(leased: bool) -> None:
    engine = deciding(quota(limit=3, **MINUTE, leased=leased, draft={"limit": 2, **MINUTE}))
    charge = engine.matching_quotas(AttributeBag({}))[0].charge
    assert {take.leased for take in (*charge.takes, *charge.draft)} == {leased}


@pytest.mark.parametrize(
    ("service", "user", "limit", "name"),
    [
        ("a", "bob", 9, ""),
        ("batch", "bob", 1, "batch"),
        ("batch-7", "bob", 1, "batch"),
        ("batch-big-1", "bob", 2, "batch-big"),
        ("c", "ann", 3, "ann"),
        ("a", "ann", 4, "ann-at-a"),
        ("batch", "ann", 3, "ann"),  # a whole text says more than a beginning
        ("a", "root", -1, "root"),
    ],
)
def test_the_most_specific_override_replaces_the_default(
    service: str, user: str, limit: int, name: str
) -> None:
    decision = decide(deciding(PER_USER), {"source.service": service, "source.user": user})
    assert (decision.limit, decision.override) == (limit, name)
    assert (decision.allowed, decision.rule) == (True, "q")


def test_an_override_replaces_the_limit_and_is_not_added_to_it() -> None:
    raised = quota(
        limit=1, **MINUTE, dimensions=["source.user"],
        overrides=[{"name": "ann", "when": {"source.user": "ann"}, "limit": 3, **MINUTE}],
    )  # fmt: skip
    engine = deciding(raised)
    by_ann = [decide(engine, {"source.user": "ann"}).allowed for _ in range(4)]
    assert by_ann == [True, True, True, False]
    assert [decide(engine, {"source.user": "bob"}).allowed for _ in range(2)] == [True, False]


def test_an_unlimited_override_never_refuses() -> None:
    engine = deciding(PER_USER)
    for _ in range(20):
        decision = decide(engine, {"source.user": "root"})
        assert (decision.allowed, decision.decided_by) == (True, DecidedBy.QUOTA)


TEXTS = st.text("ab", max_size=3)


@given(
    st.lists(
        st.dictionaries(st.integers(0, 2), st.tuples(TEXTS, st.booleans()), min_size=1),
        max_size=12,
    ),
    st.tuples(TEXTS, TEXTS, TEXTS),
)
def test_the_override_found_is_the_first_by_the_stated_order(
    whens: list[dict[int, tuple[str, bool]]], values: tuple[str, str, str]
) -> None:
    overrides = [
        Override(
            Limits((Quota("fixed-window", 1, 1, 1),), f"o{number}"),
            tuple(Term(at, text, prefix) for at, (text, prefix) in when.items()),
        )
        for number, when in enumerate(whens)
    ]

    def fits(override: Override) -> bool:
        return all(
            values[term.dimension].startswith(term.text)
            if term.prefix
            else values[term.dimension] == term.text
            for term in override.terms
        )

    expected = min(filter(fits, overrides), key=lambda override: override.order, default=None)
    found = Overrides(overrides).find(values)
    assert found == (expected.limits if expected else None)


def test_a_draft_is_counted_beside_and_never_refuses() -> None:
    engine = deciding(quota(limit=3, **MINUTE, draft={"limit": 1, **MINUTE}))
    decisions = [decide(engine) for _ in range(4)]
    assert [decision.allowed for decision in decisions] == [True, True, True, False]
    said = [decision.beside[0] for decision in decisions]
    assert [(verdict.live, verdict.allowed) for verdict in said] == [
        (True, True), (True, False), (True, False), (False, False),
    ]  # fmt: skip
    assert said[1].reason == "quota q is exhausted"


def test_a_looser_draft_says_where_it_would_let_pass() -> None:
    engine = deciding(quota(limit=1, **MINUTE, draft={"limit": 5, **MINUTE}))
    decide(engine)
    (verdict,) = decide(engine).beside
    assert (verdict.live, verdict.allowed) == (False, True)


def test_the_draft_is_compared_with_its_own_rule_not_with_another_that_refused() -> None:
    engine = deciding(
        quota(limit=5, **MINUTE, draft={"limit": 1, **MINUTE}),
        quota(name="other", limit=1, **MINUTE),
    )
    decide(engine)
    decision = decide(engine)
    assert (decision.allowed, decision.rule) == (False, "other")
    assert (decision.beside[0].live, decision.beside[0].allowed) == (True, False)


def test_a_shadow_quota_counts_for_itself_and_decides_nothing() -> None:
    engine = deciding(quota(limit=1, **MINUTE, mode="shadow"))
    first, second = decide(engine), decide(engine)
    assert (first.allowed, second.allowed) == (True, True)
    assert (second.decided_by, second.rule) == (DecidedBy.DEFAULT, "")
    assert [first.beside[0].allowed, second.beside[0].allowed] == [True, False]


def test_a_shadow_quota_beside_one_in_force_takes_nothing_of_it() -> None:
    engine = deciding(
        quota(limit=2, **MINUTE), quota(name="strict", limit=1, **MINUTE, mode="shadow")
    )
    assert [decide(engine).allowed for _ in range(3)] == [True, True, False]


def test_best_effort_grants_what_is_left() -> None:
    engine = deciding(quota(limit=5, **MINUTE))
    decide(engine, hits=3)
    refused = decide(engine, hits=4)
    assert (refused.allowed, refused.granted) == (False, 0)
    cut = decide(engine, hits=4, best_effort=True)
    assert (cut.allowed, cut.granted, cut.remaining) == (True, 2, 0)
    assert not decide(engine, hits=4, best_effort=True).allowed


def test_a_retry_with_the_same_id_is_charged_once() -> None:
    engine = deciding(quota(limit=5, **MINUTE))
    first = decide(engine, hits=2, dedup=Dedup("ann", "1"))
    again = decide(engine, hits=2, dedup=Dedup("ann", "1"))
    other = decide(engine, hits=2, dedup=Dedup("bob", "1"))
    assert (first.remaining, again.remaining, other.remaining) == (3, 3, 1)


def test_quotas_that_match_are_told_without_being_charged() -> None:
    engine = deciding(PER_USER, quota(name="off", limit=1, window=1, mode="disabled"))
    bag_ann = {"source.user": "ann", "source.service": "a", "destination.service": "b"}
    (found,) = engine.matching_quotas(AttributeBag(bag_ann))
    assert (found.metered.rule.name, found.charge.limits.override) == ("q", "ann-at-a")
    assert [take.quota.limit for take in found.charge.takes] == [4]
    assert decide(engine, {"source.user": "ann", "source.service": "a"}).remaining == 3
