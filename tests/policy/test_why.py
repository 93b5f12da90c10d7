"""Why a match does not hold."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.expression import checked, compile_match
from policy.expression.why import Failure, Fault, terms_of, why_not
from policy.expression.written import written
from tests.policy.expressions import BAGS, MATCHES

BAG: dict[str, Any] = {
    "source.service": "web",
    "destination.service": "cart.shop",
    "request.method": "PUT",
    "request.path": "/pay",
    "request.size": 5,
    "request.headers": {"x-usr": "ann", "accept": "*/*"},
    "connection.mtls": False,
    "response.duration": timedelta(seconds=2),
    "origin.user": b"no text",
}


def failure(text: str) -> Failure:
    found = why_not(text, BAG)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "fault", "reason"),
    [
        ('destination.service == "cart"', Fault.FALSE, 'destination.service is "cart.shop"'),
        ('"cart" == destination.service', Fault.FALSE, 'destination.service is "cart.shop"'),
        ('request.method in ["GET", "HEAD"]', Fault.FALSE, 'request.method is "PUT"'),
        ('request.path.startsWith("/cart")', Fault.FALSE, 'request.path is "/pay"'),
        ('match(request.path, "/cart/*")', Fault.FALSE, 'request.path is "/pay"'),
        ("request.size > 10", Fault.FALSE, "request.size is 5"),
        ('response.duration > "5m"', Fault.FALSE, "response.duration is 2s"),
        ("connection.mtls", Fault.FALSE, "connection.mtls is false"),
        ("source.service == request.method", Fault.FALSE,
         'source.service is "web" and request.method is "PUT"'),
        ('request.headers["x-user"] == "ann"', Fault.FALSE, "request.headers has no x-user"),
        ('"x-user" in request.headers', Fault.FALSE, "request.headers has no x-user"),
        ('request.headers["x-user"] | "nobody" == "ann"', Fault.FALSE,
         'request.headers["x-user"] | "nobody" is "nobody"'),
        ('!(source.service == "web")', Fault.FALSE,
         'source.service == "web" holds, and is negated'),
        ('source.user == "ann"', Fault.ABSENT, "source.user is absent"),
        ('!(source.user == "ann")', Fault.ABSENT, "source.user is absent"),
        ('ip(request.headers["x-usr"]) == ip("10.1.2.3")', Fault.FAILED,
         "'ann' is not an IP address"),
        ('origin.user.startsWith("a")', Fault.TYPE,
         "origin.user is 6e6f2074657874, which is no STRING"),
        ("false", Fault.FALSE, "it never holds"),
    ],
)  # fmt: skip
def test_the_reason_is_what_the_term_read(text: str, fault: Fault, reason: str) -> None:
    found = failure(text)
    assert (found.fault, found.reason) == (fault, reason)


def test_the_first_term_that_fails_is_told_with_its_place() -> None:
    found = failure('source.service == "web" &&\n  (request.size > 10 && source.user == "ann")')
    assert (found.term, found.line, found.column) == ("request.size > 10", 2, 4)
    assert found.read == {"request.size": "5"}


def test_what_is_absent_is_named_with_what_may_have_been_meant() -> None:
    found = failure('request.headers["x-user"] == "ann" && source.user == "ann"')
    assert (found.absent, found.near) == (
        ("request.headers[x-user]",), ("request.headers[x-usr]",)
    )  # fmt: skip
    assert failure('source.services == "web"').near == ("source.service",)


def test_of_alternatives_each_is_told() -> None:
    found = failure('request.size > 10 || source.service == "api" || connection.mtls')
    assert found.reason == "none of its 3 alternatives holds"
    assert [each.reason for each in found.alternatives] == [
        "request.size is 5", 'source.service is "web"', "connection.mtls is false",
    ]  # fmt: skip


def test_a_fault_ends_the_alternatives() -> None:
    found = failure('source.user == "ann" || source.service == "web"')
    assert found.fault is Fault.ABSENT
    assert [each.term for each in found.alternatives] == ['source.user == "ann"']


def test_the_empty_match_has_no_terms() -> None:
    assert terms_of(" ") == ()
    assert why_not("", {}) is None


@given(MATCHES, BAGS)
def test_a_reason_is_found_exactly_when_the_match_does_not_hold(
    text: str, bag: dict[str, Any]
) -> None:
    assert (why_not(text, bag) is None) is compile_match(text).test(bag)


@given(MATCHES, st.lists(BAGS, min_size=3, max_size=3))
def test_a_tree_written_out_means_the_same(text: str, bags: list[dict[str, Any]]) -> None:
    again = written(checked(text)[0])
    assert written(checked(again)[0]) == again
    for bag in bags:
        assert compile_match(again).test(bag) is compile_match(text).test(bag)


@pytest.mark.parametrize(
    "text",
    [
        'source.service == "a\\"\\\\\\n\\u0007é"',
        "source.service == '5m' && response.duration == \"5m\"",
        'response.duration > "-1500ms" || response.duration == "7us"',
        'source.ip == ip("10.1.2.3") || origin.ip in [ip("::1"), ip("10.1.2.3")]',
        'context.time < timestamp("2026-01-02T03:04:05.5Z")',
        'dnsName(source.service) == dnsName("A.b.") && email("a@b.c") != email("a@b.d")',
        'uri(request.path) == uri("http://x/y")',
        '(emptyStringMap() | request.headers)["a"] == "b"',
        "request.size + 2 > -3 && connection.mtls == true",
        'reverse(source.service) == "bew" && "^w".matches(source.service)',
        'conditional(connection.mtls, source.service, "x") == "x" && !("a" in request.headers)',
    ],
)
def test_every_kind_of_literal_and_call_is_written_out(text: str) -> None:
    once = written(checked(text)[0])
    assert written(checked(once)[0]) == once
    assert compile_match(once).reads == compile_match(text).reads
