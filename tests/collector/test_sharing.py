"""Sidecars that count by themselves are kept at their share, whatever changes around them."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from collector.decisions.log import DecisionLog
from collector.own import Own
from collector.services import Assignment, Member, Usage, Verb
from collector.shares import QuotaSharing, UsageRecorder
from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.kinds import AnyRule, DenyRule, Mode, OnBackendError, QuotaRule
from policy.quota.memory import MemoryCounters
from policy.quota.parts import US
from policy.quota.shares import MemoryShares, RedisShares, Shares
from policy.snapshot import compile_snapshot
from tests.collector.checking import Kept
from tests.collector.policy_parts import until
from tests.conftest import ValkeyProcess
from tests.counters import Counters

BAG = AttributeBag({"destination.service": "cart.shop", "source.service": "web.shop"})
FIRST = Usage(1, 0, 0.0)
BUSY = Usage(200, 100, 5.0)
IDLE = Usage(0, 0, 5.0)
ALLOW, DENY = Assignment(Verb.ALLOW), Assignment(Verb.DENY)
NO = DenyRule(name="no", version=4, match='destination.service == "cart.shop"')


def quota(limit: int = 40, name: str = "forty", **more: Any) -> QuotaRule:
    return QuotaRule(name=name, version=3, limit=limit, window=1, **more)


class Collector:
    """The sharing of one collector. Its clock is moved by hand, unless it is given one."""

    def __init__(
        self,
        *rules: AnyRule,
        shares: Shares | None = None,
        allow_sample: float = 0.0,
        clock: Callable[[], float] | None = None,
        live: int = 1,
    ) -> None:
        self.now_s = 1000.0
        self.shares = shares or MemoryShares(lambda: int(self.now_s * US))
        self.kept = Kept()
        self.decisions = DecisionLog(self.kept)
        self.engine = Engine(MemoryCounters(), compile_snapshot(rules, version=1))
        self.sharing = QuotaSharing(
            self.engine,
            self.shares,
            UsageRecorder(self.decisions, allow_sample),
            Own((), ("meshmeter.shop",)),
            clock=clock or (lambda: self.now_s),
            live=lambda: live,
        )

    def rules(self, *rules: AnyRule) -> None:
        """In force from now on."""
        present = self.engine.snapshot
        assert present
        self.engine.swap(compile_snapshot(rules, present.version + 1, present))

    def sidecar(self, name: str = "cart-1.shop") -> "Sidecar":
        return Sidecar(self, name)

    async def records(self) -> list[dict[str, Any]]:
        await self.decisions.close()
        return [
            json.loads(line) for report in self.kept.reports for line in report.body.splitlines()
        ]


class Sidecar:
    def __init__(self, collector: Collector, name: str) -> None:
        self.told: list[Assignment] = []
        self.collector = collector
        self.member: Member = collector.sharing.join(name, self._tell)

    def _tell(self, _bucket: object, assignment: Assignment) -> None:
        self.told.append(assignment)

    def report(self, usage: Usage, bag: AttributeBag = BAG, bucket: str = "b") -> None:
        self.member.report(bucket, bag, usage)

    async def first(self, bag: AttributeBag = BAG) -> Assignment:
        self.report(FIRST, bag)
        await self.heard(1)
        return self.told[-1]

    async def heard(self, count: int) -> None:
        await until(lambda: len(self.told) >= count)

    @property
    def rate(self) -> float:
        last = self.told[-1]
        return last.tokens / last.seconds if last.verb is Verb.COUNT else 0.0


@asynccontextmanager
async def over_redis(url: str, rule: AnyRule, count: int = 2) -> AsyncIterator[list[Collector]]:
    """Collectors that share one server, by the clock on the wall."""
    stores = [RedisShares(url) for _ in range(count)]
    made = [Collector(rule, shares=store, clock=time.monotonic) for store in stores]
    yield made
    for collector, store in zip(made, stores, strict=True):
        await collector.sharing.close()
        await store.close()


def on_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_changed_limit_is_told_unasked():
    async def test() -> None:
        collector = Collector(quota(40))
        sidecar = collector.sidecar()
        assert (await sidecar.first()).tokens == 40
        collector.now_s += 1
        collector.rules(quota(10))
        await sidecar.heard(2)
        assert sidecar.rate == 10

    on_a_loop(test)


def test_rules_that_come_and_go_are_told_unasked():
    async def test() -> None:
        collector = Collector()
        sidecar = collector.sidecar()
        assert await sidecar.first() == ALLOW
        for rules, expected in (
            ([quota()], Verb.COUNT),
            ([quota(), NO], Verb.DENY),
            ([quota(mode=Mode.SHADOW)], Verb.ALLOW),
            ([quota(mode=Mode.DISABLED), NO], Verb.DENY),
            ([quota(name="other")], Verb.COUNT),
        ):
            collector.now_s += 1
            count = len(sidecar.told)
            collector.rules(*rules)
            await sidecar.heard(count + 1)
            assert sidecar.told[-1].verb is expected
        assert sidecar.told[-1].renewed

    on_a_loop(test)


def test_requests_for_meshmeter_itself_are_never_limited():
    async def test() -> None:
        sidecar = Collector(quota(), DenyRule(name="all")).sidecar()
        bag = AttributeBag({"destination.service": "meshmeter.shop"})
        assert await sidecar.first(bag) == ALLOW

    on_a_loop(test)


def test_what_a_sidecar_would_forget_is_told_again():
    async def test() -> None:
        collector = Collector(quota())
        sidecar = collector.sidecar()
        first = await sidecar.first()
        for _ in range(4):
            collector.now_s += 5
            sidecar.report(BUSY)
        assert len(sidecar.told) == 1
        collector.now_s += 5
        sidecar.report(BUSY)
        assert sidecar.told[1] == first._replace(renewed=False)

    on_a_loop(test)


def test_a_bucket_that_nobody_uses_is_given_up_and_begins_anew_when_somebody_does():
    async def test() -> None:
        collector = Collector(quota())
        sidecar = collector.sidecar()
        await sidecar.first()
        for _ in range(121):
            collector.now_s += 5
            sidecar.report(IDLE)
        assert sidecar.told[-1].verb is Verb.FORGET
        count = len(sidecar.told)
        sidecar.report(FIRST)
        await sidecar.heard(count + 1)
        assert sidecar.told[-1].verb is Verb.COUNT

    on_a_loop(test)


def test_a_lost_sidecars_share_goes_to_the_others():
    async def test() -> None:
        collector = Collector(quota())
        one, two = collector.sidecar("cart-1.shop"), collector.sidecar("cart-2.shop")
        await one.first()
        await two.first()
        await until(lambda: one.rate == two.rate)
        two.member.leave(lost=True)

        def goes_on() -> bool:
            collector.now_s += 1
            one.report(BUSY)
            return one.rate > 36

        await until(goes_on)

    on_a_loop(test)


def test_a_share_is_kept_for_a_sidecar_whose_collector_closes():
    async def test() -> None:
        collector = Collector(quota())
        one, two = collector.sidecar("cart-1.shop"), collector.sidecar("cart-2.shop")
        await one.first()
        await two.first()
        await until(lambda: one.rate == two.rate)
        two.member.leave(lost=False)
        collector.now_s += 30
        again = collector.sidecar("cart-2.shop")
        again.report(BUSY)
        await again.heard(1)
        assert not again.told[-1].renewed
        assert 18 <= again.rate <= 40 - one.rate

    on_a_loop(test)


def test_another_collector_finds_the_shares_that_one_gave():
    async def test() -> None:
        killed = Collector(quota())
        told = await killed.sidecar().first()
        await killed.sharing.close()
        killed.now_s += 5
        other = Collector(quota(), shares=killed.shares).sidecar()
        other.report(BUSY)
        await other.heard(1)
        assert other.told == [told._replace(renewed=False)]

    on_a_loop(test)


def test_a_sidecar_of_another_collector_takes_its_part_at_once(redis_url):
    async def test() -> None:
        rule = quota(name=f"q-{uuid.uuid4().hex[:8]}")
        async with over_redis(redis_url, rule) as (here, there):
            one, two = here.sidecar("cart-1.shop"), there.sidecar("cart-2.shop")
            assert (await one.first()).tokens == 40
            await two.first()
            await until(lambda: one.rate == two.rate > 18)

    on_a_loop(test)


def test_one_name_at_two_collectors_is_two_sidecars(redis_url):
    async def test() -> None:
        rule = quota(name=f"q-{uuid.uuid4().hex[:8]}")
        async with over_redis(redis_url, rule) as (here, there):
            one, two = here.sidecar("same"), there.sidecar("same")
            assert (await one.first()).tokens == 40
            await two.first()
            await until(lambda: one.rate == two.rate > 18)

    on_a_loop(test)


@pytest.mark.parametrize(
    ("policy", "verb"),
    [
        (OnBackendError.OPEN, Verb.ALLOW),
        (OnBackendError.CLOSED, Verb.DENY),
        (OnBackendError.LOCAL, Verb.COUNT),
    ],
)
def test_without_counters_who_has_a_share_keeps_it_and_others_follow_the_rule(
    valkey: ValkeyProcess, policy: OnBackendError, verb: Verb
) -> None:
    async def test() -> None:
        rule = quota(on_backend_error=policy, dimensions=("source.service",))
        async with over_redis(valkey.url, rule, 1) as (collector,):
            old, new = collector.sidecar("cart-1.shop"), collector.sidecar("cart-2.shop")
            told = await old.first()
            valkey.kill()
            old.report(BUSY)
            other = AttributeBag({"source.service": "other.shop"})
            assert (await new.first(other)).verb is verb
            assert old.told == [told]
            await asyncio.to_thread(valkey.start)
            await until(lambda: new.told[-1].verb is Verb.COUNT)
            assert new.rate == 40

    on_a_loop(test)


def test_without_counters_a_collector_splits_its_part_of_the_limit(valkey: ValkeyProcess) -> None:
    async def test() -> None:
        store = RedisShares(valkey.url)
        collector = Collector(quota(40), shares=store, clock=time.monotonic, live=4)
        valkey.kill()
        one, two = collector.sidecar("cart-1.shop"), collector.sidecar("cart-2.shop")
        assert (await one.first()).verb is Verb.COUNT
        await two.first()
        await until(lambda: one.rate == two.rate)
        assert 4 <= one.rate <= 5
        await collector.sharing.close()
        await store.close()

    on_a_loop(test)


def test_denials_of_a_share_are_one_record_a_report_that_stands_for_all_of_them():
    async def test() -> None:
        collector = Collector(quota(dimensions=("source.service",)))
        sidecar, counters = collector.sidecar(), Counters()
        await sidecar.first()
        collector.now_s += 5
        sidecar.report(BUSY)
        (record,) = await collector.records()
        assert record["weight"] == 100
        assert (record["rule"], record["rule_version"], record["allowed"]) == ("forty", 3, 0)
        assert (record["decided_by"], record["protocol"]) == ("quota", "rlqs")
        assert record["quota_limit"] == 40
        assert record["quota_key"] == record["attributes"]["source.service"] == "web.shop"
        reason = "quota forty is exhausted: the sidecar's share of it is 40 every second"
        assert record["reason"] == reason
        assert counters.moved("checks", protocol="rlqs", answer="denied") == 100
        assert counters.moved("shared_quota_requests", rule="forty", answer="denied") == 100
        assert counters.moved("shared_quota_requests", rule="forty", answer="allowed") == 200
        assert collector.engine.counts.matched["forty@3"] == 301

    on_a_loop(test)


def test_allows_are_sampled_and_the_sample_stands_for_all_of_them():
    async def test() -> None:
        collector = Collector(quota(), allow_sample=0.1)
        sidecar = collector.sidecar()
        await sidecar.first()
        for _ in range(50):
            collector.now_s += 5
            sidecar.report(Usage(5, 0, 5.0))
        records = await collector.records()
        assert {record["allowed"] for record in records} == {1}
        assert {record["weight"] for record in records} == {10.0}
        assert 8 <= len(records) <= 42  # of 25 expected, within five standard deviations

    on_a_loop(test)


def test_what_a_deny_rule_refused_is_recorded_as_its_denials():
    async def test() -> None:
        collector = Collector(NO)
        sidecar = collector.sidecar()
        assert await sidecar.first() == DENY
        collector.now_s += 5
        sidecar.report(Usage(0, 7, 5.0))
        (record,) = await collector.records()
        assert (record["rule"], record["decided_by"], record["weight"]) == ("no", "deny", 7)

    on_a_loop(test)


def test_what_a_sidecar_refused_before_it_was_told_anything_is_a_fallback():
    async def test() -> None:
        collector = Collector(quota())
        collector.sidecar().report(Usage(0, 1, 0.0))
        (record,) = await collector.records()
        assert (record["decided_by"], record["allowed"]) == ("fallback", 0)
        assert record["reason"] == "the sidecar had not been told what to do"

    on_a_loop(test)


def test_tokens_that_go_round_say_so():
    async def test() -> None:
        collector = Collector(QuotaRule(name="rare", limit=1, window=60))
        one, two = collector.sidecar("cart-1.shop"), collector.sidecar("cart-2.shop")
        collector.now_s += 5
        for _ in range(3):
            one.report(Usage(0, 5, 5.0))
            two.report(Usage(0, 5, 5.0))
            await asyncio.sleep(0)
        await until(lambda: one.told and two.told)
        verbs = {sidecar.told[-1].verb for sidecar in (one, two)}
        assert verbs == {Verb.COUNT, Verb.DENY}
        collector.now_s += 5
        one.report(Usage(0, 5, 5.0))
        two.report(Usage(0, 5, 5.0))
        reasons = {record["reason"] for record in await collector.records()}
        prefix = "quota rare is exhausted: "
        assert prefix + "its tokens go round, and it is another sidecar's turn" in reasons
        assert prefix + "the sidecar has no share of it now" in reasons

    on_a_loop(test)
