"""Quotas of requests in flight: held until a request is over, released by its decision's lease."""

import asyncio
from typing import Any

import pytest

from policy.attributes import AttributeBag
from policy.errors import CountersDown
from policy.quota.counters import MemoryCounters, RedisCounters
from policy.results import Decision
from tests.policy.deciding import decide, deciding

ONE = {"algorithm": "concurrency", "limit": 1, "window": 60}


def quota(**fields: Any) -> dict[str, Any]:
    return {"kind": "quota", "name": "busy", **ONE} | fields


def release(engine: Any, decision: Decision) -> int:
    return asyncio.run(engine.release(decision.lease))


def test_what_is_in_flight_is_held_until_it_is_released() -> None:
    engine = deciding(quota())
    first, second = decide(engine), decide(engine)
    assert (first.allowed, second.allowed) == (True, False)
    assert (bool(first.lease), second.lease) == (True, "")
    assert release(engine, first) == 1
    assert decide(engine).allowed


def test_a_lease_is_released_once_and_a_strange_one_not_at_all() -> None:
    engine = deciding(quota(limit=2))
    first, second = decide(engine), decide(engine)
    assert first.lease != second.lease
    assert release(engine, first) == 1
    assert release(engine, first) == 0
    assert asyncio.run(engine.release("no such lease")) == 0
    assert asyncio.run(engine.release("")) == 0
    assert [decide(engine).allowed for _ in range(2)] == [True, False]


def test_a_decision_id_releases_nothing() -> None:
    engine = deciding(quota())
    decision = decide(engine)
    assert asyncio.run(engine.release(decision.id)) == 0
    assert not decide(engine).allowed


def test_quotas_that_hold_nothing_have_no_lease() -> None:
    assert decide(deciding(quota(algorithm="fixed-window"))).lease == ""
    assert decide(deciding()).lease == ""


def test_a_limit_in_flight_beside_another_limit_is_released_alone() -> None:
    limits = [ONE, {"algorithm": "fixed-window", "limit": 2, "window": 60}]
    engine = deciding({"kind": "quota", "name": "both", "limits": limits})
    for _ in range(2):
        assert release(engine, decide(engine)) == 1
    assert decide(engine).limit == 2  # the window is full, nothing is in flight


def test_shadows_and_drafts_in_flight_are_released_with_the_request() -> None:
    engine = deciding(
        {"kind": "quota", "name": "live", "limit": 9, "window": 60, "draft": ONE},
        quota(name="shade", mode="shadow"),
    )
    for _ in range(2):
        decision = decide(engine)
        assert [verdict.allowed for verdict in decision.beside] == [True, True]
        assert release(engine, decision) == 2


def test_what_is_beside_a_refused_request_is_not_held() -> None:
    engine = deciding(
        {"kind": "quota", "name": "live", "limit": 1, "window": 60},
        quota(name="shade", mode="shadow", limit=2),
    )
    first, second = decide(engine), decide(engine)
    assert (first.allowed, second.allowed, second.lease) == (True, False, "")
    assert release(engine, first) == 1
    assert [verdict.remaining for verdict in decide(engine, hits=0).beside] == [2]


def test_while_the_counters_are_away_what_is_held_here_is_released_here() -> None:
    class Away(MemoryCounters):
        async def charge(self, *_: Any, **__: Any) -> Any:
            raise CountersDown("no answer")

    engine = deciding(quota(on_backend_error="local"), counters=Away())
    first, second = decide(engine), decide(engine)
    assert (first.allowed, second.allowed) == (True, False)
    assert release(engine, first) == 1
    assert decide(engine).allowed


@pytest.mark.parametrize("limit", [1, 3])
def test_in_redis_many_at_once_never_pass_the_limit(redis_url: str, limit: int) -> None:
    async def run() -> tuple[int, int]:
        shared = RedisCounters(redis_url)
        engine = deciding(quota(name=f"busy-{limit}", limit=limit), counters=shared)
        in_flight = most = served = 0

        async def client() -> None:
            nonlocal in_flight, most, served
            answer = engine.check(AttributeBag({}), deadline_s=5)
            assert not isinstance(answer, Decision)
            decision = await answer
            if not decision.allowed:
                return
            in_flight += 1
            most = max(most, in_flight)
            served += 1
            for _ in range(3):
                await asyncio.sleep(0)
            in_flight -= 1
            assert await engine.release(decision.lease, 5) == 1

        for _ in range(30):
            await asyncio.gather(*(client() for _ in range(10)))
        await shared.close()
        return most, served

    most, served = asyncio.run(run())
    assert most == limit
    assert served >= 30 * limit
