"""Matches of all collectors, summed in a real Redis."""

import asyncio
import uuid

import pytest

from policy.errors import CountersDown
from policy.quota.tallies import RedisTallies, Tally
from tests.conftest import free_port


def test_what_collectors_add_is_summed_and_the_latest_is_kept(redis_url: str) -> None:
    one, two = (f"r-{uuid.uuid4().hex}" for _ in range(2))

    async def run() -> dict[str, Tally]:
        here, there = RedisTallies(redis_url), RedisTallies(redis_url)
        await here.add({one: 3, two: 1}, 2_000)
        await there.add({one: 4}, 5_000)
        await here.add({one: 1}, 3_000)
        found = await there.read([one, "never", two])
        await here.close()
        await there.close()
        return found

    assert asyncio.run(run()) == {
        one: Tally(8, 5_000), "never": Tally(0, 0), two: Tally(1, 2_000)
    }  # fmt: skip


def test_ten_thousand_rules_are_read_at_once(redis_url: str) -> None:
    names = [f"r-{uuid.uuid4().hex}-{number}" for number in range(10_000)]

    async def run() -> dict[str, Tally]:
        tallies = RedisTallies(redis_url)
        await tallies.add(dict.fromkeys(names, 2), 1)
        found = await tallies.read(names)
        await tallies.close()
        return found

    assert asyncio.run(run()) == dict.fromkeys(names, Tally(2, 1))


def test_a_server_that_is_away_is_said_to_be() -> None:
    async def run() -> None:
        tallies = RedisTallies(f"redis://127.0.0.1:{free_port()}/0")
        with pytest.raises(CountersDown):
            await tallies.add({"r": 1}, 1)
        await tallies.close()

    asyncio.run(run())
