"""How often rules matched, over all collectors, and why one did not: counted by a real Redis."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx
from fastapi import FastAPI

from collector.api.status import status_router
from collector.checker import EngineChecker
from collector.decisions.log import DecisionLog
from collector.own import Own
from collector.status.activity import CHECKS, NEVER, Activity, checks_to
from collector.status.bag_sample import BagSample
from collector.status.rule_status import RuleStatuses
from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.errors import UnknownRule
from policy.kinds import AnyRule
from policy.quota.memory import MemoryCounters
from policy.quota.tallies import RedisTallies
from policy.results import Decision
from policy.rules import RulesPage, numbered, rule_from_json
from policy.snapshot import compile_snapshot
from tests.collector.policy_parts import Reports
from tests.conftest import free_port

IDLE_S = 300
OWN = Own([], ["meter.mesh"])
TO_CART = {"source.service": "web.shop", "destination.service": "cart.shop"}


class Rules:
    """Those that were made, by name."""

    def __init__(self, rules: Sequence[AnyRule]) -> None:
        self._rules = sorted(rules, key=lambda rule: rule.name)

    def get(self, name: str) -> AnyRule:
        for rule in self._rules:
            if rule.name == name:
                return rule
        raise UnknownRule(name)

    def page(self, limit: int, after: str = "") -> RulesPage:
        left = [rule for rule in self._rules if rule.name > after]
        return RulesPage(left[:limit], len(self._rules), 1)


class Collector:
    """The side of a collector that checks and counts, with a clock of its own."""

    def __init__(self, redis_url: str, documents: Sequence[Mapping[str, Any]]) -> None:
        self.now_s = 1_800_000_000.0
        self.rules = [numbered(rule_from_json(document), 1) for document in documents]
        self.engine = Engine(MemoryCounters(), compile_snapshot(self.rules, 1))
        self.sample = BagSample(self.engine, IDLE_S, self.clock)
        self.tallies = RedisTallies(redis_url)
        self.activity = Activity(self.engine, self.sample, self.tallies, self.clock)
        log = DecisionLog(Reports())
        self.checker = EngineChecker(self.engine, log, 0.0, OWN, self.sample)
        self.statuses = RuleStatuses(self.engine, self.activity, self.sample, self.tallies, IDLE_S)

    def clock(self) -> float:
        return self.now_s

    async def begin(self) -> None:
        """What the first tick does."""
        self.sample.refill()
        await self.activity.learn()

    async def check(self, *bags: Mapping[str, Any]) -> None:
        for bag in bags:
            decision = self.checker.check(AttributeBag(bag), protocol="test")
            if not isinstance(decision, Decision):
                await decision

    async def swap(self, *documents: Mapping[str, Any], version: int = 2) -> None:
        """And what the tick after it does."""
        self.rules = [
            numbered(rule_from_json(each), each.get("version", version)) for each in documents
        ]
        self.engine.swap(compile_snapshot(self.rules, version, self.engine.snapshot))
        await self.activity.learn()

    async def ask(self, path: str) -> httpx.Response:
        app = FastAPI()
        app.include_router(status_router(Rules(self.rules), self.statuses))
        transport = httpx.ASGITransport(app=app)
        url = "http://collector/api/v1"
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            return await client.get(path)

    async def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask(f"/rules/{name}/status")).json()
        return found


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:12]}"


def deny(name: str, match: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "deny", "name": name, "match": match} | fields


def running(
    redis_url: str,
    documents: Sequence[Mapping[str, Any]],
    body: Callable[..., Awaitable[None]],
    collectors: int = 1,
) -> None:
    async def run() -> None:
        made = [Collector(redis_url, documents) for _ in range(collectors)]
        for each in made:
            await each.begin()
        await body(*made)
        for each in made:
            await each.activity.close()
            await each.tallies.close()

    asyncio.run(run())


def test_matches_of_all_collectors_are_summed(redis_url: str) -> None:
    name = unique("no")

    async def body(one: Collector, two: Collector) -> None:
        await one.check(*[TO_CART] * 3, {"source.service": "other"})
        await two.check(*[TO_CART] * 4)
        two.now_s += 60
        await two.activity.tell()
        found = await one.status(name)
        assert found == {
            "rule": name,
            "version": 1,
            "mode": "enabled",
            "in_force": True,
            "matched": 7,
            "counted": "all collectors",
            "last_matched": "2027-01-15T08:01:00.000000000Z",
            "here": {"since": "2027-01-15T08:00:00.000000000Z", "matched": 3},
            "idle": False,
            "why_idle": None,
        }

    running(redis_url, [deny(name, 'destination.service == "cart.shop"')], body, collectors=2)


def test_while_the_counters_are_away_this_collector_tells_of_itself() -> None:
    async def body(one: Collector) -> None:
        await one.check(TO_CART)
        found = await one.status("no")
        assert (found["counted"], found["matched"]) == ("this collector", 1)

    running(f"redis://127.0.0.1:{free_port()}/0", [deny("no", "")], body)


def test_what_was_not_taken_is_told_when_the_counters_are_back(redis_url: str) -> None:
    name = unique("no")

    async def body(one: Collector) -> None:
        there, away = one.tallies, RedisTallies(f"redis://127.0.0.1:{free_port()}/0")
        one.activity._tallies = away
        await one.check(TO_CART)
        await one.activity.tell()
        one.activity._tallies = there
        await one.check(TO_CART)
        assert (await one.status(name))["matched"] == 2
        assert (await there.read([f"{name}@1"]))[f"{name}@1"].times == 2
        await away.close()

    running(redis_url, [deny(name, "")], body)


def test_a_rule_that_matches_nothing_for_five_minutes_says_why(redis_url: str) -> None:
    name, other = unique("it"), unique("other")
    match = 'destination.service == "cart.shop" && source.service == "web"'

    async def body(one: Collector) -> None:
        one.now_s += IDLE_S - 1
        await one.check(*[TO_CART] * 3)
        early = await one.status(name)
        assert (early["idle"], early["why_idle"]) == (False, None)
        one.now_s += 1
        found = await one.status(name)
        assert (found["idle"], found["last_matched"], found["matched"]) == (True, None, 0)
        why = found["why_idle"]
        assert (why["why"], why["sampled"]) == ("values", 2)
        assert why["seen"] == [{"text": "web.shop", "requests": 2}]
        assert why["terms"] == [
            {"term": 'destination.service == "cart.shop"', "line": 1, "column": 1,
             "holds": 2, "of": 2},
            {"term": 'source.service == "web"', "line": 1, "column": 39, "holds": 0, "of": 2},
        ]  # fmt: skip
        assert why["term"] == why["terms"][1]
        assert not (await one.status(other))["idle"]

    running(redis_url, [deny(name, match), deny(other, "", mode="shadow")], body)


def test_a_rule_without_traffic_to_its_destination_says_so(redis_url: str) -> None:
    name = unique("it")

    async def body(one: Collector) -> None:
        one.now_s += IDLE_S
        await one.check(*[TO_CART] * 3)
        why = (await one.status(name))["why_idle"]
        assert (why["why"], why["seen"]) == ("no traffic", [{"text": "cart.shop", "requests": 2}])

    running(redis_url, [deny(name, 'destination.service == "cart"')], body)


def test_a_match_elsewhere_keeps_a_rule_from_being_idle_here(redis_url: str) -> None:
    name = unique("no")

    async def body(one: Collector, two: Collector) -> None:
        one.now_s = two.now_s = one.now_s + IDLE_S
        await two.check(TO_CART)
        await two.activity.tell()
        assert not (await one.status(name))["idle"]
        one.now_s += IDLE_S
        assert (await one.status(name))["idle"]

    running(redis_url, [deny(name, "")], body, collectors=2)


def test_a_collector_that_is_not_asked_says_that_others_are(redis_url: str) -> None:
    name, cart = unique("it"), unique("cart")
    match = f'destination.service == "{cart}" && source.service == "web"'

    async def body(one: Collector, two: Collector) -> None:
        one.now_s = two.now_s = one.now_s + IDLE_S
        assert (await one.status(name))["why_idle"]["why"] == "no checks"
        await two.check({"destination.service": cart})
        await two.activity.tell()
        assert (await one.status(name))["why_idle"]["why"] == "elsewhere"
        assert (await two.status(name))["why_idle"]["why"] == "absent"

    running(redis_url, [deny(name, match)], body, collectors=2)


def test_counting_begins_again_when_a_rule_is_changed(redis_url: str) -> None:
    name, other = unique("it"), unique("other")

    async def body(one: Collector) -> None:
        await one.check(TO_CART)
        assert (await one.status(name))["matched"] == 1
        one.now_s += IDLE_S
        assert (await one.status(name))["idle"]
        await one.swap(deny(name, 'source.service == "y"'), deny(other, "", version=1), version=2)
        changed, same = await one.status(name), await one.status(other)
        assert (changed["version"], changed["matched"], changed["idle"]) == (2, 0, False)
        assert (same["version"], same["matched"], same["idle"]) == (1, 1, True)
        one.now_s += IDLE_S
        assert (await one.status(name))["idle"]

    documents = [deny(name, 'source.service == "web.shop"', mode="shadow"), deny(other, "")]
    running(redis_url, documents, body)


def test_what_is_counted_of_rules_that_are_gone_is_forgotten(redis_url: str) -> None:
    async def body(one: Collector) -> None:
        await one.check(TO_CART)
        await one.activity.tell()
        assert one.activity.here("no@1").times == 1
        await one.swap(deny("other", ""))
        assert one.activity.here("no@1") == one.activity.here(checks_to("cart.shop")) == NEVER
        assert one.activity.here(CHECKS) != NEVER

    running(redis_url, [deny("no", 'destination.service == "cart.shop"')], body)


def test_a_rule_is_in_force_as_soon_as_it_is_changed(redis_url: str) -> None:
    name = unique("it")

    async def body(one: Collector) -> None:
        one.rules = [numbered(rule_from_json(deny(name, "")), 2)]
        assert not (await one.status(name))["in_force"]
        one.engine.swap(compile_snapshot(one.rules, 2))
        changed = await one.status(name)
        assert (changed["version"], changed["in_force"], changed["idle"]) == (2, True, False)

    running(redis_url, [deny(name, "")], body)


def test_a_disabled_rule_is_not_in_force_and_not_idle(redis_url: str) -> None:
    name = unique("it")

    async def body(one: Collector) -> None:
        one.now_s += IDLE_S
        found = await one.status(name)
        assert (found["in_force"], found["idle"], found["mode"]) == (False, False, "disabled")

    running(redis_url, [deny(name, "", mode="disabled")], body)


def test_requests_for_meshmeter_itself_are_neither_sampled_nor_counted(redis_url: str) -> None:
    async def body(one: Collector) -> None:
        await one.check({"destination.service": "meter.mesh"})
        await one.activity.tell()
        assert (one.sample.newest(), one.activity.here(CHECKS)) == ([], NEVER)
        assert one.activity.here("no@1") == NEVER
        await one.check(TO_CART)
        assert [each.destination for each in one.sample.newest()] == ["cart.shop"]

    running(redis_url, [deny("no", "")], body)


def test_all_rules_are_told_page_by_page(redis_url: str) -> None:
    names = sorted(unique("r") for _ in range(3))

    async def body(one: Collector) -> None:
        await one.check(TO_CART)
        first = await one.ask("/status/rules?limit=2")
        assert [each["rule"] for each in first.json()] == names[:2]
        assert first.headers["x-total-count"] == "3"
        assert "why_idle" not in first.json()[0]
        link = first.headers["link"].partition("<")[2].partition(">")[0]
        last = await one.ask(link.removeprefix("/api/v1"))
        assert [(each["rule"], each["matched"]) for each in last.json()] == [(names[2], 1)]
        assert "link" not in last.headers

    documents = [deny(name, "", mode="shadow") for name in names]
    running(redis_url, documents, body)


def test_an_unknown_rule_has_no_status(redis_url: str) -> None:
    async def body(one: Collector) -> None:
        assert (await one.ask("/rules/nobody/status")).status_code == 404

    running(redis_url, [], body)
