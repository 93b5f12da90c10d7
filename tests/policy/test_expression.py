from datetime import timedelta
from typing import Any

import pytest

from policy.attributes import ValueType
from policy.errors import EvaluationFailed, InvalidRule
from policy.expression import compile_dimension, compile_expression, compile_match, recorded

INT64 = ValueType.INT64

BAG: dict[str, Any] = {
    "source.service": "a",
    "destination.service": "b",
    "destination.port": 80,
    "connection.mtls": True,
    "request.path": "/shop/cart",
    "request.headers": {"x-user": "ann"},
    "response.duration": timedelta(seconds=2),
    "source.ip": b"\x0a\x01\x02\x03",
    "origin.ip": bytes(10) + b"\xff\xff\x0a\x01\x02\x03",
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", True),
        ("  \n", True),
        ("true", True),
        ("False", False),
        ('source.service == "a"', True),
        ('source.service != "a"', False),
        ("source.service == `a` && destination.port == 80", True),
        ('source.service == "z" || destination.port < 81', True),
        ("!connection.mtls", False),
        ("!(destination.port >= 81)", True),
        ('request.headers["x-user"] == "ann"', True),
        ('request.headers["x-other"] == ""', True),
        ('request.headers["x-other"] | "none" == "none"', True),
        ('response.headers["x"] | source.user | "none" == "none"', True),
        ('(source.user | "z") | "y" == "z"', True),
        ('request.headers[source.user] | "none" == "none"', True),
        ('request.path.startsWith("/shop")', True),
        ('request.path.endsWith("/cart") && request.path.startsWith("/cart")', False),
        ('request.headers["x-user"].startsWith("an")', True),
        ('match(request.path, "/shop/*")', True),
        ('match(request.path, "*/cart")', True),
        ('match(request.path, "/shop")', False),
        ("match(request.path, request.path)", True),
        ('request.path.matches("^/shop/[a-z]+$")', True),
        ('"c.rt".matches(request.path)', True),
        ('conditional(connection.mtls, "yes", "no") == "yes"', True),
        ('response.duration > "1500ms"', True),
        ("source.ip == origin.ip", True),
        ("true == (destination.port > 79)", True),
        (r'"\x61\u0062" == "ab"', True),
        ("'5m' == '5m'", True),
        ('source.service + "/" + destination.service == "a/b"', True),
        ('source.user | "no" + "body" == "nobody"', True),
        ("destination.port + 1 == 81", True),
        ('(response.headers | request.headers)["x-user"] == "ann"', True),
        ('(source.labels | emptyStringMap())["x"] == ""', True),
        ('request.headers[toLower("X-User")] == "ann"', True),
        ('source.ip == ip("::ffff:10.1.2.3") && ip("10.1.2.3") == source.ip', True),
        ('source.ip | ip("10.0.0.1") != ip("10.1.2.3")', False),
        ('size("é") == 2 && reverse(source.service + "b") == "ba".reverse().reverse()', True),
        ('conditionalString(connection.mtls, source.service, source.user) == "a"', True),
        ("request.path.matches(request.path)", True),
        ("destination.port > -1 && -1.5 < 0.0 && destination.port + -80 == 0", True),
        ("-9223372036854775808 < destination.port", True),
        ('"x-user" in request.headers && !("x-other" in request.headers)', True),
        ('source.service in ["b", `a`]', True),
        ('source.user | "z" in ["b", "a"]', False),
        ("destination.port in [80, 443] == connection.mtls", True),
        ('origin.ip in [ip("10.1.2.3"), ip("::1")]', True),
        ('response.duration in ["2000ms"] && !(response.duration in ["2m"])', True),
        ("source.service.matches(request.path)", True),
        ('destination.service == "b"\n  && source.service == "a"', True),
    ],
)
def test_an_expression_is_evaluated(expression: str, expected: bool) -> None:
    assert bool(compile_match(expression).test(BAG)) is expected


@pytest.mark.parametrize(
    "expression",
    [
        'source.user == "a"',
        'source.user != "a"',
        '!(source.user == "a")',
        'response.headers["x"] == ""',
        'source.user | source.uid == "a"',
        'source.user.startsWith("a") || true',
        'source.user.startsWith("a") | true',
        'source.user + "x" | "y" != ""',
        '!("x" in response.headers)',
        '!(source.user in ["a"])',
        'ip(source.user) | source.ip == ip("10.1.2.3")',
        '(response.headers | source.labels)["x"] == ""',
    ],
)
def test_an_absent_attribute_is_no_match(expression: str) -> None:
    assert not compile_match(expression).test(BAG)


def test_the_side_not_evaluated_may_be_absent() -> None:
    assert compile_match('true || source.user == "a"').test(BAG)
    assert not compile_match('false && source.user == "a"').test(BAG)


def test_a_value_of_another_type_than_the_vocabularys_is_no_match() -> None:
    assert not compile_match("destination.port < 81").test({"destination.port": "80"})
    assert not compile_match('request.headers["x"] == ""').test({"request.headers": 7})
    assert not compile_match("source.ip == origin.ip").test({"source.ip": "x", "origin.ip": b"yy"})


def test_text_that_is_no_unicode_does_not_reach_the_regular_expression() -> None:
    assert not compile_match('request.path.matches("x")').test({"request.path": "\ud800"})


@pytest.mark.parametrize(
    ("expression", "line", "column", "reason"),
    [
        ('surce.service == "a"', 1, 1, "unknown attribute surce.service; did you mean source.serv"),
        ("source.service == 1", 1, 19, "the literal is INT64, expected STRING"),
        ('source.service == "a" &&\n  destination.port == "b"', 2, 23, "STRING, expected INT64"),
        ("destination.port == source.service", 1, 21, "source.service is STRING, expected INT64"),
        ("source.service", 1, 1, "the expression is STRING, expected BOOL"),
        ("source.service && true", 1, 1, "attribute source.service is STRING, expected BOOL"),
        ("connection.mtls < true", 1, 1, "attribute connection.mtls is BOOL, < needs"),
        ('source.service["a"] == "b"', 1, 1, "expected STRING_MAP before ["),
        ('request.headers[1] == "b"', 1, 17, "the literal is INT64, expected STRING"),
        ('request.headers == "b"', 1, 1, "request.headers is STRING_MAP, == needs"),
        ('source.service == "5m"', 1, 19, "expected STRING; a text that reads as a duration"),
        ('source.service | 1 == "a"', 1, 18, "the literal is INT64, expected STRING"),
        ("a = 2", 1, 3, "expected ==, found ="),
        ("true & false", 1, 6, "expected &&, found &"),
        ("@23", 1, 1, "unexpected character '@'"),
        ('"abc', 1, 1, "no closing quote"),
        (r'"\q" == "q"', 1, 1, r"unknown escape \q"),
        ("0x10 == 16", 1, 1, "not a decimal number"),
        ("9223372036854775808 == 1", 1, 1, "more than 64 bits"),
        ("1e999 == 1.0", 1, 1, "more than a DOUBLE"),
        ("(true", 1, 6, "expected ), found the end"),
        ("true false", 1, 6, "expected an operator or the end, found false"),
        ("&& true", 1, 1, "expected an attribute"),
        ("nosuch(true)", 1, 1, "unknown function nosuch; there are"),
        ('startsWith("a")', 1, 1, "write it value.startsWith(...)"),
        ('request.path.match("a")', 1, 14, "write it match(...)"),
        ('request.path.startsWith("a", "b")', 1, 14, "takes 1 arguments, not 2"),
        ("request.path.startsWith(1)", 1, 25, "the literal is INT64, expected STRING"),
        ('conditional(true, "a", 1) == "a"', 1, 24, "the literal is INT64, expected STRING"),
        ('request.path.matches("(")', 1, 22, "not a regular expression of RE2"),
        ("source.service | connection.mtls == true", 1, 18, "BOOL, expected STRING"),
        ('source.service + 1 == "a"', 1, 18, "the literal is INT64, expected STRING"),
        ("connection.mtls + true", 1, 1, "attribute connection.mtls is BOOL, + needs"),
        ("+source.service", 1, 1, "expected an attribute"),
        ('(source.service | "x")["k"] == ""', 1, 2, "expected STRING_MAP before ["),
        ('dnsName("a.b") == source.service', 1, 19, "is STRING, expected DNS_NAME"),
        ('source.ip < ip("10.0.0.1")', 1, 1, "attribute source.ip is IP_ADDRESS, < needs"),
        ("-source.service", 1, 2, "expected a number, found source.service"),
        ("destination.port -1", 1, 18, "expected an operator or the end, found -"),
        ("-9223372036854775809 == 1", 1, 2, "more than 64 bits"),
        ('source.service in ["a", 1]', 1, 25, "the literal is INT64, expected STRING"),
        ('source.service in ["a", source.user]', 1, 25, "a list is of literals"),
        ("source.service in []", 1, 20, "expected an attribute"),
        ('["a"] == "a"', 1, 1, "expected an attribute"),
        ('source.service in "a"', 1, 19, "STRING, expected STRING_MAP or a list after in"),
        ("destination.port in request.headers", 1, 1, "is INT64, expected STRING"),
        ('request.headers in ["a"]', 1, 1, "request.headers is STRING_MAP, in needs"),
        ("emptyStringMap(1)", 1, 1, "takes 0 arguments, not 1"),
        ('matches("aaa")', 1, 1, "write it value.matches(...)"),
        ('request.path.matches("((a{100}){100}){100}")', 1, 22, "not a regular expression of RE2"),
    ],
)
def test_a_bad_expression_is_refused_with_its_place(
    expression: str, line: int, column: int, reason: str
) -> None:
    with pytest.raises(InvalidRule) as refusal:
        compile_match(expression)
    assert (refusal.value.line, refusal.value.column) == (line, column)
    assert reason in refusal.value.reason


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(" * 33 + "true" + ")" * 33, "nested deeper than 32"),
        ("!" * 5000, "longer than 4096 bytes"),
        ("!" * 4000 + "true", "nested deeper than 32"),
        ("true" + " == true" * 100, "nested deeper than 32"),
        ('"a"' + ' | "b" + "c"' * 40 + ' == "a"', "nested deeper than 32"),
        ("true && " * 300 + "true", "more than 256 terms"),
        ("é" * 2049, "longer than 4096 bytes"),
        ('request.path.startsWith("a")' + '.startsWith("a")' * 50, "nested deeper than 32"),
    ],
)
def test_a_bomb_is_refused(expression: str, reason: str) -> None:
    with pytest.raises(InvalidRule, match=reason):
        compile_match(expression)


def test_a_long_chain_is_one_level_deep() -> None:
    either = " || ".join(f'source.service == "s{number}"' for number in range(80))
    assert compile_match(f'{either} || source.service == "a"').test(BAG)
    first = " | ".join(["source.user"] * 120)
    assert compile_match(f'{first} | "z" == "z"').test(BAG)


def test_a_regular_expression_does_not_backtrack() -> None:
    match = compile_match('request.path.matches("^(a+)+$")')
    # Backtracking would never end; the suite's own timeout is the limit.
    assert not match.test({"request.path": "a" * 50_000 + "!"})


def test_a_regular_expression_that_comes_with_the_request_is_bounded() -> None:
    match = compile_match("request.path.matches(source.service)")
    assert match.test({"request.path": "^a.c$", "source.service": "abc"})
    for pattern in ("(", "a" * 257, "((a{100}){100}){100}"):
        assert not match.test({"request.path": pattern, "source.service": pattern})


def test_what_needs_the_most_parentheses_of_python_is_still_compiled() -> None:
    key, test = "source.service", "true"
    for _ in range(30):
        key = f'(request.headers | response.headers)[{key}] | "x"'
        test = f"connection.mtls || connection.mtls && connection.mtls | ({test})"
    assert not compile_match(f'{key} == "a"').test(BAG)
    assert compile_match(test).test(BAG)


def test_code_does_not_enter_through_literals_or_names() -> None:
    hostile = "') or __import__('os').abort() or ('"
    assert not compile_match(f'source.service == "{hostile}"').test(BAG)
    with pytest.raises(InvalidRule):
        compile_match("__import__('os')")
    with pytest.raises(InvalidRule):
        compile_match('request.path.__class__("a")')


def test_the_destination_is_found_in_a_conjunction_only() -> None:
    assert compile_match('destination.service == "b" && connection.mtls').service == "b"
    assert compile_match('connection.mtls && ("b" == destination.service)').service == "b"
    assert compile_match('destination.service == "b" || connection.mtls').service is None
    assert compile_match('!(destination.service == "b")').service is None
    assert compile_match('destination.service != "b"').service is None


def test_what_an_expression_reads_is_known_and_recorded() -> None:
    match = compile_match('source.service == "a" && request.headers["x-user"] | source.user != ""')
    assert match.reads == (
        ("source.service", None),
        ("request.headers", "x-user"),
        ("source.user", None),
    )
    assert recorded(match.reads, BAG) == {"source.service": "a", "request.headers[x-user]": "ann"}


def test_looking_for_an_entry_reads_it() -> None:
    assert compile_match('"k" in request.headers').reads == (("request.headers", "k"),)


def test_the_entry_read_of_one_of_two_maps_is_known() -> None:
    match = compile_match('conditional(connection.mtls, request.headers, source.labels)["k"] == ""')
    assert match.reads == (
        ("connection.mtls", None),
        ("request.headers", "k"),
        ("source.labels", "k"),
    )


def test_an_expression_of_any_type_says_why_it_has_no_value() -> None:
    assert compile_expression("request.headers").evaluate(BAG) == {"x-user": "ann"}
    assert compile_expression("a + b", {"a": INT64, "b": INT64}).evaluate({"a": 1, "b": 2}) == 3
    with pytest.raises(EvaluationFailed, match=r"source\.user is absent") as failure:
        compile_expression("source.service == source.user").evaluate(BAG)
    assert failure.value.absent == "source.user"
    with pytest.raises(EvaluationFailed, match="'a b' is not a DNS name") as failure:
        compile_expression('dnsName(source.service + " b")').evaluate(BAG)
    assert failure.value.absent == ""
    with pytest.raises(EvaluationFailed, match="not of its attribute's type"):
        compile_expression("toLower(source.service)").evaluate({"source.service": 7})


def test_a_dimension_is_text_and_empty_when_absent() -> None:
    assert compile_dimension("source.service").read(BAG) == "a"
    assert compile_dimension("destination.port").read(BAG) == "80"
    assert compile_dimension('request.headers["x-user"] | "nobody"').read(BAG) == "ann"
    assert compile_dimension("source.user").read(BAG) == ""
    with pytest.raises(InvalidRule, match="whole map"):
        compile_dimension("request.headers")
