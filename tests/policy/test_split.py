"""A quota split over sidecars: never more than its rate and burst, fair, and quick to follow."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.quota import Quota
from policy.quota.fair import fair
from policy.quota.parts import MAX_TOKENS, UNKNOWN, US, Claim, Holding, Settled, Split, Terms, fill
from policy.quota.split import LEAVES_US, LIVES_US, settle, terms_of
from tests.policy.mesh_model import Mesh, Sidecar

NOW_US = 1_000_000_000
FORTY = Terms(40.0, 40.0, 1)


def always(rate: float):
    return lambda _now_s: rate


def joined(split: Split | None, *names: str, terms: Terms = FORTY, now_us: int = NOW_US) -> Settled:
    claims = [Claim(name, name, UNKNOWN, 1, fresh=True) for name in names]
    return settle(split, terms, claims, now_us)


def rates(settled: Settled) -> dict[str, float]:
    return {name: holding.rate for name, holding in settled.split.holdings.items()}


@given(st.floats(1e-7, 1e12))
def test_a_rate_in_whole_tokens_and_seconds_is_hardly_less_and_never_more(rate):
    tokens, seconds = fill(rate)
    assert tokens / seconds <= rate * (1 + 1e-9)
    assert tokens / seconds >= min(rate * 0.98, MAX_TOKENS)


def test_a_rate_of_almost_nothing_is_none():
    assert fill(1e-9) == (0, 1)


@given(st.dictionaries(st.text(), st.floats(0, 1000)), st.floats(0.001, 1000))
def test_what_is_shared_is_all_there_is_and_nobody_with_less_could_have_more(wants, rate):
    shares = fair(wants, rate)
    assert sum(shares.values()) == pytest.approx(rate if wants else 0)
    if sum(wants.values()) > rate:
        most = max(shares.values())
        for name, share in shares.items():
            assert share == pytest.approx(wants[name]) or share == pytest.approx(most)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_more_than_rate_and_burst_pass_whatever_comes_and_goes(data):
    rate = data.draw(st.sampled_from([0.02, 0.3, 2.0, 10.0, 75.0]), "rate")
    burst = max(rate * data.draw(st.sampled_from([1, 1, 10]), "times"), 1.0)
    sidecars = []
    for number in range(data.draw(st.integers(1, 7), "sidecars")):
        before, after = (data.draw(st.floats(0, 2), "wanted") * rate for _ in range(2))
        turn_s, joins_s = data.draw(st.floats(5, 50)), data.draw(st.sampled_from([0.0, 0.0, 20.0]))
        leaves_s = data.draw(st.sampled_from([1e9, 1e9, 30.0]))
        sidecars.append(
            Sidecar(
                str(number),
                lambda now_s, a=before, b=after, turn_s=turn_s: a if now_s < turn_s else b,
                joins_s,
                leaves_s,
            )
        )
    mesh = Mesh(Terms(rate, burst, 1), sidecars)
    mesh.run(60)
    # The first request of a sidecar passes unasked, and is paid for afterwards.
    assert mesh.excess() <= mesh.burst + len(sidecars) + 1


@pytest.mark.parametrize(("rate", "count"), [(40, 4), (1000, 5), (12, 4)])
def test_who_want_the_same_get_the_same_and_together_nearly_all(rate, count):
    mesh = Mesh(Terms(rate, rate, 1), [Sidecar(str(n), always(rate)) for n in range(count)])
    mesh.run(60)
    passed = mesh.rates(30)
    assert sum(passed) > 0.93 * rate
    assert max(passed) < 1.2 * min(passed)


def test_who_want_little_get_it_and_the_others_have_the_rest():
    mesh = Mesh(Terms(100, 100, 1), [Sidecar("little", always(20)), Sidecar("much", always(300))])
    mesh.run(60)
    little, much = mesh.rates(30)
    assert little > 18
    assert much > 75


def test_who_come_later_get_as_much_as_the_first_within_two_reports():
    mesh = Mesh(FORTY, [Sidecar(str(n), always(60), joins_s=6.0 * n) for n in range(4)])
    mesh.run(30)
    mesh.run(20)
    passed = mesh.rates(20)
    assert max(passed) < 1.2 * min(passed)


def test_what_one_leaves_goes_to_the_others():
    mesh = Mesh(FORTY, [Sidecar("a", always(60)), Sidecar("b", always(60), leaves_s=20)])
    mesh.run(20)
    assert mesh.rates(5)[0] < 25
    mesh.run(18)
    assert mesh.rates(5)[0] > 36


def test_demand_that_moves_is_followed():
    mesh = Mesh(
        FORTY,
        [
            Sidecar("a", lambda now_s: 60 if now_s < 30 else 2),
            Sidecar("b", lambda now_s: 2 if now_s < 30 else 60),
        ],
    )
    mesh.run(29)
    first = mesh.rates(10)
    mesh.run(21)
    then = mesh.rates(5)
    assert first[0] > 35
    assert then[1] > 35


def test_tokens_too_few_for_all_go_round():
    terms = Terms(1 / 20, 1.0, 1)
    mesh = Mesh(terms, [Sidecar(str(n), always(2)) for n in range(3)])
    mesh.run(600)
    counts = [len(sidecar.passed) for sidecar in mesh.sidecars]
    assert sum(counts) > 0.8 * 600 / 20
    assert max(counts) - min(counts) <= 2
    assert mesh.excess() <= 1 + len(counts)


def test_many_who_want_nothing_keep_nobody_from_beginning():
    idle = [Sidecar(f"idle-{n}", lambda now_s: 5.0 if now_s < 1 else 0.0) for n in range(60)]
    mesh = Mesh(FORTY, [*idle, Sidecar("busy", always(60), joins_s=20)])
    mesh.run(60)
    assert mesh.rates(15)[-1] > 30


def test_an_unasked_first_request_is_paid_for():
    assert joined(None, "a").split.level == 40 - 1 - 30


def test_a_restarted_sidecar_gets_a_new_bucket_and_pays_again():
    first = joined(None, "a")
    again = joined(first.split, "a", now_us=NOW_US + US)
    assert again.renewed == {"a"}
    assert again.split.level < first.split.level
    assert again.split.level + again.split.holdings["a"].size <= 40


def test_one_who_only_reports_keeps_the_bucket_it_has():
    first = joined(None, "a")
    later = settle(first.split, FORTY, [Claim("a", "a", 60.0, 40)], NOW_US + 5 * US)
    assert later.split.holdings["a"][:3] == first.split.holdings["a"][:3]
    assert not later.renewed


def test_a_connection_lost_and_found_keeps_its_share():
    pair = joined(None, "a", "b")
    lost = settle(pair.split, FORTY, [Claim("a", "a", leaving=True)], NOW_US + US)
    found = settle(lost.split, FORTY, [Claim("a", "a2", 60.0)], NOW_US + 6 * US)
    assert found.split.holdings["a"][:3] == pair.split.holdings["a"][:3]


def test_a_lost_share_is_kept_back_a_while_and_then_given_to_others():
    pair = joined(None, "a", "b")
    lost = settle(pair.split, FORTY, [Claim("a", "a", leaving=True)], NOW_US + US)
    soon = settle(lost.split, FORTY, [Claim("b", "b", 60.0)], NOW_US + 6 * US)
    late = settle(soon.split, FORTY, [Claim("b", "b", 60.0)], NOW_US + US + LEAVES_US)
    assert rates(soon) == {"a": 20, "b": 20}
    assert rates(late) == {"b": 40}


def test_a_silent_share_is_kept_as_long_as_a_sidecar_may_hold_it():
    pair = joined(None, "a", "b")
    nearly = settle(pair.split, FORTY, [Claim("b", "b", 60.0)], NOW_US + LIVES_US - 1)
    after = settle(nearly.split, FORTY, [Claim("b", "b", 60.0)], NOW_US + LIVES_US)
    assert rates(nearly) == {"a": 20, "b": 20}
    assert rates(after) == {"b": 40}


def test_nothing_is_given_that_others_have_not_given_back():
    alone = joined(None, "a")
    both = settle(alone.split, FORTY, [Claim("b", "b", UNKNOWN, 1, fresh=True)], NOW_US + US)
    assert both.short
    assert both.split.holdings["a"].rate == 40
    assert both.split.holdings["b"].rate == 0
    given = settle(both.split, FORTY, [Claim("a", "a")], NOW_US + 2 * US)
    taken = settle(given.split, FORTY, [Claim("b", "b")], NOW_US + 2 * US)
    assert rates(taken)["a"] == rates(taken)["b"] > 18


def test_a_lower_limit_holds_at_once():
    pair = joined(None, "a", "b")
    claims = [Claim("a", "a"), Claim("b", "b")]
    lower = settle(pair.split, Terms(10.0, 10.0, 2), claims, NOW_US + US)
    assert sum(rates(lower).values()) <= 10
    assert lower.split.level + sum(h.size for h in lower.split.holdings.values()) <= 20


def test_a_higher_limit_is_given_to_those_who_want_more():
    pair = joined(None, "a", "b")
    claims = [Claim("a", "a", 60.0), Claim("b", "b", 60.0)]
    higher = settle(pair.split, Terms(80.0, 80.0, 2), claims, NOW_US + 5 * US)
    assert rates(higher) == {"a": 40, "b": 40}


def test_a_collector_that_has_not_heard_of_a_change_does_not_undo_it():
    new = joined(None, "a", terms=Terms(10.0, 10.0, 2))
    old = joined(new.split, "b", terms=FORTY, now_us=NOW_US + US)
    assert old.split.terms == Terms(10.0, 10.0, 2)
    late = joined(new.split, "b", terms=FORTY, now_us=NOW_US + 60 * US)
    assert late.split.terms == FORTY


def test_two_who_report_under_one_name_are_told_apart():
    first = joined(None, "a")
    twin = settle(first.split, FORTY, [Claim("a", "another", 9.0)], NOW_US + US)
    assert twin.twins == {"a"}
    assert twin.split.holdings["a"].owner == "a"
    moved = settle(first.split, FORTY, [Claim("a", "another", 9.0)], NOW_US + 5 * US)
    assert not moved.twins


def test_what_was_forgotten_is_taken_up_from_what_the_sidecar_holds():
    held = Holding(20, 1, 15, 60.0)
    found = settle(None, FORTY, [Claim("a", "a", 60.0, held=held), Claim("b", "b", held=held)], 5)
    assert rates(found) == {"a": 20, "b": 20}
    assert not found.renewed


@pytest.mark.parametrize(
    ("quota", "terms"),
    [
        (Quota("token-bucket", 100, US, 30), Terms(100.0, 100.0, 7)),
        (Quota("token-bucket", 60, 60 * US, 60), Terms(1.0, 60.0, 7)),
        (Quota("fixed-window", 600, 60 * US, 600), Terms(10.0, 10.0, 7)),
        (Quota("rolling-window", 1, 3600 * US, 1), Terms(1 / 3600, 1.0, 7)),
    ],
)
def test_every_limit_is_a_rate_and_a_burst(quota, terms):
    assert terms_of(quota, 7) == terms


def test_a_limit_of_requests_in_flight_is_none():
    assert terms_of(Quota("concurrency", 5, US, 5), 7) is None
