"""What only shared counters can do: come late, go away, come back."""

import asyncio
import signal
import uuid
from collections.abc import Awaitable

import pytest
from redis.asyncio import Redis

from policy.errors import CountersDown, UnsuitableCounters
from policy.quota import Dedup, Grant, Quota, Take
from policy.quota.breaker import Breaker
from policy.quota.contract import dedup_key
from policy.quota.counters import RedisCounters
from tests.conftest import ValkeyProcess

MANY = Quota("token-bucket", 1_000_000, 1_000_000, 1_000_000)
ONE = Quota("fixed-window", 1, 86_400_000_000, 1)


def take(quota: Quota = MANY, key: str = "") -> tuple[Take, ...]:
    return (Take(key or uuid.uuid4().hex, quota, 1),)


async def answers(counters: RedisCounters, within_s: float = 20) -> Grant:
    """The first answer; the server may still be starting."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                return (await counters.charge(take(), 1))[0]
            except CountersDown:
                await asyncio.sleep(0.01)


def test_one_turn_of_the_loop_is_one_call(redis_url: str) -> None:
    async def run() -> int:
        counters, client = RedisCounters(redis_url), Redis.from_url(redis_url)
        await counters.check_server()
        key = uuid.uuid4().hex
        await client.config_resetstat()
        grants = await asyncio.gather(*(counters.charge(take(ONE, key), 5) for _ in range(100)))
        stats = await client.info("commandstats")
        await client.aclose()
        await counters.close()
        assert sum(grant[0].granted for grant in grants) == 1
        return int(stats["cmdstat_evalsha"]["calls"])

    assert asyncio.run(run()) == 1


def test_two_collectors_share_a_counter_on_the_servers_clock(redis_url: str) -> None:
    async def run() -> list[bool]:
        first, second = RedisCounters(redis_url), RedisCounters(redis_url)
        key = uuid.uuid4().hex
        granted = [
            (await counters.charge(take(ONE, key), 5))[0].granted for counters in (first, second)
        ]
        await first.close()
        await second.close()
        return granted

    assert asyncio.run(run()) == [True, False]


def test_every_key_expires(redis_url: str) -> None:
    async def run() -> list[int]:
        counters, client = RedisCounters(redis_url), Redis.from_url(redis_url)
        found = []
        for quota in (MANY, ONE):
            key = uuid.uuid4().hex
            await counters.charge(take(quota, key), 5)
            found.append(await client.pttl(key))
        await client.aclose()
        await counters.close()
        return found

    bucket, window = asyncio.run(run())
    assert 0 < bucket <= 11_000
    assert 0 < window <= 86_410_000


def test_a_retry_at_another_collector_is_charged_once(redis_url: str) -> None:
    async def run() -> tuple[list[int], int]:
        first, second = RedisCounters(redis_url), RedisCounters(redis_url)
        takes, dedup = take(), Dedup("web", uuid.uuid4().hex)
        left = [
            (await counters.charge(takes, 5, dedup=dedup))[0].remaining
            for counters in (first, second)
        ]
        client = Redis.from_url(redis_url)
        kept_ms = await client.pttl(dedup_key(dedup, takes))
        await client.aclose()
        await first.close()
        await second.close()
        return left, kept_ms

    left, kept_ms = asyncio.run(run())
    assert left == [999_999, 999_999]
    assert 0 < kept_ms <= 60_000


def test_a_key_that_is_no_state_counts_from_nothing(redis_url: str) -> None:
    async def run() -> list[bool]:
        counters, client = RedisCounters(redis_url), Redis.from_url(redis_url)
        key = uuid.uuid4().hex
        await client.set(key, "1700006400000000 1")
        granted = [(await counters.charge(take(ONE, key), 5))[0].granted for _ in range(2)]
        await client.aclose()
        await counters.close()
        return granted

    assert asyncio.run(run()) == [True, False]


def test_a_server_that_would_evict_is_refused(valkey: ValkeyProcess) -> None:
    async def run() -> None:
        client = Redis.from_url(valkey.url)
        await client.config_set("maxmemory-policy", "allkeys-lru")
        await client.aclose()
        counters = RedisCounters(valkey.url)
        try:
            await counters.check_server()
        finally:
            await counters.close()

    with pytest.raises(UnsuitableCounters, match="allkeys-lru"):
        asyncio.run(run())


def test_a_server_that_hides_its_configuration_is_accepted(valkey: ValkeyProcess) -> None:
    async def run() -> Grant:
        client = Redis.from_url(valkey.url)
        await client.acl_setuser(
            "meter", enabled=True, passwords=["+secret"], categories=["+@all"],
            commands=["-config"], keys=["*"],
        )  # fmt: skip
        await client.aclose()
        counters = RedisCounters(valkey.url.replace("://", "://meter:secret@"))
        await counters.check_server()
        grant = (await counters.charge(take(), 5))[0]
        await counters.close()
        return grant

    assert asyncio.run(run()).granted


def test_a_server_that_is_away_is_known_before_start(valkey: ValkeyProcess) -> None:
    async def run() -> None:
        counters = RedisCounters(valkey.url)
        try:
            await counters.check_server()
        finally:
            await counters.close()

    valkey.kill()
    with pytest.raises(CountersDown):
        asyncio.run(run())


def test_a_server_started_again_is_used_again_without_its_script(valkey: ValkeyProcess) -> None:
    async def run() -> None:
        counters = RedisCounters(valkey.url)
        await counters.check_server()
        valkey.kill()
        for _ in range(4):
            with pytest.raises(CountersDown):
                await counters.charge(take(), 0.025)
        valkey.start()
        assert (await answers(counters)).granted
        await counters.close()

    asyncio.run(run())


def test_a_flushed_script_is_loaded_again(valkey: ValkeyProcess) -> None:
    async def run() -> Grant:
        counters, client = RedisCounters(valkey.url), Redis.from_url(valkey.url)
        await counters.check_server()
        await client.script_flush()
        grant = (await counters.charge(take(), 5))[0]
        await client.aclose()
        await counters.close()
        return grant

    assert asyncio.run(run()).granted


def test_a_stalled_server_costs_the_deadline_and_then_nothing(valkey: ValkeyProcess) -> None:
    async def failed(charge: Awaitable[list[Grant]]) -> str:
        with pytest.raises(CountersDown) as error:
            await charge
        return str(error.value)

    async def run() -> None:
        counters = RedisCounters(valkey.url)
        await counters.check_server()
        valkey.process.send_signal(signal.SIGSTOP)
        reasons = [await failed(counters.charge(take(), 0.01)) for _ in range(5)]
        assert reasons == ["no answer in time"] * 3 + ["the counters did not answer lately"] * 2
        valkey.process.send_signal(signal.SIGCONT)
        assert (await answers(counters)).granted
        await counters.close()

    asyncio.run(run())


def test_a_late_answer_is_not_taken_for_the_next(valkey: ValkeyProcess) -> None:
    async def run() -> list[int]:
        counters = RedisCounters(valkey.url, breaker=Breaker(fails=1_000))
        await counters.check_server()
        key = uuid.uuid4().hex
        valkey.process.send_signal(signal.SIGSTOP)
        for _ in range(3):
            with pytest.raises(CountersDown):
                await counters.charge(take(ONE), 0.01)
        valkey.process.send_signal(signal.SIGCONT)
        left = [(await counters.charge(take(MANY, key), 5))[0].remaining for _ in range(3)]
        await counters.close()
        return left

    assert all(left > 900_000 for left in asyncio.run(run()))


def test_a_crowd_at_the_start_does_not_open_the_breaker(redis_url: str) -> None:
    async def run() -> int:
        counters = RedisCounters(redis_url)
        found = await asyncio.gather(
            *(counters.charge(take(), 5 + 0.001 * number) for number in range(200))
        )
        await counters.close()
        return sum(grant[0].granted for grant in found)

    assert asyncio.run(run()) == 200


def test_a_breaker_opens_after_its_fails_and_lets_one_probe_through() -> None:
    now = [0.0]
    breaker = Breaker(fails=3, open_s=0.25, clock=lambda: now[0])
    for _ in range(2):
        breaker.failed()
    assert breaker.lets_through()
    breaker.failed()
    assert not breaker.closed
    assert not breaker.lets_through()
    now[0] = 0.25
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    breaker.failed()
    assert not breaker.lets_through()
    now[0] = 0.5
    assert breaker.lets_through()
    breaker.succeeded()
    assert breaker.closed
