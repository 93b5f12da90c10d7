"""Counters' server killed, stopped, emptied and full, while many charge: each gets an answer, and
no more is admitted than the limit, once for each time that the server forgot."""

import asyncio
import shutil
import signal
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import psutil
import pytest
from redis.asyncio import Redis

from policy.attributes import AttributeBag
from policy.engine import Engine
from policy.errors import CountersDown
from policy.quota import Quota, Take
from policy.quota.breaker import Breaker
from policy.quota.counters import MemoryCounters, RedisCounters
from policy.results import DecidedBy, Decision
from policy.rules import rule_from_json
from policy.snapshot import compile_snapshot
from tests.conftest import ValkeyProcess
from tests.policy.objects import A_TO_B

LIMIT = 500
DAY = 86_400_000_000
QUOTA = Quota("fixed-window", LIMIT, DAY, LIMIT)
CALLERS = 32
DEADLINE_S = 0.025
STOPPED_S = 3

Told = Counter[str]
Condition = Callable[[], bool]


def patient(url: str) -> RedisCounters:
    """Asks the server every time, whether it answered lately or not."""
    return RedisCounters(url, breaker=Breaker(fails=10**9))


async def charge(counters: RedisCounters, told: Told, takes: tuple[Take, ...]) -> str:
    try:
        grants = await counters.charge(takes, DEADLINE_S)
    except CountersDown as error:
        answer = f"down: {error}"
    else:
        answer = "granted" if all(grant.granted for grant in grants) else "refused"
    told[answer] += 1
    return answer


async def crowd(
    counters: RedisCounters,
    told: Told,
    takes: tuple[Take, ...],
    enough: Condition,
    faults: Sequence[tuple[Condition, Callable[[], None]]] = (),
) -> None:
    """Many callers, each charging again as soon as it was answered. Faults come one after the
    other, each on its condition, in the midst of it."""
    coming = list(faults)

    async def caller() -> None:
        while coming or not enough():
            await charge(counters, told, takes)
            if coming and coming[0][0]():
                coming.pop(0)[1]()
            await asyncio.sleep(0)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


def down(told: Told) -> int:
    return sum(count for answer, count in told.items() if answer.startswith("down"))


def run(
    valkey: ValkeyProcess, story: Callable[[RedisCounters, Told], Coroutine[Any, Any, None]]
) -> Told:
    """The story, with counters that are closed at its end; what their callers were told."""

    async def told() -> Told:
        counters, told = patient(valkey.url), Told()
        await counters.check_server()
        async with asyncio.timeout(120):
            await story(counters, told)
        await counters.close()
        return told

    return asyncio.run(told())


def is_stopped(valkey: ValkeyProcess) -> bool:
    return psutil.Process(valkey.process.pid).status() == psutil.STATUS_STOPPED


def test_a_killed_server_leaves_no_caller_without_an_answer(valkey: ValkeyProcess) -> None:
    """Its append-only file loses a second at most: what was admitted in it can be again."""
    takes = (Take(uuid.uuid4().hex, QUOTA, 1),)

    async def story(counters: RedisCounters, told: Told) -> None:
        faults = (
            (lambda: told["granted"] > LIMIT // 4, valkey.kill),
            (lambda: down(told) > 10 * CALLERS, valkey.start),
        )
        await crowd(counters, told, takes, lambda: told["refused"] > 0, faults)

    assert LIMIT // 4 < run(valkey, story)["granted"] <= 2 * LIMIT


def test_a_server_that_comes_back_empty_admits_the_limit_once_more(valkey: ValkeyProcess) -> None:
    takes = (Take(uuid.uuid4().hex, QUOTA, 1),)

    async def story(counters: RedisCounters, told: Told) -> None:
        await crowd(counters, told, takes, lambda: told["refused"] > 0)
        first = told["granted"]
        assert first <= LIMIT
        valkey.kill()
        await crowd(counters, told, takes, lambda: down(told) > 10 * CALLERS)
        shutil.rmtree(valkey.data_dir)
        valkey.start()
        refused = told["refused"]
        await crowd(counters, told, takes, lambda: told["refused"] > refused)
        assert 0 < told["granted"] - first <= LIMIT

    run(valkey, story)


def test_a_server_stopped_for_seconds_is_cut_off_at_the_deadline(valkey: ValkeyProcess) -> None:
    """Answers come while it is stopped. What it does when it goes on, nobody was granted."""
    takes = (Take(uuid.uuid4().hex, QUOTA, 1),)

    async def story(counters: RedisCounters, told: Told) -> None:
        await crowd(counters, told, takes, lambda: told["granted"] > LIMIT // 4)
        valkey.process.send_signal(signal.SIGSTOP)
        clock = asyncio.get_running_loop().time
        end = clock() + STOPPED_S
        granted = told["granted"]
        await crowd(counters, told, takes, lambda: clock() > end)
        assert is_stopped(valkey)
        assert told["granted"] == granted
        assert told["down: no answer in time"] > 10 * CALLERS
        valkey.process.send_signal(signal.SIGCONT)
        await crowd(counters, told, takes, lambda: told["refused"] > 0)

    assert run(valkey, story)["granted"] <= LIMIT


def test_a_stopped_server_is_soon_asked_no_more(valkey: ValkeyProcess) -> None:
    takes = (Take(uuid.uuid4().hex, QUOTA, 1),)

    async def story() -> Told:
        counters, told = RedisCounters(valkey.url), Told()
        await counters.check_server()
        valkey.process.send_signal(signal.SIGSTOP)
        await crowd(counters, told, takes, lambda: down(told) > 100 * CALLERS)
        assert is_stopped(valkey)
        await counters.close()
        return told

    told = asyncio.run(story())
    assert told["down: no answer in time"] < 10 * CALLERS
    assert told["granted"] == 0


async def fill(client: "Redis[bytes]") -> None:
    """No room is left for anything."""
    await client.config_set("maxmemory", 1)


async def make_room(client: "Redis[bytes]") -> None:
    await client.config_set("maxmemory", 0)


def test_a_full_server_admits_nothing_and_forgets_nothing(valkey: ValkeyProcess) -> None:
    takes = (Take(uuid.uuid4().hex, QUOTA, 1), Take(uuid.uuid4().hex, QUOTA, 1))

    async def story(counters: RedisCounters, told: Told) -> None:
        client = Redis.from_url(valkey.url)
        await crowd(counters, told, takes, lambda: told["granted"] > LIMIT // 4)
        await fill(client)
        granted, tried = told["granted"], told.total()
        await crowd(counters, told, takes, lambda: told.total() > tried + 10 * CALLERS)
        assert told["granted"] == granted
        assert any("maxmemory" in answer for answer in told)
        peeked = await counters.peek(takes, 5)
        assert all(grant.remaining <= LIMIT - granted for grant in peeked)
        await make_room(client)
        await crowd(counters, told, takes, lambda: told["refused"] > 0)
        await client.aclose()

    assert run(valkey, story)["granted"] <= LIMIT


def test_a_full_server_still_refuses(valkey: ValkeyProcess) -> None:
    takes = (Take(uuid.uuid4().hex, QUOTA, LIMIT),)

    async def story(counters: RedisCounters, told: Told) -> None:
        client = Redis.from_url(valkey.url)
        assert await charge(counters, told, takes) == "granted"
        await fill(client)
        assert await charge(counters, told, takes) == "refused"
        await client.aclose()

    run(valkey, story)


@pytest.mark.parametrize(
    ("policy", "admitted"), [("open", 3 * LIMIT), ("closed", 0), ("local", LIMIT)]
)
def test_every_check_is_decided_while_the_server_is_stopped(
    valkey: ValkeyProcess, policy: str, admitted: int
) -> None:
    rule = rule_from_json(
        {"kind": "quota", "name": "q", "limit": LIMIT, "window": 86_400}
        | {"algorithm": "fixed-window", "on_backend_error": policy}
    )

    async def decided(answer: Decision | Awaitable[Decision]) -> Decision:
        return answer if isinstance(answer, Decision) else await answer

    async def story() -> list[Decision]:
        counters = RedisCounters(valkey.url)
        await counters.check_server()
        engine = Engine(counters, compile_snapshot([rule], 1), MemoryCounters())
        valkey.process.send_signal(signal.SIGSTOP)
        decisions = await asyncio.gather(
            *(decided(engine.check(AttributeBag(A_TO_B))) for _ in range(3 * LIMIT))
        )
        assert is_stopped(valkey)
        await counters.close()
        return decisions

    decisions = asyncio.run(story())
    assert {decision.decided_by for decision in decisions} == {DecidedBy.FALLBACK}
    assert sum(decision.allowed for decision in decisions) == admitted
