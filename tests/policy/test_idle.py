"""Why a rule matched nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.explain.idle import Asked, Idle, TermCount, Why, why_idle
from policy.explain.instead import Instead
from policy.explain.sampled import references_of, sample_of
from policy.quota.memory import MemoryCounters
from policy.rules import rule_from_json
from policy.snapshot import compile_snapshot

Bag = Mapping[str, Any]
WEB = {"source.service": "web.shop", "destination.service": "cart.shop", "request.method": "GET"}
APP = WEB | {"source.service": "app.shop", "request.method": "PUT"}


def rule(match: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "quota", "name": "it", "match": match, "limit": 1, "window": 1} | fields


def why(document: Bag, bags: Sequence[Bag], *others: Bag, asked: Asked | None = None) -> Idle:
    """Of the first rule, after these requests."""
    documents = (document, *others)
    snapshot = compile_snapshot([rule_from_json(each) for each in documents], 1)
    engine, wanted = Engine(MemoryCounters(), snapshot), references_of(snapshot)
    samples = [sample_of(engine.values_of(AttributeBag(bag)), wanted) for bag in bags]
    compiled = snapshot.rules[document["name"]]
    service = compiled.match.service
    about = any(service in (None, each.destination) for each in samples)
    return why_idle(compiled, snapshot, samples, asked or Asked(bool(bags), about))


def test_without_checks_there_is_nothing_to_match() -> None:
    assert why(rule(""), []).why is Why.NO_CHECKS


def test_without_traffic_to_the_destination_the_nearest_ones_are_told() -> None:
    found = why(
        rule('destination.service == "cart"'),
        [WEB] * 3 + [WEB | {"destination.service": "pay.shop"}] * 5,
    )
    assert found.why is Why.NO_TRAFFIC
    assert found.seen == (Instead("cart.shop", 3), Instead("pay.shop", 5))
    assert found.reason == (
        'no check was about destination.service "cart"; '
        'there were checks about "cart.shop" (3), "pay.shop" (5)'
    )


def test_a_value_that_is_never_seen_is_told_with_those_that_are() -> None:
    found = why(
        rule('destination.service == "cart.shop" &&\n source.service == "web"'),
        [WEB] * 3 + [APP] * 9,
    )
    assert (found.why, found.sampled) == (Why.VALUES, 12)
    assert found.term == TermCount('source.service == "web"', 2, 2, holds=0, of=12)
    assert found.seen == (Instead("web.shop", 3), Instead("app.shop", 9))
    assert [(each.holds, each.of) for each in found.terms] == [(12, 12), (0, 12)]
    assert found.reason == (
        'source.service == "web" holds for none of 12 sampled requests; '
        'there was "web.shop" (3), "app.shop" (9)'
    )


@pytest.mark.parametrize(
    ("match", "seen"),
    [
        ('request.headers["x-user"] == "ann"', Instead("request.headers[x-usr]", 4)),
        ('request.headers["x-user"].startsWith("a")', Instead("request.headers[x-usr]", 4)),
        ('"x-user" in request.headers', Instead("request.headers[x-usr]", 4)),
        ('source.services == "web"', Instead("source.service", 4)),
    ],
)
def test_what_is_never_there_is_told_with_names_that_are_written_nearly_so(
    match: str, seen: Instead
) -> None:
    bag = WEB | {"request.headers": {"x-usr": "ann", "accept": "*/*"}}
    found = why(rule(match), [bag] * 4)
    assert (found.why, found.seen) == (Why.ABSENT, (seen,))
    assert "was in none of 4 sampled requests; there was" in found.reason


def test_a_value_of_another_type_is_told() -> None:
    found = why(rule("request.size > 3"), [WEB | {"request.size": "12"}])
    assert (found.why, found.reason) == (
        Why.TYPE, 'request.size > 3 fails: request.size is "12", which is no INT64'
    )  # fmt: skip


def test_terms_that_never_hold_together_are_told() -> None:
    found = why(rule('source.service == "web.shop" && request.method == "PUT"'), [WEB, APP, APP])
    assert (found.why, [each.holds for each in found.terms]) == (Why.TOGETHER, [1, 2])


def gate(name: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "deny", "name": name} | fields


@pytest.mark.parametrize(
    "document",
    [
        rule('source.service == "web.shop"'),
        rule('source.service == "web.shop"', mode="shadow"),
        gate("it", match='source.service == "web.shop"', priority=1),
        {"kind": "headers", "name": "it", "match": 'source.service == "web.shop"',
         "request": [{"operation": "remove", "name": "x"}]},
    ],
    ids=["quota", "shadow quota", "gate", "headers"],
)  # fmt: skip
def test_a_gate_that_refuses_all_of_it_before_is_named(document: Bag) -> None:
    closed = gate("closed", match='source.service != "app.shop"')
    found = why(document, [WEB] * 2 + [APP], closed)
    assert (found.why, found.by) == (Why.REFUSED_BEFORE, "closed")
    assert found.reason == (
        "rule closed refuses 2 of 2 sampled requests it matches, before"
    )  # fmt: skip


def test_a_gate_that_is_asked_later_or_lets_some_pass_keeps_nothing_from_it() -> None:
    later = why(gate("it"), [WEB], gate("later", priority=1))
    some = why(rule(""), [WEB, APP], gate("some", match='source.service == "web.shop"'))
    assert (later.why, some.why) == (Why.MATCHES, Why.MATCHES)


def test_a_gate_that_reads_what_is_not_kept_is_not_accused() -> None:
    anonymous = gate("anonymous", match='request.headers["authorization"] | "" == ""')
    asked = WEB | {"request.headers": {"authorization": "Bearer x"}}
    assert why(rule(""), [asked], anonymous).why is Why.MATCHES
    assert why(rule(""), [WEB | {"request.headers": {}}], anonymous).by == "anonymous"


def test_headers_are_for_requests_that_pass() -> None:
    document = {"kind": "headers", "name": "it",
                "request": [{"operation": "remove", "name": "x"}]}  # fmt: skip
    found = why(document, [WEB, APP])
    assert (found.why, found.reason) == (
        Why.NOT_PASSED, "2 of 2 sampled requests match, and none passed"
    )  # fmt: skip


def test_what_is_derived_counts() -> None:
    tenant = {"kind": "derive", "name": "tenant",
              "attributes": {"derived[tenant]": 'source.labels["tenant"] | "none"'}}  # fmt: skip
    found = why(rule('derived["tenant"] == "acme"'), [WEB] * 2, tenant)
    assert (found.why, found.seen) == (Why.VALUES, (Instead("none", 2),))


def test_of_what_is_not_kept_nothing_is_said() -> None:
    credential = WEB | {"request.headers": {"authorization": "Bearer x"}}
    match = 'request.headers["authorization"] == "Bearer y"'
    assert why(rule(match), [credential]).why is Why.NOT_SAMPLED
    assert why(rule(match), [WEB | {"request.headers": {}}]).why is Why.ABSENT
    unsampled = why(rule('destination.service == "x"'), [WEB], asked=Asked(any=True, about=True))
    assert (unsampled.why, unsampled.reason) == (
        Why.NOT_SAMPLED, "none of the checks about it was sampled yet"
    )  # fmt: skip


def test_a_map_that_is_never_there_is_told_before_its_entries() -> None:
    found = why(rule('request.headers["x-user"] == "ann"'), [WEB | {"source.labels": {"x": "y"}}])
    assert (found.why, found.reason) == (
        Why.ABSENT, "request.headers was in none of 1 sampled requests"
    )  # fmt: skip


def test_an_entry_that_some_lack_with_the_whole_map_is_told() -> None:
    with_headers = WEB | {"request.headers": {"x-usr": "ann"}}
    found = why(rule('request.headers["x-user"] == "ann"'), [WEB, with_headers])
    assert (found.why, found.seen) == (Why.ABSENT, (Instead("request.headers[x-usr]", 1),))


def test_checks_that_have_no_destination_are_told() -> None:
    found = why(rule('destination.service == "cart"'), [{"source.service": "web"}])
    assert found.why is Why.NO_TRAFFIC
    assert found.reason.endswith('"cart"; those there were had no destination.service')


def test_what_only_other_collectors_were_asked_about_is_told() -> None:
    found = why(rule(""), [], asked=Asked(any=False, about=False, elsewhere=True))
    assert found.why is Why.ELSEWHERE
