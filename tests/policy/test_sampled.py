"""What is kept of a request, and what never is."""

from typing import Any

import pytest

from policy.explain.sampled import (
    MAX_NAME,
    MAX_NAMES,
    MAX_VALUE,
    MAX_VALUES,
    Sampled,
    references_of,
    sample_of,
)
from policy.rules import rule_from_json
from policy.snapshot import compile_snapshot


def wanted(*matches: str) -> Any:
    rules = [
        rule_from_json({"kind": "deny", "name": f"r{number}", "match": match})
        for number, match in enumerate(matches)
    ]
    return references_of(compile_snapshot(rules, 1))


def sampled(bag: dict[str, Any], *matches: str) -> Sampled:
    return sample_of(bag, wanted(*matches))


def test_only_what_rules_read_is_kept_and_the_names_of_the_rest() -> None:
    bag = {
        "destination.service": "cart", "source.service": "web", "request.path": "/private",
        "request.headers": {"x-user": "ann", "x-other": "private"},
    }  # fmt: skip
    found = sampled(bag, 'source.service == "a" && request.headers["x-user"] == "b"')
    assert found.values == {
        "destination.service": "cart", "source.service": "web",
        "request.headers": {"x-user": "ann"},
    }  # fmt: skip
    assert found.names == {
        "destination.service": None, "source.service": None, "request.path": None,
        "request.headers": ("x-user", "x-other"),
    }  # fmt: skip
    assert "private" not in repr(found)


@pytest.mark.parametrize(
    "name",
    ["authorization", "cookie", "x-api-key", "X-Auth-Token", "client-secret"],
)
def test_the_value_of_a_credential_is_not_kept_though_a_rule_reads_it(name: str) -> None:
    match = f'request.headers["{name}"] == "x"'
    found = sampled({"request.headers": {name: "hidden"}}, match)
    assert "hidden" not in repr(found)
    assert ("request.headers", name) not in found.known
    assert ("request.headers", name) in sampled({"request.headers": {}}, match).known


@pytest.mark.parametrize(
    "value",
    ["Bearer hidden", "basic hidden", "eyJhbGciOi.hidden", "/a?b=c&access_token=hidden",
     "/a?X-Amz-Signature=hidden"],
)  # fmt: skip
def test_a_value_that_looks_like_a_credential_is_not_kept(value: str) -> None:
    found = sampled({"request.path": value}, 'request.path == "/a"')
    assert "hidden" not in repr(found)
    assert ("request.path", None) not in found.known


def test_a_path_with_a_query_of_no_secrets_is_kept() -> None:
    found = sampled({"request.path": "/token?page=2"}, 'request.path == "/a"')
    assert found.values["request.path"] == "/token?page=2"


def test_long_values_and_whole_maps_are_not_kept() -> None:
    match = 'request.path == "x" && request.headers[source.user] == "y"'
    bag = {"request.path": "p" * (MAX_VALUE + 1), "request.headers": {"a": "hidden"},
           "source.user": "a"}  # fmt: skip
    found = sampled(bag, match)
    assert found.values == {"source.user": "a"}
    assert {("request.path", None), ("request.headers", None)}.isdisjoint(found.known)


def test_one_request_takes_a_bounded_room() -> None:
    names = [f"h{number}" for number in range(100)]
    found = sampled(
        {"request.headers": dict.fromkeys(names, "v" * MAX_VALUE)},
        *(f'request.headers["{name}"] == "x"' for name in names),
    )
    headers = found.values["request.headers"]
    assert isinstance(headers, dict)
    assert len(headers) == MAX_VALUES // MAX_VALUE
    assert len(found.names["request.headers"] or ()) == MAX_NAMES
    assert sampled({"request.headers": {"h" * (MAX_NAME + 1): ""}}).names == {"request.headers": ()}
