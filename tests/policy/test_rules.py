import math
from typing import Any

import pytest

from policy.errors import InvalidRule
from policy.kinds import QuotaRule
from policy.rules import rule_from_json, rule_to_json
from policy.snapshot import compile_snapshot
from tests.policy.objects import A_TO_B, deny, quota


def test_a_rule_goes_to_json_and_back() -> None:
    for rule in (
        quota(dimensions=["source.service"], window=0.25, burst=7, priority=-3, mode="disabled"),
        quota(algorithm="fixed-window", on_backend_error="closed", description="so"),
        quota(algorithm="rolling-window", tick=0.05),
        quota(algorithm="calendar-window", window="month", time_zone="Europe/Berlin"),
        quota(algorithm="concurrency", window=30),
        deny(http_status=451, message="no"),
    ):
        assert rule_from_json(rule_to_json(rule)) == rule


def test_a_window_is_kept_in_whole_microseconds() -> None:
    rule = quota(window=0.1)
    assert isinstance(rule, QuotaRule)
    assert [limit.window_us for limit in rule.quotas] == [100_000]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"kind": "no"}, "/kind"),
        ({"kind": ["quota"]}, "/kind"),
        ({"name": ""}, "/name"),
        ({"name": "Upper"}, "/name"),
        ({"name": "a" * 64}, "/name"),
        ({"name": "-a"}, "/name"),
        ({"name": "a\n"}, "/name"),
        ({"name": "é"}, "/name"),
        ({"name": 7}, "/name"),
        ({"match": "nonsense"}, "/match"),
        ({"match": None}, "/match"),
        ({"description": "a" * 1025}, "/description"),
        ({"mode": 1}, "/mode"),
        ({"priority": True}, "/priority"),
        ({"priority": 10**7}, "/priority"),
        ({"limit": 0}, "/limit"),
        ({"limit": -1}, "/limit"),
        ({"limit": 2**53}, "/limit"),
        ({"limit": 10**400}, "/limit"),
        ({"limit": 1.5}, "/limit"),
        ({"limit": "1"}, "/limit"),
        ({"limit": None}, "/limit"),
        ({"limit": True}, "/limit"),
        ({"limit": 999_999_999_989, "window": 0.999983}, "/limit"),
        ({"window": 0}, "/window"),
        ({"window": -1}, "/window"),
        ({"window": 1e-9}, "/window"),
        ({"window": 367 * 86_400}, "/window"),
        ({"window": math.nan}, "/window"),
        ({"window": math.inf}, "/window"),
        ({"window": 10**400}, "/window"),
        ({"window": "1s"}, "/window"),
        ({"window": True}, "/window"),
        ({"window": []}, "/window"),
        ({"window": "day"}, "/window"),
        ({"window": 60, "algorithm": "calendar-window"}, "/window"),
        ({"window": "fortnight", "algorithm": "calendar-window"}, "/window"),
        (
            {"window": "day", "algorithm": "calendar-window", "time_zone": "Mars/Olympus"},
            "/time_zone",
        ),
        ({"window": "day", "algorithm": "calendar-window", "time_zone": 1}, "/time_zone"),
        ({"time_zone": "UTC"}, "/time_zone"),
        ({"algorithm": "leaky"}, "/algorithm"),
        ({"burst": 0}, "/burst"),
        ({"burst": 2**60}, "/burst"),
        ({"burst": 5, "algorithm": "fixed-window"}, "/burst"),
        ({"burst": 5, "algorithm": "rolling-window"}, "/burst"),
        ({"tick": 0.1}, "/tick"),
        ({"tick": 0.1, "algorithm": "fixed-window"}, "/tick"),
        ({"tick": 0, "algorithm": "rolling-window"}, "/tick"),
        ({"tick": math.nan, "algorithm": "rolling-window"}, "/tick"),
        ({"tick": 1.5, "algorithm": "rolling-window"}, "/tick"),
        ({"tick": 0.001, "algorithm": "rolling-window"}, "/tick"),
        ({"tick": "0.1", "algorithm": "rolling-window"}, "/tick"),
        ({"limit": 1, "window": 366 * 86_400, "burst": 1000}, "/burst"),
        ({"dimensions": "source.service"}, "/dimensions"),
        ({"dimensions": ["source.service", "nonsense"]}, "/dimensions/1"),
        ({"dimensions": [1]}, "/dimensions/0"),
        ({"dimensions": ["request.headers"]}, "/dimensions/0"),
        ({"dimensions": ["source.service"] * 17}, "/dimensions"),
        ({"on_backend_error": "maybe"}, "/on_backend_error"),
        ({"http_status": 200}, "/http_status"),
        ({"limitt": 1}, "/limitt"),
    ],
)
def test_a_bad_quota_is_refused_with_its_place(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidRule) as refusal:
        quota(**fields)
    assert refusal.value.place == place


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"http_status": 200}, "/http_status"),
        ({"http_status": 600}, "/http_status"),
        ({"message": "a" * 1025}, "/message"),
        ({"message": "a\r\nset-cookie: b"}, "/message"),
        ({"limit": 1}, "/limit"),
    ],
)
def test_a_bad_deny_rule_is_refused_with_its_place(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidRule) as refusal:
        deny(**fields)
    assert refusal.value.place == place


@pytest.mark.parametrize("missing", ["kind", "name", "limit", "window"])
def test_a_rule_that_lacks_something_is_refused(missing: str) -> None:
    document = rule_to_json(quota())
    del document[missing]
    with pytest.raises(InvalidRule) as refusal:
        rule_from_json(document)
    assert refusal.value.place == f"/{missing}"


def names(rules: Any) -> list[str]:
    return [compiled.rule.name for compiled in rules]


def test_rules_are_asked_by_priority_then_name_whatever_their_destination() -> None:
    rules = [
        deny("c", match="", priority=5),
        deny("b"),
        deny("a", match=""),
        deny("z", priority=-1),
        deny("elsewhere", match='destination.service == "c"'),
        quota("q2", match=""),
        quota("q1"),
        quota("off", mode="disabled"),
    ]
    found = compile_snapshot(rules, 1).candidates("b")
    assert names(found.gates) == ["z", "a", "b", "c"]
    assert names(found.metered) == ["q1", "q2"]


def test_an_unnamed_destination_gets_the_general_rules() -> None:
    snapshot = compile_snapshot([deny("a", match=""), deny("b")], 1)
    for destination in ("unknown", None, 7, ["b"]):
        assert names(snapshot.candidates(destination).gates) == ["a"]


def test_a_new_snapshot_keeps_what_did_not_change() -> None:
    first = compile_snapshot([quota("a"), quota("b")], 1)
    second = compile_snapshot([quota("a"), quota("b", limit=3)], 2, first)
    assert second.rules["a"] is first.rules["a"]
    assert second.rules["b"] is not first.rules["b"]
    assert second.rules["a"].match.test(A_TO_B)
