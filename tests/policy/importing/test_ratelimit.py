"""envoyproxy/ratelimit's configuration as rules, as people read them."""

import json
from typing import Any

import pytest

from policy.importing import Severity
from policy.rules import rule_from_json
from tests.policy.deciding import ask, deciding
from tests.policy.importing.importing import clean, imported, said

MESSAGING = """
domain: messaging
descriptors:
  # Only five marketing messages a day to any one number
  - key: message_type
    value: marketing
    descriptors:
      - key: to_number
        rate_limit:
          unit: day
          requests_per_unit: 5
  - key: to_number
    rate_limit:
      unit: DAY
      requests_per_unit: 100
"""
PER_IP = """
domain: edge_proxy_per_ip
descriptors:
  - key: remote_address
    rate_limit: {unit: second, requests_per_unit: 10}
  - key: remote_address
    value: 50.0.0.5
    rate_limit: {unit: second, requests_per_unit: 0}
  - key: remote_address
    value: 50.0.0.6
    rate_limit: {unit: hour, requests_per_unit: 500}
  - key: remote_address
    value: 50.0.0.7
  - key: remote_address
    value: 10.*
    share_threshold: true
    rate_limit: {unit: minute, requests_per_unit: 1000}
"""


def one(text: str) -> dict[str, Any]:
    (rule,) = clean(text).rules
    return rule


def limited(*descriptors: str, domain: str = "d") -> str:
    listed = "".join(f"\n- {descriptor}" for descriptor in descriptors)
    return f"domain: {domain}\ndescriptors:{listed}\n"


LIMIT = "rate_limit: {unit: minute, requests_per_unit: 3}"


def test_a_descriptor_with_a_limit_is_a_quota_for_exactly_its_entries():
    assert clean(MESSAGING).rules == [
        {
            "name": "messaging-message-type-marketing-to-number",
            "kind": "quota",
            "match": 'ratelimit.domain == "messaging"'
            ' && ratelimit.keys == "message_type,to_number"'
            ' && ratelimit.descriptor["message_type"] == "marketing"',
            "description": "ratelimit messaging: message_type=marketing, to_number",
            "mode": "enabled",
            "limit": 5,
            "window": 86_400,
            "algorithm": "fixed-window",
            "dimensions": ['ratelimit.descriptor["to_number"]'],
            "overrides": [],
        },
        {
            "name": "messaging-to-number",
            "kind": "quota",
            "match": 'ratelimit.domain == "messaging" && ratelimit.keys == "to_number"',
            "description": "ratelimit messaging: to_number",
            "mode": "enabled",
            "limit": 100,
            "window": 86_400,
            "algorithm": "fixed-window",
            "dimensions": ['ratelimit.descriptor["to_number"]'],
            "overrides": [],
        },
    ]


def test_the_values_beside_a_key_are_its_overrides():
    address = 'ratelimit.descriptor["remote_address"]'
    default, banned, shared = clean(PER_IP).rules
    assert default["name"] == "edge-proxy-per-ip-remote-address"
    assert default["match"].endswith(f'!{address}.startsWith("10.")')
    assert default["overrides"] == [
        {
            "name": "except-remote-address-50-0-0-5",
            "when": {address: "50.0.0.5"},
            "unlimited": True,
        },
        {
            "name": "value-remote-address-50-0-0-6",
            "when": {address: "50.0.0.6"},
            "limit": 500,
            "window": 3600,
            "algorithm": "fixed-window",
        },
        {
            "name": "except-remote-address-50-0-0-7",
            "when": {address: "50.0.0.7"},
            "unlimited": True,
        },
    ]
    assert (banned["kind"], banned["http_status"]) == ("deny", 429)
    assert banned["match"].endswith(f'{address} == "50.0.0.5"')
    assert shared["match"].endswith(f'{address}.startsWith("10.")')
    assert shared["dimensions"] == []


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [
        ("second", 1),
        ("Minute", 60),
        ("HOUR", 3600),
        ("day", 86_400),
        ("week", 604_800),
        ("month", 30 * 86_400),
        ("year", 365 * 86_400),
    ],
)
def test_a_month_has_30_days_and_a_year_365_as_in_ratelimit(unit, seconds):
    rule = one(limited(f"{{key: a, rate_limit: {{unit: {unit}, requests_per_unit: 1}}}}"))
    assert (rule["window"], rule["algorithm"]) == (seconds, "fixed-window")


def test_shadow_mode_is_a_shadow_rule():
    assert one(limited(f"{{key: a, shadow_mode: true, {LIMIT}}}"))["mode"] == "shadow"


def test_the_name_of_a_limit_is_in_its_description():
    rule = one(limited("{key: a, rate_limit: {unit: day, requests_per_unit: 1, name: calm}}"))
    assert rule["description"] == "ratelimit d: a (calm)"


@pytest.mark.parametrize(
    ("pattern", "term"),
    [
        ("foo*", '.startsWith("foo")'),
        ("*foo", '.endsWith("foo")'),
        ("/api/*/v1.0", '.matches("^/api/(?s:.*)/v1\\\\.0$")'),
        ("a*b*c", '.matches("^a(?s:.*)b(?s:.*)c$")'),
    ],
)
def test_a_wildcard_counts_each_value_apart(pattern, term):
    rule = one(limited(f"{{key: a, value: {pattern!r}, {LIMIT}}}"))
    assert rule["match"].endswith(f'ratelimit.descriptor["a"]{term}')
    assert rule["dimensions"] == ['ratelimit.descriptor["a"]']


def test_keys_that_come_twice_are_told_by_their_number():
    inner = f"{{key: generic_key, value: b, {LIMIT}}}"
    rule = one(limited(f"{{key: generic_key, value: a, descriptors: [{inner}]}}"))
    assert rule["match"] == (
        'ratelimit.domain == "d" && ratelimit.keys == "generic_key,generic_key"'
        ' && ratelimit.values["1"] == "a" && ratelimit.values["2"] == "b"'
    )


@pytest.mark.parametrize(
    ("key", "value", "terms"),
    [
        ("a,b", "x", "ratelimit.keys == \"a\\\\,b\" && ratelimit.descriptor[\"a,b\"] == \"x\""),
        ("5m", "1h", "ratelimit.keys == '5m' && ratelimit.descriptor['5m'] == '1h'"),
        ("k", 'a"b\\', 'ratelimit.keys == "k" && ratelimit.descriptor["k"] == "a\\"b\\\\"'),
        ("k", "a\tb\x85", 'ratelimit.keys == "k" && ratelimit.descriptor["k"] == "a\\tb\\u0085"'),
    ],
)  # fmt: skip
def test_whatever_a_key_or_value_holds_is_written_as_a_text(key, value, terms):
    rule = one(limited(f"{{key: {json.dumps(key)}, value: {json.dumps(value)}, {LIMIT}}}"))
    assert rule["match"] == f'ratelimit.domain == "d" && {terms}'


def test_scalars_without_quotes_are_texts_where_texts_are_due():
    found = clean(limited(*(f"{{key: a, value: {v}, {LIMIT}}}" for v in ("5", "0", "yes", "1.50"))))
    values = [rule["match"].rpartition(" == ")[2] for rule in found.rules]
    assert values == ['"5"', "'0'", '"yes"', '"1.50"']


def test_what_is_open_further_up_leaves_out_the_values_beside_it():
    """An exception further up comes before an override further down."""
    text = limited(
        f"{{key: a, descriptors: [{{key: b, {LIMIT}}}, {{key: b, value: v, rate_limit:"
        " {unit: minute, requests_per_unit: 1}}]}",
        "{key: a, value: free}",
    )
    engine = deciding(*clean(text).rules)

    def allowed(a: str, b: str) -> bool:
        bag = {"ratelimit.domain": "d", "ratelimit.keys": "a,b"}
        return ask(engine, bag | {"ratelimit.descriptor": {"a": a, "b": b}}).allowed

    assert [allowed("x", "v") for _ in range(2)] == [True, False]
    assert [allowed("x", "w") for _ in range(4)] == [True, True, True, False]
    assert all(allowed("free", "v") for _ in range(4))


def test_what_limits_nothing_is_noted():
    found = clean(limited("{key: a}", "{key: b, rate_limit: {unlimited: true}}"))
    assert found.rules == []
    reason = "limits nothing, so there is no rule for it"
    assert said(found, Severity.IGNORED) == [("/descriptors/0", reason), ("/descriptors/1", reason)]


def test_what_is_never_reached_is_noted():
    found = clean(limited(f"{{key: a, value: '*', {LIMIT}}}", f"{{key: a, {LIMIT}}}"))
    assert len(found.rules) == 1
    assert said(found, Severity.IGNORED) == [
        ("/descriptors/1", "is never reached: a_* before it takes all")
    ]


def test_documents_of_one_domain_are_one_domain():
    found = clean(f"{limited(f'{{key: a, {LIMIT}}}')}---\n{limited('{key: a, value: b}')}")
    (rule,) = found.rules
    assert [override["when"] for override in rule["overrides"]] == [
        {'ratelimit.descriptor["a"]': "b"}
    ]


@pytest.mark.parametrize(
    ("descriptor", "path", "reason"),
    [
        (
            "{key: a, rate_limit: {unit: day, requests_per_unit: 1, replaces: [{name: x}]}}",
            "/rate_limit/replaces/0",
            "does not put that limit out of force",
        ),
        (f"{{key: a, quota_mode: true, {LIMIT}}}", "/quota_mode", "refuses by itself"),
    ],
)
def test_what_concerns_other_descriptors_of_the_request_is_noted(descriptor, path, reason):
    found = imported(limited(descriptor))
    assert len(found.rules) == 1
    ((place, told),) = said(found, Severity.CHANGED)
    assert place == f"/descriptors/0{path}"
    assert told.startswith(reason)


@pytest.mark.parametrize(
    ("own", "other", "noted"),
    [
        ("key: user_agent, value: x", "key: user", True),
        ("key: user_agent", "key: user", True),
        ("key: user, value: '*'", "key: user_agent", True),
        ("key: user, value: 'agent*'", "key: user_agent", True),
        ("key: user, value: 'b*'", "key: user_agent", False),
        ("key: user, value: agent", "key: user_agent", False),
        ("key: useragent, value: x", "key: user", False),
    ],
)
def test_entries_that_ratelimit_confuses_are_noted(own, other, noted):
    found = imported(limited(f"{{{own}, {LIMIT}}}", f"{{{other}, {LIMIT}}}"))
    places = [path for path, _ in said(found, Severity.CHANGED)]
    assert ("/descriptors/0" in places) is noted


def test_an_entry_is_limited_by_its_own_key_where_ratelimit_confuses_it():
    rules = imported(limited(f"{{key: user_agent, value: x, {LIMIT}}}", f"{{key: user, {LIMIT}}}"))
    engine = deciding(*rules.rules)
    bag = {"ratelimit.domain": "d", "ratelimit.keys": "user"}
    decision = ask(engine, bag | {"ratelimit.descriptor": {"user": "agent_x"}})
    assert decision.rule == "d-user"


@pytest.mark.parametrize(
    ("descriptor", "path", "reason"),
    [
        ("{value: a}", "", "a descriptor needs a key"),
        (f"{{key: 'a*', {LIMIT}}}", "", "a * in a key fits entries of several keys"),
        ("{key: a, ratelimit: {unit: day}}", "", "there is no key ratelimit in ratelimit's format"),
        ("{key: a, 0.5: b}", "", "there is no key 0.5 in ratelimit's format"),
        ("text", "", "expected a map, found 'text'"),
        ("{key: [a]}", "/key", "expected a text, found a list"),
        ("{key: a, descriptors: {key: b}}", "/descriptors", "expected a list, found a map"),
        ("{key: a, share_threshold: true}", "", "share_threshold needs a * in the value"),
        ("{key: a, shadow_mode: 1}", "/shadow_mode", "expected true or false, found '1'"),
        ("{key: a, rate_limit: {unit: foo}}", "/rate_limit", "unit 'foo', expected one of second"),
        ("{key: a, rate_limit: {}}", "/rate_limit", "unit '', expected one of second"),
        (
            "{key: a, rate_limit: {unlimited: true, unit: day}}",
            "/rate_limit",
            "what is unlimited has no unit",
        ),
        (
            "{key: a, rate_limit: {unit: day, requests_per_unit: -1}}",
            "/rate_limit",
            "/requests_per_unit: -1, expected 0 to 4294967295",
        ),
        (
            "{key: a, rate_limit: {unit: day, requests_per_unit: 4294967296}}",
            "/rate_limit",
            "/requests_per_unit: 4294967296, expected 0 to 4294967295",
        ),
        (
            "{key: a, rate_limit: {unit: day, requests_per_unit: many}}",
            "/rate_limit",
            "/requests_per_unit: expected a whole number, found 'many'",
        ),
        (
            "{key: a, rate_limit: {unit: day, name: x, replaces: [{name: x}]}}",
            "/rate_limit",
            "/replaces/0: replaces itself",
        ),
        (
            "{key: a, rate_limit: {unit: day, replaces: [{name: }]}}",
            "/rate_limit",
            "/replaces/0: replaces an empty name",
        ),
    ],
)
def test_what_ratelimit_would_not_load_is_refused_and_loses_nothing_else(descriptor, path, reason):
    found = imported(limited(descriptor, f"{{key: good, {LIMIT}}}"))
    assert [rule["name"] for rule in found.rules] == ["d-good"]
    ((place, told),) = said(found)
    assert place == f"/descriptors/0{path}"
    assert told.startswith(reason)


def test_a_refused_descriptor_keeps_its_requests_from_its_siblings():
    found = imported(limited("{key: a, value: b, rate_limit: {unit: x}}", f"{{key: a, {LIMIT}}}"))
    (rule,) = found.rules
    assert [override["when"] for override in rule["overrides"]] == [
        {'ratelimit.descriptor["a"]': "b"}
    ]


@pytest.mark.parametrize("again", ["{key: a, value: b}", "{key: a_b}"])
def test_a_descriptor_that_is_there_twice_is_refused(again):
    found = imported(limited(f"{{key: a, value: b, {LIMIT}}}", again))
    assert len(found.rules) == 1
    assert said(found) == [("/descriptors/1", "there is a descriptor a_b here already")]


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("descriptors: []", "", "domain is required"),
        ("domain: ''", "", "the domain is empty"),
        ("domain: [a]", "/domain", "expected a text, found a list"),
        ("domain: a\ndescriptors: b", "/descriptors", "expected a list, found 'b'"),
        ("domain: a\nlimits: b", "", "there is no key limits in ratelimit's format"),
    ],
)
def test_a_document_that_is_none_is_refused(text, path, reason):
    assert said(imported(text)) == [(path, reason)]


def test_a_key_at_a_place_where_ratelimit_ignores_it_is_noted():
    found = clean("domain: a\nshadow_mode: true\ndescriptors: []")
    assert said(found, Severity.IGNORED) == [
        ("/shadow_mode", "has no effect at this place, nor has it in ratelimit")
    ]


def test_more_than_an_expression_can_hold_is_refused_and_says_so():
    found = imported(limited(f"{{key: a, value: {'x' * 5000}, {LIMIT}}}", f"{{key: b, {LIMIT}}}"))
    assert [rule["name"] for rule in found.rules] == ["d-b"]
    ((place, reason),) = said(found)
    assert (place, "longer than 4096 bytes" in reason) == ("/descriptors/0", True)


def test_ten_thousand_values_are_one_rule():
    values = (f"{{key: a, value: v{n}, {LIMIT}}}" for n in range(10_000))
    rule = one(limited(f"{{key: a, {LIMIT}}}", *values))
    assert len(rule["overrides"]) == 10_000
    assert rule_from_json(rule).name == "d-a"
