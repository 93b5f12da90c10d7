"""Splits in Redis: one for all collectors, whichever of them come, go and race."""

import asyncio
import signal
import uuid

import pytest
from redis.asyncio import Redis

from policy.errors import CountersDown
from policy.quota.parts import UNKNOWN, Claim, Settled, Terms
from policy.quota.shares import PREFIX, Ask, MemoryShares, RedisShares
from tests.conftest import ValkeyProcess

HUNDRED = Terms(100.0, 100.0, 1)


def first(*names: str) -> Ask:
    return Ask(HUNDRED, tuple(Claim(name, name, UNKNOWN, 1, fresh=True) for name in names))


async def one(shares: RedisShares, key: str, ask: Ask) -> Settled:
    return (await shares.settle({key: ask}))[key]


def test_memory_and_redis_say_the_same(redis_url: str) -> None:
    async def run() -> None:
        shared, own = RedisShares(redis_url), MemoryShares()
        asks = {uuid.uuid4().hex: first("a"), uuid.uuid4().hex: first("a", "b")}
        in_redis, in_memory = await shared.settle(asks), await own.settle(asks)
        for key, settled in in_memory.items():
            here = {name: held[:4] for name, held in settled.split.holdings.items()}
            assert {name: held[:4] for name, held in in_redis[key].split.holdings.items()} == here
        await shared.close()

    asyncio.run(run())


def test_collectors_that_race_give_no_more_than_there_is(redis_url: str) -> None:
    async def run() -> None:
        key = uuid.uuid4().hex
        stores = [RedisShares(redis_url) for _ in range(3)]

        async def join(at: int) -> None:
            for number in range(8):
                await one(stores[at], key, first(f"{at}-{number}"))

        await asyncio.gather(*(join(at) for at in range(len(stores))))
        settled = await one(stores[0], key, Ask(HUNDRED, ()))
        held = settled.split.holdings
        assert len(held) == 24
        assert sum(holding.rate for holding in held.values()) <= 100
        assert settled.split.level + sum(holding.size for holding in held.values()) <= 100
        for store in stores:
            await store.close()

    asyncio.run(run())


def test_a_split_outlives_the_collector(redis_url: str) -> None:
    async def run() -> None:
        key = uuid.uuid4().hex
        before = RedisShares(redis_url)
        told = (await one(before, key, first("a"))).split.holdings["a"]
        await before.close()
        after = RedisShares(redis_url)
        again = await one(after, key, Ask(HUNDRED, (Claim("a", "anew", 50.0),)))
        assert again.split.holdings["a"][:3] == told[:3]
        assert not again.renewed
        await after.close()

    asyncio.run(run())


def test_other_collectors_learn_that_somebody_lacks_something(redis_url: str) -> None:
    async def run() -> None:
        key = uuid.uuid4().hex
        here, there = RedisShares(redis_url), RedisShares(redis_url)
        await one(here, key, first("a"))
        assert key not in await here.short()
        await one(there, key, first("b"))
        assert key in await here.short()
        lowered = await one(here, key, Ask(HUNDRED, (Claim("a", "a"),)))
        raised = await one(there, key, Ask(HUNDRED, (Claim("b", "b"),)))
        assert lowered.split.holdings["a"].rate == raised.split.holdings["b"].rate > 45
        await here.close()
        await there.close()

    asyncio.run(run())


def test_a_split_is_forgotten_when_nobody_holds_it_and_its_pool_is_full(redis_url: str) -> None:
    async def run() -> None:
        shares, client = RedisShares(redis_url), Redis.from_url(redis_url)
        key, slow = uuid.uuid4().hex, uuid.uuid4().hex
        await shares.settle({key: first("a")})
        await shares.settle({slow: Ask(Terms(1 / 3600, 1.0), first("a").claims)})
        assert 65_000 < await client.pttl(PREFIX + key) < 80_000
        assert await client.pttl(PREFIX + slow) > 3_600_000
        await client.aclose()
        await shares.close()

    asyncio.run(run())


def test_what_cannot_be_read_is_begun_anew(redis_url: str) -> None:
    async def run() -> None:
        shares, client = RedisShares(redis_url), Redis.from_url(redis_url)
        key = uuid.uuid4().hex
        for text in ("", "{", "[1]", "[[1,1,1],1,1,1,5]"):
            await client.hset(PREFIX + key, mapping={"version": 3, "split": text})
            assert (await one(shares, key, first("a"))).renewed == {"a"}
        await client.aclose()
        await shares.close()

    asyncio.run(run())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_does_not_answer_is_said_and_found_again(
    valkey: ValkeyProcess, number: signal.Signals
) -> None:
    async def run() -> None:
        shares = RedisShares(valkey.url)
        await one(shares, "key", first("a"))
        valkey.process.send_signal(number)
        for _ in range(5):
            with pytest.raises(CountersDown):
                await one(shares, "key", first("b"))
        if number is signal.SIGKILL:
            valkey.process.wait()
            await asyncio.to_thread(valkey.start)
        else:
            valkey.process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(20):
            while True:
                try:
                    await one(shares, "key", first("c"))
                    break
                except CountersDown:
                    await asyncio.sleep(0.01)
        await shares.close()

    asyncio.run(run())
