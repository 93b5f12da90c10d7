"""What each kind of rule takes, what it refuses, and where it says the fault is."""

from typing import Any

import pytest

from policy.errors import InvalidRule
from policy.kinds import KINDS
from policy.rules import rule_from_json, rule_to_json

WHOLE: dict[str, dict[str, Any]] = {
    "authorization": {"allow": [{"principals": ["spiffe://mesh/ns/shop/*"], "methods": ["GET"]}]},
    "deny": {"http_status": 451, "message": "no", "headers": {"x-why": "because"}},
    "derive": {"attributes": {"derived[tenant]": 'request.headers["x-tenant"]'}},
    "headers": {
        "request": [{"operation": "remove", "name": "x-secret"}],
        "response": [{"operation": "append", "name": "via", "value": "mesh"}],
    },
    "list": {
        "type": "deny", "value": "source.ip", "entry_type": "cidr", "entries": ["10.0.0.0/8"],
    },
    "quota": {
        "limits": [
            {"limit": 5, "window": 1}, {"limit": 9, "window": 60, "algorithm": "fixed-window"},
        ],
        "dimensions": ["source.service"],
        "cost": "request.size | 1",
        "overrides": [
            {"name": "batch", "when": {"source.service": "batch*"}, "limit": 1, "window": 1},
            {"name": "free", "when": {"source.service": "a"}, "unlimited": True},
        ],
        "draft": {"limit": 3, "window": 1},
        "http_status": 503,
    },
}  # fmt: skip


def test_every_kind_is_tried_here() -> None:
    assert set(WHOLE) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_of_each_kind_goes_to_json_and_back(kind: str) -> None:
    rule = rule_from_json({"kind": kind, "name": "one", **WHOLE[kind]})
    written = rule_to_json(rule)
    assert rule_from_json(written) == rule
    assert rule_to_json(rule_from_json(written)) == written


@pytest.mark.parametrize(
    ("kind", "fields", "place"),
    [
        ("deny", {"headers": {"X-Upper": "a"}}, "/headers/X-Upper"),
        ("deny", {"headers": {"x": "a\r\nset-cookie: b"}}, "/headers/x"),
        ("deny", {"headers": {"x": "é"}}, "/headers/x"),
        ("deny", {"headers": {f"x-{n}": "" for n in range(33)}}, "/headers"),
        ("deny", {"mode": "maybe"}, "/mode"),
        ("authorization", {"allow": None}, "/allow"),
        ("authorization", {"allow": [{"principal": ["a"]}]}, "/allow/0/principal"),
        ("authorization", {"allow": [{}, {"methods": []}]}, "/allow/1/methods"),
        ("authorization", {"allow": [{"paths": ["/a", "*b*"]}]}, "/allow/0/paths/1"),
        ("authorization", {"allow": [{"paths": ["a*b"]}]}, "/allow/0/paths/0"),
        ("authorization", {"allow": [{"paths": [""]}]}, "/allow/0/paths/0"),
        ("authorization", {"allow": [{"paths": "GET"}]}, "/allow/0/paths"),
        ("derive", {"attributes": {}}, "/attributes"),
        ("derive", {"attributes": {"source.servce": '"a"'}}, "/attributes/source.servce"),
        ("derive", {"attributes": {"derived": "source.labels"}}, "/attributes/derived"),
        ("derive", {"attributes": {"derived[a b]": '"a"'}}, "/attributes/derived[a b]"),
        ("derive", {"attributes": {"request.size": '"a"'}}, "/attributes/request.size"),
        ("derive", {"attributes": {"derived[x]": "request.size"}}, "/attributes/derived[x]"),
        ("derive", {"attributes": {"derived[x]": "nope"}}, "/attributes/derived[x]"),
        ("headers", {"request": [], "response": []}, "/request"),
        ("headers", {"request": [{"operation": "set", "name": "a"}]}, "/request/0/operation"),
        ("headers", {"request": [{"operation": "replace", "name": "Host"}]}, "/request/0/name"),
        ("headers", {"request": [{"operation": "replace", "name": "host"}]}, "/request/0/name"),
        (
            "headers",
            {"request": [{"operation": "remove", "name": "a", "value": "b"}]},
            "/request/0/value",
        ),
        (
            "headers",
            {"response": [{"operation": "remove", "name": "a"}]},
            "/response/0/operation",
        ),
        ("list", {"type": "maybe"}, "/type"),
        ("list", {"value": "request.size"}, "/value"),
        ("list", {"value": ""}, "/value"),
        ("list", {"entries": ["10.0.0.0/8", "ten"]}, "/entries/1"),
        ("list", {"entries": ["("], "entry_type": "regex"}, "/entries/0"),
        ("list", {"entry_type": "glob"}, "/entry_type"),
        ("list", {"case_insensitive": True}, "/case_insensitive"),
        ("list", {"list": "bad"}, "/entries"),
        ("list", {"entries": None}, "/entries"),
        ("list", {"entries": None, "list": "bad"}, "/list"),
        ("list", {"entries": None, "list": "No"}, "/list"),
        ("list", {"on_unavailable": "maybe"}, "/on_unavailable"),
        ("quota", {"limits": [{"limit": 5}]}, "/limits/0/window"),
        ("quota", {"limits": [{"limit": 0, "window": 1}]}, "/limits/0/limit"),
        ("quota", {"limit": 5, "window": 1}, "/limit"),
        ("quota", {"limits": [{"limit": 5, "window": 1}] * 9}, "/limits"),
        ("quota", {"cost": "source.service"}, "/cost"),
        ("quota", {"cost": "nope"}, "/cost"),
        ("quota", {"draft": {"limit": 3}}, "/draft/window"),
        ("quota", {"draft": {"limit": -3, "window": 1}}, "/draft/limit"),
        ("quota", {"overrides": [{"name": "x", "limit": 1, "window": 1}]}, "/overrides/0/when"),
        (
            "quota",
            {"overrides": [{"name": "x", "when": {}, "unlimited": True}]},
            "/overrides/0/when",
        ),
        (
            "quota",
            {"overrides": [{"name": "x", "when": {"source.user": "a"}, "unlimited": True}]},
            "/overrides/0/when/source.user",
        ),
        (
            "quota",
            {"overrides": [{"name": "x", "when": {"source.service": "a"}}]},
            "/overrides/0/limit",
        ),
        (
            "quota",
            {
                "overrides": [
                    {"name": "x", "when": {"source.service": "a"}, "unlimited": True, "limit": 1}
                ]
            },
            "/overrides/0/limit",
        ),
        (
            "quota",
            {"overrides": [{"name": "x", "when": {"source.service": "a"}, "unlimited": True}] * 2},
            "/overrides/1/name",
        ),
    ],
)
def test_a_bad_rule_is_refused_with_its_place(
    kind: str, fields: dict[str, Any], place: str
) -> None:
    with pytest.raises(InvalidRule) as refusal:
        rule_from_json({"kind": kind, "name": "one", **WHOLE[kind], **fields})
    assert refusal.value.place == place
    assert refusal.value.reason


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("authorization", "allow"), ("derive", "attributes"), ("list", "type"), ("list", "value")],
)
def test_a_rule_that_lacks_something_is_refused(kind: str, missing: str) -> None:
    with pytest.raises(InvalidRule) as refusal:
        rule_from_json(
            {"kind": kind, "name": "one"}
            | {key: value for key, value in WHOLE[kind].items() if key != missing}
        )
    assert (refusal.value.place, refusal.value.reason) == (f"/{missing}", "is required")


def test_an_expression_inside_a_rule_is_told_with_its_line_and_column() -> None:
    with pytest.raises(InvalidRule) as refusal:
        rule_from_json({"kind": "derive", "name": "d", "attributes": {"derived[x]": '"a" +\n 1'}})
    assert (refusal.value.place, refusal.value.line) == ("/attributes/derived[x]", 2)
