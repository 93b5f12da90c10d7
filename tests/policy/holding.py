"""A collector's counters in a process of their own, which holds a part until somebody takes it.

python -m tests.policy.holding REDIS_URL RULE: prints how much it holds, and when it holds nothing
any more how much of that it still had.
"""

import asyncio
import sys

from policy.quota import Quota, Take
from policy.quota.counters import RedisCounters
from policy.quota.keys import quota_key
from policy.quota.leased import LeasedCounters
from policy.quota.lending import Lending
from tests.waiting import soon

LIMIT = 10_000
QUOTA = Quota("fixed-window", LIMIT, 366 * 86_400_000_000, LIMIT)
HELD = 20
FOR_EVER_S = 600.0


def take_of(rule: str, amount: int = 1) -> Take:
    return Take(quota_key(rule, "0", QUOTA.algorithm, []), QUOTA, amount, leased=True)


async def main(url: str, rule: str) -> None:
    shared, lending = RedisCounters(url), Lending(url)
    counters = LeasedCounters(shared, lending=lending, lease_s=FOR_EVER_S)
    charged = 0
    while counters.outstanding.get(rule, 0) < HELD:
        charged += (await counters.charge((take_of(rule),), 5))[0].granted
    print(charged, counters.outstanding[rule], flush=True)

    async def nothing_is_held() -> bool:
        return not counters.outstanding

    await soon(nothing_is_held)
    await counters.give_back()
    print("gone", flush=True)
    await lending.close()
    await shared.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
