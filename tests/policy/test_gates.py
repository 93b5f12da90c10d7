"""Rules that refuse by themselves, and those that change what passes."""

from typing import Any

import pytest

from policy.attributes import AttributeBag
from policy.results import DecidedBy, HeaderOperation
from tests.policy.deciding import ask, decide, deciding
from tests.policy.objects import FROM_A_TO_B

SPIFFE = "spiffe://mesh/ns/shop/sa/cart"


def authorization(*allow: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "kind": "authorization",
        "name": "who",
        "match": FROM_A_TO_B,
        "allow": [*allow],
    } | fields


@pytest.mark.parametrize(
    ("entry", "bag", "passes"),
    [
        ({"principals": [SPIFFE]}, {"source.principal": SPIFFE}, True),
        ({"principals": ["spiffe://mesh/*"]}, {"source.principal": SPIFFE}, True),
        ({"principals": ["*/sa/cart"]}, {"source.principal": SPIFFE}, True),
        ({"principals": ["*"]}, {"source.principal": SPIFFE}, True),
        ({"principals": ["*"]}, {}, False),
        ({"principals": ["spiffe://other/*"]}, {"source.principal": SPIFFE}, False),
        ({"namespaces": ["shop"]}, {"source.principal": SPIFFE}, True),
        ({"namespaces": ["shop"]}, {"source.namespace": "shop"}, True),
        ({"namespaces": ["shop"]}, {"source.namespace": "x", "source.principal": SPIFFE}, False),
        ({"services": ["a"]}, {}, True),
        ({"services": ["aa"]}, {}, False),
        ({"methods": ["GET", "HEAD"]}, {}, True),
        ({"methods": ["POST"]}, {}, False),
        ({"paths": ["/cart/*"]}, {"request.path": "/cart/7?x=1"}, True),
        ({"paths": ["*.json"]}, {"request.path": "/cart.json?x=.xml"}, True),
        ({"paths": ["/cart"]}, {"request.url_path": "/cart", "request.path": "/other"}, True),
        ({"methods": ["GET"], "paths": ["/admin"]}, {"request.path": "/cart"}, False),
        ({}, {}, True),
    ],
)
def test_an_entry_lets_pass_what_fits_all_its_fields(
    entry: dict[str, Any], bag: dict[str, Any], passes: bool
) -> None:
    assert decide(deciding(authorization(entry)), bag).allowed is passes


def test_one_entry_of_several_is_enough_and_none_lets_nobody_pass() -> None:
    either = deciding(authorization({"methods": ["POST"]}, {"services": ["a"]}))
    assert decide(either).allowed
    nobody = decide(deciding(authorization(message="closed", http_status=404)))
    assert (nobody.allowed, nobody.decided_by) == (False, DecidedBy.DENY)
    assert (nobody.http_status, nobody.reason, nobody.rule) == (404, "closed", "who")


def test_an_authorization_concerns_only_what_it_matches() -> None:
    assert decide(deciding(authorization()), {"destination.service": "c"}).allowed


def test_gates_of_all_kinds_are_asked_by_priority_then_name() -> None:
    deny = {"kind": "deny", "name": "b"}
    assert decide(deciding(deny, authorization(name="c"))).rule == "b"
    assert decide(deciding(deny, authorization(name="a"))).rule == "a"
    assert decide(deciding(deny, authorization(name="c", priority=-1))).rule == "c"


def test_a_refusal_carries_its_rules_headers() -> None:
    told = decide(deciding({"kind": "deny", "name": "n", "headers": {"x-why": "so"}}))
    assert told.response_headers == (HeaderOperation("replace", "x-why", "so"),)


def headers(name: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "headers", "name": name, **fields}


SET_A = {"operation": "replace", "name": "a", "value": "1"}
ADD_B = {"operation": "append", "name": "b", "value": "2"}
DROP_C = {"operation": "remove", "name": "c"}


def test_headers_of_what_passes_are_changed_in_the_order_of_rules() -> None:
    engine = deciding(
        headers("two", request=[DROP_C]),
        headers("one", request=[SET_A], response=[ADD_B]),
        headers("not", request=[SET_A], match='destination.service == "c"'),
        headers("off", request=[SET_A], mode="disabled"),
    )
    decision = decide(engine)
    assert (decision.allowed, decision.decided_by) == (True, DecidedBy.DEFAULT)
    assert decision.request_headers == (
        HeaderOperation("replace", "a", "1"),
        HeaderOperation("remove", "c"),
    )
    assert decision.response_headers == (HeaderOperation("append", "b", "2"),)


def test_headers_are_changed_also_when_a_quota_let_it_pass_but_not_when_refused() -> None:
    quota = {"kind": "quota", "name": "q", "limit": 1, "window": 60}
    engine = deciding(headers("one", request=[SET_A]), quota)
    assert decide(engine).request_headers == (HeaderOperation("replace", "a", "1"),)
    refused = decide(engine)
    assert (refused.allowed, refused.request_headers) == (False, ())


def derive(name: str, match: str = "", **attributes: str) -> dict[str, Any]:
    return {"kind": "derive", "name": name, "match": match, "attributes": attributes}


def test_what_is_derived_is_seen_by_every_other_rule() -> None:
    tenant = {"derived[tenant]": 'request.headers["x-tenant"] | "none"'}
    engine = deciding(
        {"kind": "derive", "name": "tenant", "attributes": tenant},
        {"kind": "deny", "name": "no-none", "match": 'derived["tenant"] == "none"'},
        {
            "kind": "quota", "name": "per-tenant", "limit": 1, "window": 60,
            "dimensions": ['derived["tenant"]'],
        },
    )  # fmt: skip
    assert decide(engine).rule == "no-none"
    ann, bob = ({"request.headers": {"x-tenant": name}} for name in ("ann", "bob"))
    first, second, other = decide(engine, ann), decide(engine, ann), decide(engine, bob)
    assert (first.allowed, second.allowed, other.allowed) == (True, False, True)
    assert second.attributes == {"derived[tenant]": "ann"}


def test_a_derivation_never_replaces_what_is_there() -> None:
    engine = deciding(
        derive("first", **{"source.user": '"first"', "derived[x]": '"first"'}),
        derive("second", **{"source.user": '"second"', "derived[x]": '"second"'}),
        {"kind": "deny", "name": "n", "match": 'source.user == "first" && derived["x"] == "first"'},
    )
    assert decide(engine).rule == "n"
    assert decide(engine, {"source.user": "ann"}).allowed


def test_a_derived_destination_finds_the_rules_of_that_destination() -> None:
    engine = deciding(
        derive("name", 'request.host == "cart"', **{"destination.service": '"cart.shop"'}),
        {"kind": "deny", "name": "n", "match": 'destination.service == "cart.shop"'},
    )
    named, unnamed = ({"destination.service": "b"}, {})
    assert ask(engine, {"request.host": "cart", **unnamed}).rule == "n"
    assert ask(engine, {"request.host": "cart", **named}).allowed


def test_a_derivation_without_a_value_adds_nothing() -> None:
    engine = deciding(
        derive("d", **{"source.user": 'request.headers["x-user"]'}),
        {"kind": "deny", "name": "n", "match": 'source.user | "nobody" == "nobody"'},
    )
    assert decide(engine).rule == "n"


def test_a_shadow_gate_decides_nothing_and_says_what_it_would_have() -> None:
    engine = deciding(
        {"kind": "deny", "name": "soon", "mode": "shadow", "message": "closing", "version": 4},
        authorization({"services": ["a"]}, name="fine", mode="shadow"),
    )
    decision = decide(engine)
    assert (decision.allowed, decision.decided_by) == (True, DecidedBy.DEFAULT)
    said = {verdict.rule: verdict for verdict in decision.beside}
    assert (said["soon"].allowed, said["soon"].reason) == (False, "closing")
    assert (said["soon"].rule_version, said["soon"].live) == (4, None)
    assert said["fine"].allowed


def test_matches_are_counted_by_rule() -> None:
    engine = deciding(
        {"kind": "deny", "name": "n", "match": 'request.method == "PUT"'},
        {"kind": "quota", "name": "q", "limit": 9, "window": 60},
        headers("h", request=[SET_A]),
    )
    for method in ("GET", "PUT", "GET"):
        decide(engine, {"request.method": method})
    assert engine.counts.matched == {"n@0": 1, "q@0": 2, "h@0": 2}


def test_what_is_so_for_alike_requests_is_counted_when_there_were_some() -> None:
    engine = deciding(
        {"kind": "deny", "name": "no", "match": 'request.method == "PUT"'},
        {"kind": "deny", "name": "later", "priority": 1},
        {"kind": "deny", "name": "soon", "mode": "shadow"},
        {"kind": "quota", "name": "q", "limit": 9, "window": 60},
    )
    standing = engine.standing(AttributeBag({"request.method": "PUT"}))
    assert (engine.counts.matched, engine.counts.asked) == ({}, set())
    engine.count_alike(standing, 7)
    assert (engine.counts.matched, engine.counts.asked) == ({"no@0": 7, "soon@0": 7}, {""})
