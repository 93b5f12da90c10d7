"""What is taken of quotas in advance is seen from outside."""

import asyncio

from prometheus_client import CollectorRegistry

from collector.quota_metrics import LeaseMetrics
from policy.quota import Quota, Take
from policy.quota.keys import quota_key
from policy.quota.leased import LeasedCounters
from policy.quota.memory import MemoryCounters


def test_what_a_collector_holds_is_shown_by_rule() -> None:
    registry = CollectorRegistry()
    quota = Quota("fixed-window", 10_000, 86_400_000_000, 10_000)
    take = (Take(quota_key("calm", "0", quota.algorithm, ["ann"]), quota, 1, leased=True),)

    async def held() -> tuple[float | None, dict[str, int]]:
        counters = LeasedCounters(MemoryCounters())
        metrics = LeaseMetrics(counters, registry)
        for _ in range(10):
            await counters.charge(take, 1)
            await asyncio.sleep(0)
        shown = registry.get_sample_value("meshmeter_quota_leased", {"rule": "calm"})
        outstanding = counters.outstanding
        await counters.give_back()
        assert registry.get_sample_value("meshmeter_quota_leased", {"rule": "calm"}) is None
        metrics.close()
        return shown, outstanding

    shown, outstanding = asyncio.run(held())
    assert shown == outstanding["calm"] > 0
