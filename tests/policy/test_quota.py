"""Every algorithm in every counter store: one contract."""

import pytest

from policy.quota import ALGORITHMS, Dedup, Quota
from tests.policy.counted import SECOND, Counted, usual


@pytest.fixture(params=list(ALGORITHMS))
def algorithm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def lasting(algorithm: str, limit: int) -> Quota:
    """So much in a window that no id outlives."""
    if algorithm == "calendar-window":
        return Quota(algorithm, limit, 0, limit, unit="hour")
    return Quota(algorithm, limit, 3600 * SECOND, limit)


def test_the_limit_passes_and_no_more(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 3)
    assert [counters.take(quota).granted for _ in range(5)] == [True, True, True, False, False]


def test_what_remains_counts_down(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    assert [counters.take(quota, amount).remaining for amount in (1, 4, 5)] == [9, 5, 0]


def test_a_refused_request_takes_nothing(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    counters.take(quota, 8)
    refused = counters.take(quota, 5)
    assert (refused.granted, refused.remaining) == (False, 2)
    assert counters.take(quota, 2).granted


def test_zero_asks_without_taking(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 1)
    asked = counters.take(quota, 0)
    assert (asked.granted, asked.remaining, asked.amount) == (True, 1, 0)
    assert counters.take(quota).granted
    assert counters.take(quota, 0).granted


def test_the_same_request_passes_after_the_time_it_was_told(
    counters: Counted, algorithm: str
) -> None:
    quota = usual(algorithm, 7)
    counters.take(quota, 6)
    refused = counters.take(quota, 3)
    counters.clock.now_us += refused.retry_after_us - 1
    assert not counters.take(quota, 3).granted
    counters.clock.now_us += 1
    assert counters.take(quota, 3).granted


def test_the_quota_is_whole_after_the_time_it_was_told(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 7)
    granted = counters.take(quota, 5)
    counters.clock.now_us += granted.reset_us
    assert counters.take(quota, 7).granted


def test_more_than_ever_passes_is_told_so(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 3)
    assert counters.take(quota, 4) == counters.take(quota, 2**52)
    assert counters.take(quota, 4).retry_after_us == -1


def test_keys_do_not_share(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 1)
    assert counters.take(quota, key="a").granted
    assert counters.take(quota, key="b").granted
    assert not counters.take(quota, key="a").granted


def test_of_several_all_are_charged_or_none(counters: Counted, algorithm: str) -> None:
    wide, narrow = usual(algorithm, 10), usual(algorithm, 2)
    assert all(grant.granted for grant in counters.take_all(("w", wide, 2), ("n", narrow, 2)))
    both = counters.take_all(("w", wide, 1), ("n", narrow, 1))
    assert [grant.granted for grant in both] == [True, False]
    assert counters.take(wide, 8, key="w").granted


def test_best_effort_grants_what_is_left(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    amounts = [counters.take(quota, 4, best_effort=True).amount for _ in range(4)]
    assert amounts == [4, 4, 2, 0]
    refused = counters.take(quota, 4, best_effort=True)
    assert (refused.granted, refused.remaining) == (False, 0)
    assert refused.retry_after_us > 0


def test_best_effort_grants_of_too_much_what_ever_passes(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    granted = counters.take(quota, 2**52, best_effort=True)
    assert (granted.granted, granted.amount, granted.remaining) == (True, 10, 0)


def test_best_effort_grants_of_several_what_all_can(counters: Counted, algorithm: str) -> None:
    wide, narrow = usual(algorithm, 10), usual(algorithm, 3)
    both = counters.take_all(("w", wide, 5), ("n", narrow, 5), best_effort=True)
    assert [(grant.amount, grant.remaining) for grant in both] == [(3, 7), (3, 0)]
    both = counters.take_all(("w", wide, 5), ("n", narrow, 5), best_effort=True)
    assert [grant.granted for grant in both] == [True, False]
    assert counters.take(wide, 7, key="w").granted


def test_all_or_nothing_grants_all_or_nothing(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    assert [counters.take(quota, amount).amount for amount in (6, 6, 4)] == [6, 0, 4]


def test_an_id_is_charged_once(counters: Counted, algorithm: str) -> None:
    quota, retried = usual(algorithm, 10), Dedup("a", "1")
    first = counters.take(quota, 4, dedup=retried)
    counters.clock.now_us += 1_000
    second = counters.take(quota, 4, dedup=retried)
    assert second == first._replace(reset_us=first.reset_us - 1_000)
    assert counters.take(quota, 0).remaining == 6
    assert counters.take(quota, 4, dedup=Dedup("a", "2")).remaining == 2


def test_an_id_is_its_callers_and_its_counters(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    for dedup in (Dedup("a", "bc"), Dedup("ab", "c"), Dedup("b", "bc")):
        counters.take(quota, 2, dedup=dedup)
    assert counters.take(quota, 0).remaining == 4
    assert counters.take(quota, 2, key="other", dedup=Dedup("a", "bc")).remaining == 8


def test_an_id_is_forgotten_after_a_minute(counters: Counted, algorithm: str) -> None:
    quota, retried = lasting(algorithm, 10), Dedup("a", "1")
    assert counters.take(quota, 9, dedup=retried).amount == 9
    counters.clock.now_us += 60 * SECOND - 1
    assert counters.take(quota, 9, dedup=retried).amount == 9
    counters.clock.now_us += 1
    assert not counters.take(quota, 9, dedup=retried).granted


def test_a_refused_id_may_try_again(counters: Counted, algorithm: str) -> None:
    quota, retried = usual(algorithm, 10), Dedup("a", "1")
    counters.take(quota, 10)
    refused = counters.take(quota, 5, dedup=retried)
    assert not refused.granted
    counters.clock.now_us += refused.retry_after_us
    assert counters.take(quota, 5, dedup=retried).granted


def test_an_id_keeps_a_best_effort_grant_of_several(counters: Counted, algorithm: str) -> None:
    wide, narrow = usual(algorithm, 10), usual(algorithm, 3)
    both = ("w", wide, 5), ("n", narrow, 5)
    first = counters.take_all(*both, best_effort=True, dedup=Dedup("a", "1"))
    assert counters.take_all(*both, best_effort=True, dedup=Dedup("a", "1")) == first
    assert counters.take(wide, 0, key="w").remaining == 7


def test_a_raised_limit_counts_at_once(counters: Counted, algorithm: str) -> None:
    counters.take(usual(algorithm, 2), 2)
    counters.clock.now_us += SECOND // 2
    assert counters.take(usual(algorithm, 100), 10).granted


def test_a_lowered_limit_counts_at_once_and_recovers(counters: Counted, algorithm: str) -> None:
    counters.take(usual(algorithm, 100), 100)
    lower = usual(algorithm, 3)
    assert counters.take(lower).remaining == 0
    counters.clock.now_us += lower.window_us
    assert counters.take(lower, 3).granted


def test_a_clock_that_steps_back_costs_at_most_one_window(
    counters: Counted, algorithm: str
) -> None:
    quota = usual(algorithm, 2)
    counters.take(quota, 2)
    counters.clock.now_us -= 3600 * SECOND
    counters.take(quota)
    counters.clock.now_us += quota.window_us
    assert counters.take(quota).granted


def test_what_is_given_back_can_be_taken_again(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    counters.take(quota, 10)
    assert counters.give_back(quota, 4) == 4
    assert [counters.take(quota, amount).granted for amount in (5, 4, 1)] == [False, True, False]


def test_no_more_is_given_back_than_is_used(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    assert counters.give_back(quota, 3) == 0
    counters.take(quota, 2)
    assert counters.give_back(quota, 2**52) == 2
    assert counters.take(quota, 10).remaining == 0


def test_giving_back_tells_how_things_stand(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    counters.take(quota, 6)
    given = counters.take(quota, -4)
    assert (given.granted, given.amount, given.remaining, given.retry_after_us) == (True, -4, 8, 0)


def test_of_a_refused_group_nothing_is_given_back(counters: Counted, algorithm: str) -> None:
    wide, narrow = usual(algorithm, 10), usual(algorithm, 2)
    counters.take(wide, 5, key="w")
    both = counters.take_all(("w", wide, -3), ("n", narrow, 3))
    assert [grant.granted for grant in both] == [True, False]
    assert counters.used(wide, key="w") == 5
    counters.take_all(("w", wide, -3), ("n", narrow, 3), best_effort=True)
    assert (counters.used(wide, key="w"), counters.used(narrow, key="n")) == (2, 2)


def test_it_can_be_given_back_where_it_was_counted_and_nowhere_else(
    counters: Counted, algorithm: str
) -> None:
    quota = usual(algorithm, 10)
    first = counters.take(quota, 6)
    assert counters.give_back(quota, 2, slot=first.slot) == 2
    counters.clock.now_us += first.reset_us
    counters.take(quota, 5)
    counters.give_back(quota, 4, slot=first.slot)
    expected = 1 if algorithm == "token-bucket" else 5  # tokens are alike, whenever taken
    assert counters.used(quota) == expected


def test_a_peek_says_what_a_charge_would_and_changes_nothing(
    counters: Counted, algorithm: str
) -> None:
    quota = usual(algorithm, 10)
    for amount in (4, 7, 0, -2, 2**52):
        peeked = [counters.peek(quota, amount) for _ in range(2)]
        assert peeked == [counters.take(quota, amount)] * 2


def test_a_peek_at_more_than_a_lowered_limit_mends_nothing(
    counters: Counted, algorithm: str
) -> None:
    counters.take(usual(algorithm, 100), 100)
    counters.peek(usual(algorithm, 3), 1)
    assert not counters.take(usual(algorithm, 100)).granted


def test_usage_lists_who_used_most(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    for key, amount in (("ann", 3), ("bob", 10), ("cid", 1), ("dan", 0)):
        counters.take(quota, amount, key)
    usage = counters.usage(quota)
    found = [(use.shown, use.used, use.limit, use.remaining) for use in usage.entries]
    assert (found, usage.complete) == (
        [("bob", 10, 10, 0), ("ann", 3, 10, 7), ("cid", 1, 10, 9)],
        True,
    )
    assert usage.entries[1].reset_us == counters.peek(quota, key="ann").reset_us
    assert [use.shown for use in counters.usage(quota, top=1).entries] == ["bob"]


def test_usage_lists_the_counters_of_all_limits_that_are_asked_for(
    counters: Counted, algorithm: str
) -> None:
    quota, other = usual(algorithm, 10), usual("token-bucket", 20)
    changed = usual("token-bucket" if algorithm != "token-bucket" else "fixed-window", 10)
    usage = counters.usage_of(
        ("0", quota, 2), ("big.0", other, 5), ("1", quota, 9), ("2", changed, 3),
        asked={"0": quota, "big.0": other, "2": quota, "3": quota},
    )  # fmt: skip
    found = [(use.limit_id, use.shown, use.used, use.limit) for use in usage.entries]
    assert found == [("big.0", "k", 5, 20), ("0", "k", 2, 10)]


def test_usage_forgets_what_has_run_out(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    granted = counters.take(quota, 3)
    counters.clock.now_us += granted.reset_us
    assert counters.usage(quota).entries == ()


def test_a_reset_counter_starts_afresh(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    counters.take(quota, 10, "ann")
    counters.take(quota, 10, "bob")
    assert counters.reset(quota, "ann", "nobody") == 1
    assert counters.take(quota, 10, "ann").granted
    assert not counters.take(quota, 1, "bob").granted


def test_only_what_is_held_is_released(counters: Counted, algorithm: str) -> None:
    quota = usual(algorithm, 10)
    counters.take(quota, 4, lease="request")
    held = 4 if ALGORITHMS[algorithm].held else 0
    assert [counters.release("request") for _ in range(2)] == [held, 0]
    assert counters.used(quota) == 4 - held
