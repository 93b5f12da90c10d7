"""Imported rules against a second telling of ratelimit, request by request."""

import asyncio
import random
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.frontends.envoy_rls import bag_of
from collector.proto import envoy_pb2 as pb
from policy.engine import Engine
from policy.importing import Severity, Source, import_sources
from policy.quota.memory import MemoryCounters
from policy.results import Decision
from policy.rules import rule_from_json
from policy.snapshot import compile_snapshot
from tests.policy.importing.mutating import without_a_word
from tests.policy.importing.ratelimit_model import DIVIDERS_S, Entries, RateLimit

START_S = 1_700_000_000
KEYS = ["a", "b", "generic key"]
EXACT = ["x", "y", "xy", "xyx", "5m", 'it\'s "so"\\']
WILD = ["x*", "xy*", "*y", "x*y", "*", "x*x*"]
VALUES = [*EXACT, "", "z", "xzy", "xx", "x\ny"]
UNITS = [*DIVIDERS_S, "MINUTE"]


def descriptors(dice: random.Random, depth: int = 3) -> list[dict[str, Any]]:
    """Most are of one key, so that they compete."""
    keys = [KEYS[depth % len(KEYS)]] * 3 + KEYS
    named = [(dice.choice(keys), dice.choice(["", "", *EXACT, *WILD])) for _ in range(5)]
    return [descriptor(dice, depth, *name) for name in dict.fromkeys(named)]


def descriptor(dice: random.Random, depth: int, key: str, value: str) -> dict[str, Any]:
    made: dict[str, Any] = {"key": key}
    if value:
        made["value"] = value
    if dice.random() < 0.8:
        limit = {"unit": dice.choice(UNITS), "requests_per_unit": dice.randrange(3)}
        made["rate_limit"] = {"unlimited": True} if dice.random() < 0.1 else limit
    if dice.random() < 0.2:
        made["shadow_mode"] = True
    if "*" in value and dice.random() < 0.5:
        made["share_threshold"] = True
    if depth > 1 and dice.random() < 0.6:
        made["descriptors"] = descriptors(dice, depth - 1)
    return made


def walk(level: list[dict[str, Any]], dice: random.Random) -> Entries:
    """Entries of keys that the configuration has there, now and then one too many."""
    found: Entries = []
    while level and (not found or dice.random() < 0.8):
        key = dice.choice(level)["key"]
        beside = [descriptor for descriptor in level if descriptor["key"] == key]
        value = dice.choice([*(descriptor.get("value", "") for descriptor in beside), *VALUES])
        if "*" in value:
            value = value.replace("*", dice.choice(["", "x", "y", "-"]))
        found.append((key, value))
        level = [inner for descriptor in beside for inner in descriptor.get("descriptors", [])]
    if dice.random() < 0.05:
        found.append((dice.choice(KEYS), dice.choice(VALUES)))
    return found


def conversation(dice: random.Random) -> tuple[str, list[tuple[str, Entries, int]]]:
    """A configuration, and requests with the seconds that pass after each."""
    domains = {"d": descriptors(dice), "e": descriptors(dice, depth=1)}
    text = yaml.safe_dump_all(
        {"domain": name, "descriptors": level} for name, level in domains.items()
    )
    model = RateLimit(text)
    asked = [(name, walk(domains[name], dice)) for name in dice.choices("ddde", k=80)]
    asked += [request for request in asked if model.limit_of(*request)] * 3
    dice.shuffle(asked)
    return text, [(*request, dice.choice([0] * 50 + [7, 4000, 40 * 86_400])) for request in asked]


class Imported:
    """The engine, with what is imported of one configuration."""

    def __init__(self, config: str) -> None:
        self.now_s = START_S
        found = import_sources([Source("config.yaml", config)], "ratelimit")
        assert not [note for note in found.notes if note.severity is not Severity.IGNORED]
        rules = [rule_from_json(document) for document in found.rules]
        counters = MemoryCounters(lambda: self.now_s * 1_000_000)
        self.engine = Engine(counters, compile_snapshot(rules, 1))

    async def check(self, domain: str, entries: Entries) -> Decision:
        descriptor = pb.RateLimitDescriptor()
        for key, value in entries:
            descriptor.entries.add(key=key, value=value)
        answer = self.engine.check(bag_of(domain, descriptor, {}))
        return answer if isinstance(answer, Decision) else await answer


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=True))
def test_imported_rules_decide_as_ratelimit_does(dice):
    config, asked = conversation(dice)
    theirs, ours = RateLimit(config), Imported(config)

    async def compare() -> None:
        theirs.now_s = START_S
        for domain, given_entries, later_s in asked:
            refused, over = theirs.over_limit(domain, given_entries)
            decision = await ours.check(domain, given_entries)
            assert decision.allowed is not refused, (domain, given_entries)
            beside = [verdict.allowed for verdict in decision.beside]
            assert (refused or False in beside) is over, (domain, given_entries)
            theirs.now_s = ours.now_s = ours.now_s + later_s

    asyncio.run(compare())


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=True))
def test_nothing_in_a_configuration_is_dropped_without_a_word(dice):
    configuration = {"domain": "d", "descriptors": decorated(dice, depth=2)}
    assert without_a_word([configuration], dice) == []


def decorated(dice: random.Random, depth: int) -> list[dict[str, Any]]:
    """With all that ratelimit knows beside."""
    made = descriptors(dice, depth)
    for one in made:
        for key in ("detailed_metric", "value_to_metric", "quota_mode"):
            if dice.random() < 0.2:
                one[key] = dice.random() < 0.5
        if dice.random() < 0.2:
            one["metadata"] = {"a": [1, {"b": "c"}]}
        if limit := one.get("rate_limit"):
            if dice.random() < 0.3:
                limit["name"] = dice.choice(["n", "m"])
            if dice.random() < 0.2:
                limit["replaces"] = [{"name": dice.choice(["n", "m"])}]
    return made
