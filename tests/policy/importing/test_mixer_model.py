"""Imported quotas of Mixer against what Mixer does, case by case and at random."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.expression import compile_match
from policy.importing import Severity
from policy.kinds import QuotaRule
from policy.lists import HeldLists
from policy.rules import rule_from_json
from policy.snapshot import compile_rule
from policy.stages import Metered
from tests.policy.importing.importing import imported, said
from tests.policy.importing.mutating import Path as At
from tests.policy.importing.mutating import at, without_a_word
from tests.policy.importing.test_mixer import (
    AUTHORIZATION,
    counted,
    listed,
    memquota,
    redisquota,
    resource,
    role,
    rule,
)

CASES = json.loads(Path("tests/policy/conformance_quota/mixer.json").read_text())
EXPRESSIONS = {"destination": "destination.name", "source": "source.name", "source.ip": "source.ip"}


def metered(text: str) -> Metered:
    (document,) = [found for found in imported(text).rules if found["kind"] == "quota"]
    compiled = compile_rule(rule_from_json(document), HeldLists())
    assert isinstance(compiled, Metered)
    return compiled


@pytest.mark.parametrize("case", CASES["memquota_overrides"], ids=lambda case: case["desc"])
def test_mixers_own_cases_of_overrides_hold(case):
    overrides = [{"validDuration": "1s"} | override for override in case["overrides"]]
    text = counted(handler=memquota(maxAmount=case["max_amount"], overrides=overrides))
    dimensions = {name: EXPRESSIONS[name] for name in EXPRESSIONS}
    quota = metered(
        text.replace(
            'user: source.user | "nobody"',
            yaml.safe_dump(dimensions).strip().replace("\n", "\n    "),
        )
    )
    bag = {
        EXPRESSIONS[name]: bytes(map(int, value["ip"].split(".")))
        if isinstance(value, dict)
        else value
        for name, value in case["dimensions"].items()
    }
    (take,) = quota.meter.charge(bag, 1).takes
    assert take.quota.limit == case["expect_limit"]


def with_dimensions(text: str, dimensions: dict[str, str]) -> str:
    """In place of the one that the instance has."""
    own = """\n    user: source.user | "nobody\""""
    assert own in text
    return text.replace(own, " " + json.dumps(dimensions))


NAMES = {"a": "source.user", "b": "source.name", "c": "source.owner"}
VALUES = ["1", "2"]
override = st.fixed_dictionaries(
    {
        "dimensions": st.dictionaries(st.sampled_from([*NAMES]), st.sampled_from(VALUES)),
        "maxAmount": st.integers(1, 10**6),
        "validDuration": st.just("1s"),
    }
)


@settings(deadline=None)
@given(
    st.lists(override, max_size=6),
    st.fixed_dictionaries({name: st.sampled_from([*VALUES, "3"]) for name in NAMES}),
)
def test_the_first_override_that_fits_is_taken_unless_another_is_said_to_be(overrides, values):
    text = counted(handler=memquota(maxAmount=7, overrides=overrides))
    text = with_dimensions(text, NAMES)
    first = next(
        (
            each["maxAmount"]
            for each in overrides
            if all(values[name] == value for name, value in each["dimensions"].items())
        ),
        7,
    )
    quota = metered(text)
    (take,) = quota.meter.charge({NAMES[name]: values[name] for name in NAMES}, 1).takes
    found = imported(text)
    assert take.quota.limit == first or said(found, Severity.CHANGED)


services = st.sampled_from(["a.x", "b.x", "c.y"])
clauses = st.dictionaries(
    st.sampled_from(["request.path", "request.method"]),
    st.sampled_from([{"exact": "p"}, {"prefix": "p"}, {"regex": "p+"}, {"regex": "p*"}, {}]),
    max_size=2,
)
demand = st.fixed_dictionaries(
    {
        "quotas": st.just([{"quota": "calm", "charge": 1}])
        | st.just([{"quota": "calm", "charge": 4}])
    },
    optional={
        "match": st.lists(clauses.map(lambda clause: {"clause": clause}), min_size=1, max_size=3)
    },
)
bindings = st.lists(st.lists(services, min_size=1, max_size=2, unique=True), min_size=1, max_size=2)
requests = st.fixed_dictionaries(
    {"destination.service": services},
    optional={
        "request.path": st.sampled_from(["p", "pp", "q"]),
        "request.method": st.just("p"),
    },
)


def fits(kind: str, text: str, value: str) -> bool:
    if kind == "exact":
        return value == text
    return (
        value.startswith(text)
        if kind == "prefix"
        else set(value) <= {"p"} and (value != "" or text == "p*")
    )


def charge_of(specs: list[Any], bound: list[list[str]], request: dict[str, str]) -> int:
    """The last that applies, as istio/proxy fills its map; 0 for none."""
    charge = 0
    for services in bound:
        for each in specs:
            matches = each.get("match", [{"clause": {}}])
            applies = any(
                all(
                    not how or (name in request and fits(*next(iter(how.items())), request[name]))
                    for name, how in match["clause"].items()
                )
                for match in matches
            )
            if applies and request["destination.service"] in services:
                charge = each["quotas"][0]["charge"]
    return charge


@settings(deadline=None, max_examples=200)
@given(
    st.lists(demand, min_size=1, max_size=3), bindings, st.lists(requests, min_size=1, max_size=6)
)
def test_a_request_is_charged_as_its_proxy_would(specs, bound, asked):
    spec = resource("QuotaSpec", "s", {"rules": specs})
    for number, names in enumerate(bound):
        named = [dict(zip(("name", "namespace"), name.split("."), strict=True)) for name in names]
        spec += resource(
            "QuotaSpecBinding", f"b{number}", {"services": named, "quotaSpecs": [{"name": "s"}]}
        )
    quota = metered(counted(spec=spec))
    assert isinstance(quota.rule, QuotaRule)
    for request in asked:
        expected = charge_of(specs, bound, request)
        matches = compile_match(quota.rule.match).test(request)
        assert matches is (expected > 0), request
        if matches:
            assert quota.meter.charge(request, 1).takes[0].amount == expected


ROLES = (
    resource("rbac", "h")
    + AUTHORIZATION
    + rule("h.rbac", "a.authorization")
    + role(
        "w",
        {"services": ["cart"], "methods": ["GET"], "paths": ["/a*"]},
        subjects=[{"user": "ann"}, {"properties": {"source.namespace": "b"}}],
    )
)
REDIS = counted(
    handler=redisquota(
        rateLimitAlgorithm="ROLLING_WINDOW",
        bucketDuration="250ms",
        overrides=[{"dimensions": {"user": "a"}, "maxAmount": 3}],
    ).replace("  quotas:", "  redisServerUrl: a\n  connectionPoolSize: 3\n  quotas:", 1)
)
LIST = listed(
    providerUrl="https://a.example/b",
    refreshInterval="30s",
    ttl="300s",
    blacklist=True,
    entryType="REGEX",
    cachingInterval="1s",
    overrides=["a"],
)
HEADERS = resource(
    "rule",
    "r",
    {
        "match": "connection.mtls",
        "requestHeaderOperations": [{"name": "a", "values": ['"b"'], "operation": "APPEND"}],
    },
)
MANIFEST = resource(
    "attributemanifest",
    "m",
    {"name": "x", "attributes": {"source.user": {"valueType": "STRING", "description": "d"}}},
)
EXAMPLE = Path("examples/mixer.yaml").read_text()


@pytest.mark.parametrize("text", [EXAMPLE, ROLES, REDIS, LIST, HEADERS, MANIFEST])
def test_nothing_in_a_configuration_is_dropped_without_a_word(text):
    documents = [document for document in yaml.safe_load_all(text) if document]
    silent = without_a_word(documents, random.Random(0), tried=1000)
    assert [path for path in silent if not names_a_binding(documents, path)] == []


def names_a_binding(documents: list[Any], path: At) -> bool:
    """Which nothing refers to."""
    return path[1] == "metadata" and at(documents, path[:1])["kind"].endswith("Binding")
