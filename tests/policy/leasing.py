"""A collector's counters in a process of their own, to be killed: charges one after the other, and
writes one byte for each that was granted, until it was refused ten times.

python -m tests.policy.leasing REDIS_URL FILE ALGORITHM LIMIT WINDOW_US
"""

import asyncio
import os
import sys

from policy.errors import CountersDown
from policy.quota import Quota, Take
from policy.quota.counters import RedisCounters
from policy.quota.keys import quota_key
from policy.quota.leased import LeasedCounters


async def main(url: str, file: str, algorithm: str, limit: int, window_us: int) -> None:
    shared = RedisCounters(url)
    await shared.check_server()
    counters = LeasedCounters(shared)
    quota = Quota(algorithm, limit, window_us, limit)
    take = Take(quota_key("shared", "0", algorithm, [file]), quota, 1, leased=True)
    granted = os.open(file, os.O_WRONLY | os.O_APPEND)
    refused = 0
    while refused < 10:
        try:
            grant = (await counters.charge((take,), 1))[0]
        except CountersDown:
            continue
        if grant.granted:
            os.write(granted, b"1")
        refused += not grant.granted
        await asyncio.sleep(0)
    await counters.give_back()
    await shared.close()


if __name__ == "__main__":
    url, file, algorithm, limit, window_us = sys.argv[1:]
    asyncio.run(main(url, file, algorithm, int(limit), int(window_us)))
